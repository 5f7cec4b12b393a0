//! Marking: decides what is live, repository by repository. Pure: all reading is done before.

use std::cell::OnceCell;

use super::eviction::VictimsIn;
use super::graph::{ReferenceGraph, State};
use super::interner::{Id, IdHashSet, IdMap, IdSet};
use super::inventory::{Age, Contents, Data, History, Inventory, Link};

/// The live data and links of the whole store.
#[derive(Debug)]
pub(super) struct Marks {
    /// Digests whose data are live.
    pub(super) data: IdSet,
    /// Digests whose data stay for now because a link to them is young.
    pub(super) young: IdSet,
    /// In the order of the inventory.
    pub(super) repositories: Vec<RepositoryMarks>,
}

/// The live links of one repository: one `bool` for each link.
#[derive(Debug)]
pub(super) struct RepositoryMarks {
    pub(super) revisions: Vec<bool>,
    pub(super) layers: Vec<bool>,
    /// Everything stays, because something cannot be read.
    pub(super) is_obscure: bool,
    /// Positions of tags that point at a manifest whose data exist and that has no link, in order.
    pub(super) dangling: Vec<usize>,
    /// The collection leaves each file of the repository.
    pub(super) is_kept: bool,
    /// Tags go with their manifests, as in a cache.
    pub(super) is_cache: bool,
}

/// The rule by which a repository decides what lives.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule<'a> {
    /// The content that its tags reach, and its untagged manifests unless they are deleted.
    Ordinary {
        /// Whether untagged manifests are garbage.
        delete_untagged: bool,
    },
    /// All manifests but these victims, whether or not they have a tag.
    Cache(VictimsIn<'a>),
    /// Everything.
    Keep,
}

/// Marks the whole inventory. In a blank store no manifest could be read, so it is incomplete. `rule` says what is live in each
/// repository.
pub(super) fn mark<'r>(
    inventory: &Inventory,
    data: &Data,
    graph: &ReferenceGraph,
    is_store_blank: bool,
    rule: impl Fn(&Contents) -> Rule<'r>,
) -> Marks {
    let mut marks = Marks { data: IdSet::default(), young: IdSet::default(), repositories: Vec::new() };
    for contents in &inventory.repositories {
        let marker = Marker::new(contents, data, graph, is_store_blank, rule(contents));
        let repository = marker.mark(&mut marks.data, &mut marks.young);
        marks.repositories.push(repository);
    }
    marks
}

/// The data that some repositories keep, young ones included.
pub(super) fn mark_data<'a, 'r>(
    repositories: impl Iterator<Item = &'a Contents>,
    data: &Data,
    graph: &ReferenceGraph,
    rule: impl Fn(&Contents) -> Rule<'r>,
) -> IdSet {
    let (mut kept, mut young) = (IdSet::default(), IdSet::default());
    for contents in repositories {
        Marker::new(contents, data, graph, graph.is_blank(), rule(contents)).mark(&mut kept, &mut young);
    }
    kept.add_all(&young);
    kept
}

/// The content that the roots of a repository reach.
#[derive(Default)]
struct Live {
    manifests: IdHashSet,
    /// The references of these manifests.
    needed: IdHashSet,
}

struct Marker<'a> {
    contents: &'a Contents,
    data: &'a Data,
    graph: &'a ReferenceGraph,
    rule: Rule<'a>,
    /// Position of a manifest in the list of revisions.
    places: IdMap<usize>,
    /// Digests with a layer link, collected on first use.
    layers: OnceCell<IdHashSet>,
    /// Manifests by the manifest that they are attached to.
    referrers: IdMap<Vec<Id>>,
    /// Whether not a single manifest could be read, which means that the store is incomplete.
    is_store_blank: bool,
}

impl<'a> Marker<'a> {
    fn new(
        contents: &'a Contents,
        data: &'a Data,
        graph: &'a ReferenceGraph,
        is_store_blank: bool,
        rule: Rule<'a>,
    ) -> Self {
        let revisions = contents.revisions.iter().enumerate();
        let places = revisions.map(|(place, link)| (link.id, place)).collect();
        let mut referrers: IdMap<Vec<Id>> = IdMap::default();
        for link in &contents.revisions {
            let subject = graph.get(link.id).and_then(|reading| reading.subject);
            if let Some(subject) = subject.and_then(|subject| contents.resolve(subject)) {
                referrers.entry(subject).or_default().push(link.id);
            }
        }
        let layers = OnceCell::new();
        Self { contents, data, graph, rule, places, layers, referrers, is_store_blank }
    }

    fn mark(&self, live_data: &mut IdSet, young_data: &mut IdSet) -> RepositoryMarks {
        let is_kept = matches!(self.rule, Rule::Keep);
        let is_cache = matches!(self.rule, Rule::Cache(_));
        // What a cache lacks is fetched again, so nothing is kept there for lack of knowledge: but for what was pushed.
        let is_mixed = is_cache && self.contents.has_pushed();
        let mut is_obscure = is_kept || ((!is_cache || is_mixed) && self.is_obscure());
        let mut live = self.reach(is_obscure);
        let may_return = |id: Id| self.is_gone(id) && !(is_cache && self.contents.is_fetched(id));
        // A push or a copy brings the manifest back, and it may refer to anything.
        if !is_obscure && (!is_cache || is_mixed) && live.manifests.iter().any(|id| may_return(*id)) {
            is_obscure = true;
            live = self.reach(is_obscure);
        }
        let Live { manifests, needed } = live;
        let mut revisions = vec![false; self.contents.revisions.len()];
        for id in &manifests {
            if let Some(place) = self.places.get(id) {
                revisions[*place] = true;
            }
        }
        for id in manifests.iter().chain(&needed) {
            live_data.insert(*id);
        }
        let mut explained = None;
        let mut keep = |link: &Link| {
            let is_live = is_obscure || needed.contains(&link.id);
            let mut waits = || {
                let explained = explained.get_or_insert_with(|| self.explained());
                !explained.contains(&link.id)
            };
            let is_young = link.is_young() || (!is_live && link.age == Age::OldInCache && waits());
            if is_live {
                live_data.insert(link.id);
            } else if is_young {
                young_data.insert(link.id);
            }
            is_live || is_young
        };
        let layers = self.contents.layers.iter().map(&mut keep).collect();
        let dangling = if is_cache && !is_mixed { Vec::new() } else { self.dangling() };
        RepositoryMarks { revisions, layers, is_obscure, dangling, is_kept, is_cache }
    }

    /// Follows the references from the roots.
    fn reach(&self, is_obscure: bool) -> Live {
        let mut live = Live::default();
        let mut todo = self.roots(is_obscure);
        while let Some(id) = todo.pop() {
            if !live.manifests.insert(id) {
                continue;
            }
            let references = self.graph.get(id).map(|reading| &*reading.references).unwrap_or_default();
            for reference in references.iter().filter_map(|reference| self.contents.resolve(*reference)) {
                live.needed.insert(reference);
                if self.is_manifest(reference) {
                    todo.push(reference);
                }
            }
            todo.extend(self.referrers.get(&id).into_iter().flatten());
        }
        live
    }

    /// The references of all manifests of the repository, victims of this collection included.
    fn explained(&self) -> IdHashSet {
        let mut explained = IdHashSet::default();
        for link in &self.contents.revisions {
            let references = self.graph.get(link.id).map(|reading| &*reading.references).unwrap_or_default();
            explained.extend(references.iter().filter_map(|reference| self.contents.resolve(*reference)));
        }
        if let Rule::Cache(victims) = self.rule {
            explained.extend(victims.data.into_iter().flatten());
        }
        explained
    }

    fn is_obscure(&self) -> bool {
        let is_cache = matches!(self.rule, Rule::Cache(_));
        let obscure = |id| {
            matches!(self.graph.get(id), Some(reading) if matches!(reading.state, State::Unreadable(_)))
                && !(is_cache && self.contents.is_fetched(id))
        };
        self.contents.is_obscure
            || self.contents.revisions.iter().any(|link| obscure(link.id))
            || self.has_obscure_reference()
    }

    /// Whether a manifest refers to something by an unreadable alias.
    fn has_obscure_reference(&self) -> bool {
        let unreadable = self.contents.aliases.iter().filter(|alias| alias.unreadable);
        let unreadable: IdHashSet = unreadable.map(|alias| alias.id).collect();
        let refers = |id| {
            let reading = self.graph.get(id);
            reading.is_some_and(|reading| {
                reading.references.iter().chain(&reading.subject).any(|id| unreadable.contains(id))
            })
        };
        !unreadable.is_empty() && self.contents.revisions.iter().any(|link| refers(link.id))
    }

    fn roots(&self, is_obscure: bool) -> Vec<Id> {
        let revisions = self.contents.revisions.iter();
        // What came from an upstream may go all the same; the layers of the repository stay.
        if is_obscure && !matches!(self.rule, Rule::Cache(_)) {
            return revisions.map(|link| link.id).chain(self.tagged()).collect();
        }
        let delete_untagged = match self.rule {
            Rule::Keep => false,
            Rule::Ordinary { delete_untagged } => delete_untagged,
            Rule::Cache(victims) => {
                let is_victim = |id: Id| {
                    let is_chosen = victims.manifests.is_some_and(|victims| victims.contains_key(&id));
                    // A client may have pushed it since.
                    (is_chosen || self.is_gone(id)) && self.contents.is_fetched(id)
                };
                let stays = |link: &Link| {
                    link.is_young() || self.contents.in_snapshots.contains(&link.id) || !is_victim(link.id)
                };
                return revisions.copied().filter(stays).map(|link| link.id).collect();
            }
        };
        let guessed =
            |id| matches!(self.graph.get(id), Some(reading) if matches!(reading.state, State::Heuristic(_)));
        let named = self.named_if_any_is_gone(delete_untagged);
        let is_empty = |id| self.is_gone(id) && !named.contains(&id);
        let stays = revisions
            .filter(|link| {
                link.is_young()
                    || self.data.is_young(link.id)
                    || guessed(link.id)
                    || self.contents.in_snapshots.contains(&link.id)
                    || !(delete_untagged || is_empty(link.id))
            })
            .map(|link| link.id);
        stays.chain(self.tagged()).collect()
    }

    /// Manifests that tags point at, also those without a link: a missing link is an accident, and can be repaired.
    fn tagged(&self) -> impl Iterator<Item = Id> {
        self.contents
            .tags
            .iter()
            .flat_map(History::targets)
            .filter(|id| self.data.is_there(*id) || self.is_linked(*id))
    }

    /// Whether the data of a manifest are gone for good.
    fn is_gone(&self, id: Id) -> bool {
        !self.is_store_blank && self.graph.get(id).is_some_and(|reading| reading.state == State::Missing)
    }

    /// Manifests that tags ever pointed at; empty where that does not matter.
    fn named_if_any_is_gone(&self, delete_untagged: bool) -> IdHashSet {
        if delete_untagged || !self.contents.revisions.iter().any(|link| self.is_gone(link.id)) {
            return IdHashSet::default();
        }
        self.contents.tags.iter().flat_map(|history| &history.entries).map(|entry| entry.id).collect()
    }

    fn dangling(&self) -> Vec<usize> {
        let is_dangling = |history: &History| {
            history.current.is_some_and(|id| !self.is_linked(id) && self.data.is_there(id))
        };
        let tags = self.contents.tags.iter().enumerate();
        tags.filter(|(_, history)| is_dangling(history)).map(|(place, _)| place).collect()
    }

    /// Whether there is a revision link or a layer link to the manifest.
    fn is_linked(&self, id: Id) -> bool {
        self.places.contains_key(&id) || self.is_layer(id)
    }

    /// Whether there is a layer link to it.
    fn is_layer(&self, id: Id) -> bool {
        let layers = || self.contents.layers.iter().map(|link| link.id).collect();
        self.layers.get_or_init(layers).contains(&id)
    }

    /// Whether a referenced digest is a manifest of this repository, and refers to more.
    fn is_manifest(&self, id: Id) -> bool {
        self.places.contains_key(&id)
            // Very old registries linked manifests like layers.
            || (self.graph.get(id).is_some() && self.is_layer(id))
    }
}
