//! `Plan`: the deletions of a collection, as data. Pure.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use sampan_driver::FileInfo;

use super::graph::{ReferenceGraph, State};
use super::interner::{DigestInterner, Id, IdHashSet, IdMap, IdSet};
use super::inventory::{Age, Attached, Contents, Data, Inventory};
use super::mark::{Marks, RepositoryMarks};
use super::report::Amount;
use crate::layout::Entry;
use crate::oci::{RepositoryName, Tag};
use crate::upload::UploadId;

/// Planned deletions, in the order in which they are safe.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Tags of caches, with the manifests that they point at.
    pub(super) tags: Vec<(RepositoryName, Tag, Id)>,
    pub(super) tag_entries: Vec<(RepositoryName, Tag, Id)>,
    /// Indexes before their children, subjects before the manifests attached to them.
    pub(super) revisions: Vec<(RepositoryName, Id)>,
    pub(super) layers: Vec<(RepositoryName, Id)>,
    pub(super) aliases: Vec<DeadAlias>,
    /// Data that would be garbage if they were older.
    pub(super) young: Amount,
    /// Marks that say where manifests came from, of `revisions` and of manifests without a link.
    pub(super) marks: Vec<OriginMark>,
    /// With their sizes in bytes.
    pub(super) blobs: Vec<(Id, u64)>,
    pub(super) uploads: Vec<(RepositoryName, UploadId)>,
    /// Leftovers of interrupted writes.
    pub(super) temporary: Vec<FileInfo>,
    /// Entries of referrer indexes whose manifests do not exist any more, or will be deleted.
    pub(super) referrers: Vec<Referrer>,
    /// Entries whose manifests are attached to something else.
    pub(super) misplaced_referrers: Vec<Referrer>,
    /// Missing entries, and repositories whose indexes these entries complete and which lack the marker.
    pub(super) missing_referrers: Vec<Referrer>,
    pub(super) unmarked_indexes: Vec<RepositoryName>,
    /// Repositories that the plan leaves empty.
    pub(super) repositories: Vec<RepositoryName>,
}

/// The linked manifests of a repository.
#[derive(Clone, Copy)]
struct Linked<'a> {
    live: &'a IdHashSet,
    dead: &'a [Id],
}

/// A mark that says where a manifest came from.
#[derive(Debug)]
pub(super) struct OriginMark {
    pub(super) manifest: (RepositoryName, Id),
    /// A client pushed it; else it was fetched.
    is_pushed: bool,
}

impl OriginMark {
    pub(super) fn entry(&self, ids: &DigestInterner) -> Entry {
        let (name, id) = &self.manifest;
        let entry = if self.is_pushed { Entry::Pushed } else { Entry::Fetched };
        entry(name.clone(), ids.digest(*id))
    }
}

/// An entry of a referrer index.
#[derive(Clone, Debug)]
pub(super) struct Referrer {
    pub(super) name: RepositoryName,
    pub(super) subject: Id,
    pub(super) manifest: Id,
}

/// An alias that is deleted with its target.
#[derive(Clone, Debug)]
pub(super) struct DeadAlias {
    pub(super) name: RepositoryName,
    pub(super) id: Id,
    pub(super) canonical: Id,
    pub(super) of_manifest: bool,
}

/// In a repository with this many manifests, a client's first listing of referrers takes long enough to need an index,
/// since it reads every manifest.
const LARGE_REPOSITORY: usize = 1000;

/// Plans the deletions. Uploads that were last touched before `uploads_before` are abandoned.
pub(super) fn plan(
    inventory: &Inventory,
    data: &Data,
    graph: &ReferenceGraph,
    marks: &Marks,
    ids: &DigestInterner,
    uploads_before: Option<SystemTime>,
) -> Plan {
    let mut plan = Plan::default();
    for (contents, marks) in inventory.repositories.iter().zip(&marks.repositories) {
        plan.add(contents, marks, data, graph, uploads_before);
    }
    let cached = linked_by_caches_alone(inventory, graph, marks);
    for id in ids.canonical() {
        let Some(size_bytes) = data.size_bytes(id) else { continue };
        if marks.data.contains(id) {
            continue;
        }
        let is_young = match cached.contains(id) {
            true => data.is_young_in_cache(id),
            false => data.is_young(id),
        };
        if marks.young.contains(id) || is_young {
            plan.young.add(size_bytes);
        } else {
            plan.blobs.push((id, size_bytes));
        }
    }
    // By hash: neighbours in this order are neighbours on the disk.
    plan.blobs.sort_unstable_by_key(|(id, _)| ids.hash(*id));
    plan
}

/// Blobs that have layer links in caches and nowhere else. The data of a manifest are its lease file, so they are not among them.
fn linked_by_caches_alone(inventory: &Inventory, graph: &ReferenceGraph, marks: &Marks) -> IdSet {
    let (mut cached, mut others) = (IdSet::default(), IdSet::default());
    for (contents, marks) in inventory.repositories.iter().zip(&marks.repositories) {
        let links = if marks.is_cache { &mut cached } else { &mut others };
        contents.layers.iter().for_each(|link| _ = links.insert(link.id));
        contents.revisions.iter().for_each(|link| _ = others.insert(link.id));
    }
    let is_blob = |id: &Id| graph.get(*id).is_none() && !others.contains(*id);
    let all = inventory.repositories.iter().flat_map(|contents| &contents.layers).map(|link| link.id);
    let mut alone = IdSet::default();
    all.filter(|id| cached.contains(*id)).filter(is_blob).for_each(|id| _ = alone.insert(id));
    alone
}

impl Plan {
    fn add(
        &mut self,
        contents: &Contents,
        marks: &RepositoryMarks,
        data: &Data,
        graph: &ReferenceGraph,
        uploads_before: Option<SystemTime>,
    ) {
        if contents.is_blank() || marks.is_kept {
            return;
        }
        let name = &contents.name;
        let lives = |links: &[super::inventory::Link], marks: &[bool]| -> IdHashSet {
            links.iter().zip(marks).filter(|(_, live)| **live).map(|(link, _)| link.id).collect()
        };
        let live_revisions = lives(&contents.revisions, &marks.revisions);
        let live_layers = lives(&contents.layers, &marks.layers);
        let dead_revisions =
            contents.revisions.iter().map(|link| link.id).filter(|id| !live_revisions.contains(id));
        let dead_revisions: Vec<Id> = dead_revisions.collect();
        let dead: IdHashSet = dead_revisions.iter().copied().collect();
        let dead_layers = contents.layers.iter().map(|link| link.id).filter(|id| !live_layers.contains(id));
        self.layers.extend(dead_layers.map(|id| (name.clone(), id)));

        let mut left = live_revisions.len() + live_layers.len();
        // Targets of aliases that have no link of their own.
        let (mut bare_revisions, mut bare_layers) = (IdHashSet::default(), IdHashSet::default());
        let (revisions, layers) = match contents.aliases.is_empty() {
            true => Default::default(),
            false => (contents.linked(true), contents.linked(false)),
        };
        for alias in &contents.aliases {
            let live = if alias.of_manifest { &live_revisions } else { &live_layers };
            let canonical = match alias.canonical {
                Some(canonical) if !marks.is_obscure && !alias.young && !live.contains(&canonical) => {
                    canonical
                }
                _ => {
                    left += 1;
                    continue;
                }
            };
            let id = alias.id;
            self.aliases.push(DeadAlias {
                name: name.clone(),
                id,
                canonical,
                of_manifest: alias.of_manifest,
            });
            let (dead, linked, bare) = match alias.of_manifest {
                true => (&mut self.revisions, &revisions, &mut bare_revisions),
                false => (&mut self.layers, &layers, &mut bare_layers),
            };
            // An alias without its canonical link is meaningless; delete it as if the link existed.
            if !linked.contains(&canonical) && bare.insert(canonical) {
                dead.push((name.clone(), canonical));
            }
        }
        for (place, history) in contents.tags.iter().enumerate() {
            let is_deleted = marks.is_cache
                && history.current.is_some_and(|id| !live_revisions.contains(&id))
                && marks.dangling.binary_search(&place).is_err();
            match history.current {
                Some(id) if is_deleted => self.tags.push((name.clone(), history.tag.clone(), id)),
                _ => left += usize::from(history.is_current),
            }
            // A tag keeps its history entry for the manifest that it points at, also if that is gone: a link that names
            // another digest is damaged.
            let kept = history.current.filter(|_| !is_deleted);
            let stays = marks.is_obscure || history.unreadable;
            for entry in &history.entries {
                let is_live = live_revisions.contains(&entry.id) || kept == Some(entry.id);
                if stays || entry.is_young() || is_live {
                    left += 1;
                } else {
                    self.tag_entries.push((name.clone(), history.tag.clone(), entry.id));
                }
            }
        }
        for (id, touched) in &contents.uploads {
            match uploads_before {
                Some(before) if *touched < before => self.uploads.push((name.clone(), id.clone())),
                _ => left += 1,
            }
        }
        for (marks, is_pushed) in [(&contents.fetched, false), (&contents.pushed, true)] {
            let old = marks.iter().filter(|(id, age)| {
                !live_revisions.contains(*id) && (dead.contains(*id) || **age == Age::Old)
            });
            let mark = |(id, _): (&Id, _)| OriginMark { manifest: (name.clone(), *id), is_pushed };
            self.marks.extend(old.map(mark));
        }
        let linked = Linked { live: &live_revisions, dead: &dead_revisions };
        left += self.add_referrers(contents, marks, data, graph, linked);
        self.revisions.extend(referring_first(&dead_revisions, contents, graph).map(|id| (name.clone(), id)));
        if left == 0 {
            self.repositories.push(name.clone());
        }
    }
}

impl Plan {
    /// Compares the referrer index with the manifests. Returns how many entries stay for now although they mean nothing.
    fn add_referrers(
        &mut self,
        contents: &Contents,
        marks: &RepositoryMarks,
        data: &Data,
        graph: &ReferenceGraph,
        linked: Linked<'_>,
    ) -> usize {
        let Linked { live, dead } = linked;
        let dead: IdHashSet = dead.iter().copied().collect();
        let subject_of = |id: Id| graph.get(id).and_then(|reading| reading.subject);
        let is_readable = |id| matches!(graph.get(id), Some(reading) if reading.state == State::Parsed);
        let referrer = |subject, manifest| Referrer { name: contents.name.clone(), subject, manifest };
        let (mut indexed, mut left) = (HashSet::new(), 0);
        for Attached { subject, manifest, young } in contents.referrers.iter().copied() {
            let entry = referrer(subject, manifest);
            if live.contains(&manifest) {
                match subject_of(manifest) == Some(subject) {
                    true => _ = indexed.insert((subject, manifest)),
                    false if is_readable(manifest) => self.misplaced_referrers.push(entry),
                    // The manifest was not parsed; a client may push it again.
                    false => {}
                }
            } else if dead.contains(&manifest) || !(young || data.is_young(manifest) || marks.is_obscure) {
                self.referrers.push(entry);
            } else {
                // A push writes data and entry before it writes the link.
                left += 1;
            }
        }
        let attached = contents.revisions.iter().map(|link| link.id).filter(|id| live.contains(id));
        let attached: Vec<_> = attached.filter_map(|id| Some((subject_of(id)?, id))).collect();
        let is_wanted = contents.has_index || !attached.is_empty() || live.len() >= LARGE_REPOSITORY;
        if is_wanted && !live.is_empty() && !graph.is_blank() {
            let missing = attached.into_iter().filter(|entry| !indexed.contains(entry));
            self.missing_referrers.extend(missing.map(|(subject, manifest)| referrer(subject, manifest)));
            self.unmarked_indexes.extend((!contents.has_index).then(|| contents.name.clone()));
        }
        left
    }

    /// The aliases of manifests, or of layers, by their targets.
    pub(super) fn aliases_by_target(&self, of_manifest: bool) -> HashMap<(&RepositoryName, Id), Vec<Id>> {
        let mut aliases: HashMap<_, Vec<_>> = HashMap::new();
        for alias in self.aliases.iter().filter(|alias| alias.of_manifest == of_manifest) {
            aliases.entry((&alias.name, alias.canonical)).or_default().push(alias.id);
        }
        aliases
    }

    /// The marks that will be deleted, by their manifest.
    pub(super) fn marks_by_manifest(&self) -> HashMap<&(RepositoryName, Id), Vec<&OriginMark>> {
        let mut marks: HashMap<_, Vec<_>> = HashMap::new();
        for mark in &self.marks {
            marks.entry(&mark.manifest).or_default().push(mark);
        }
        marks
    }

    /// The entries of referrer indexes that will be deleted, by the attached manifest.
    pub(super) fn referrers_by_manifest(&self) -> HashMap<(&RepositoryName, Id), Vec<&Referrer>> {
        let mut referrers: HashMap<_, Vec<_>> = HashMap::new();
        for entry in &self.referrers {
            referrers.entry((&entry.name, entry.manifest)).or_default().push(entry);
        }
        referrers
    }

    /// The manifests of which only the index entries will be deleted. Entries of linked manifests are deleted with the
    /// links.
    pub(super) fn unlinked_referrers(&self) -> Vec<(RepositoryName, Id)> {
        let with_link: HashSet<_> = self.revisions.iter().map(|(name, id)| (name, *id)).collect();
        let mut met = HashSet::new();
        self.referrers
            .iter()
            .filter(|entry| !with_link.contains(&(&entry.name, entry.manifest)))
            .filter(|entry| met.insert((&entry.name, entry.manifest)))
            .map(|entry| (entry.name.clone(), entry.manifest))
            .collect()
    }
}

impl Contents {
    /// Digests with a revision link, or with a layer link.
    fn linked(&self, of_manifest: bool) -> IdHashSet {
        let links = if of_manifest { &self.revisions } else { &self.layers };
        links.iter().map(|link| link.id).collect()
    }
}

/// Orders manifests such that each comes before what it refers to and before what is attached to it. Digests cannot form a
/// cycle.
pub(super) fn referring_first<'a>(
    dead: &[Id],
    contents: &'a Contents,
    graph: &'a ReferenceGraph,
) -> impl Iterator<Item = Id> + use<'a> {
    let places: IdHashSet = dead.iter().copied().collect();
    let mut below: IdMap<Vec<Id>> = IdMap::default();
    for id in dead {
        let Some(reading) = graph.get(*id) else { continue };
        let references = reading.references.iter().filter_map(|reference| contents.resolve(*reference));
        below.entry(*id).or_default().extend(references.filter(|reference| places.contains(reference)));
        let subject = reading.subject.and_then(|subject| contents.resolve(subject));
        if let Some(subject) = subject.filter(|subject| places.contains(subject)) {
            below.entry(subject).or_default().push(*id);
        }
    }
    let mut order = Vec::with_capacity(dead.len());
    let mut met = IdHashSet::default();
    // Each manifest is appended after all below it; the reverse is the order.
    let mut todo: Vec<(Id, bool)> = dead.iter().map(|id| (*id, false)).collect();
    while let Some((id, is_done)) = todo.pop() {
        if is_done {
            order.push(id);
        } else if met.insert(id) {
            todo.push((id, true));
            todo.extend(below.get(&id).into_iter().flatten().map(|id| (*id, false)));
        }
    }
    order.into_iter().rev()
}
