//! Chooses the victims of an eviction.

use std::collections::HashSet;
use std::time::Duration;

use super::super::Result;
use super::super::context::Context;
use super::super::graph::{ReferenceGraph, State};
use super::super::interner::{Id, IdHashSet, IdMap, IdSet};
use super::super::inventory::{Contents, Data, Inventory};
use super::super::mark::{Rule, mark_data};
use super::Scope;
use super::refs::{Candidate, Needs};
use super::uses::{ALWAYS, last_uses};
use super::victims::{CacheSize, Reason, Victims};
use crate::caches::{CachePrefixes, hour_of, with_margin};

const HOUR_SECS: u64 = 60 * 60;

/// The share of a bound that an eviction leaves, in per cent.
const LEFT_PERCENT: u64 = 90;

/// Chooses the victims: what was not used for long, then what was used longest ago until the caches are within their bounds.
/// Chooses none unless the options say what to evict.
pub(in crate::gc) async fn choose(
    cx: &mut Context<'_>,
    inventory: &Inventory,
    data: &Data,
    graph: &ReferenceGraph,
    kept: IdSet,
) -> Result<Victims> {
    let mut victims = Victims::default();
    let (Some(eviction), caches) = (&cx.options.evict, cx.registry.caches()) else { return Ok(victims) };
    if caches.is_empty() {
        return Ok(victims);
    }
    let (mut candidates, mut left, mut with_pushed) = (Vec::new(), kept, Vec::new());
    for (place, contents) in inventory.repositories.iter().enumerate() {
        let Some(prefix) = caches.index_of(&contents.name) else { continue };
        cx.pacer.tick().await?;
        let pushed = pushed(contents, graph);
        if !pushed.is_empty() {
            with_pushed.push(contents.name.clone());
        }
        for id in &pushed {
            references(contents, graph, *id).for_each(|id| _ = left.insert(id));
        }
        let own = own_uses(cx, contents, &pushed);
        for used in last_uses(contents, graph, &own).into_iter().filter(|used| !pushed.contains(&used.id)) {
            let is_lost = !graph.is_blank()
                && graph
                    .get(used.id)
                    .is_some_and(|reading| matches!(reading.state, State::Missing | State::Unreadable(_)));
            let (id, hour, subject) = (used.id, used.hour, used.subject);
            match is_lost && own.get(&id) != Some(&ALWAYS) {
                true => victims.add(contents, id, Reason::Lost),
                false => candidates.push(Candidate { repository: place, prefix, id, hour, subject }),
            }
        }
    }
    if let Some(ttl) = eviction.ttl {
        evict_unused(cx, &inventory.repositories, &mut candidates, ttl, &mut victims);
    }
    cx.pacer.tick().await?;
    let delete_untagged = cx.options.delete_untagged;
    let others = inventory.repositories.iter().filter(|contents| !caches.contains(&contents.name));
    let mut elsewhere = mark_data(others, data, graph, |_| match cx.options.scope {
        Scope::All => Rule::Ordinary { delete_untagged },
        Scope::Caches => Rule::Keep,
    });
    elsewhere.add_all(&left);
    let young = inventory.repositories.iter().flat_map(|contents| young_layers(contents, caches)).collect();
    let mut needs = Needs { repositories: &inventory.repositories, data, graph, elsewhere, young };
    // Of what was used in the same hour, an index comes before its children: the sort is stable.
    candidates.sort_by_key(|candidate| candidate.hour);
    let stored = cx.registry.cache_bytes();
    for (prefix, name) in caches.iter().enumerate() {
        cx.pacer.tick().await?;
        let bytes = eviction.max_bytes_below.get(name).copied();
        let bound = bytes.map(|bytes| Bound { bytes, wanted: stored.wanted(Some(prefix)) });
        evict_largest(&needs, &mut candidates, Some(prefix), bound, &mut victims);
    }
    cx.pacer.tick().await?;
    let bound = eviction.max_bytes.map(|bytes| Bound { bytes, wanted: stored.wanted(None) });
    evict_largest(&needs, &mut candidates, None, bound, &mut victims);
    cx.pacer.tick().await?;
    note_data(&inventory.repositories, graph, &mut victims);
    victims.sizes = sizes(&mut needs, &candidates, caches);
    stored.warn_of_pushed(&with_pushed);
    Ok(victims)
}

/// The manifests of a cache that its upstream did not give, with those that they refer to and that are attached to them.
fn pushed(contents: &Contents, graph: &ReferenceGraph) -> IdHashSet {
    let mut todo: Vec<Id> =
        contents.revisions.iter().map(|link| link.id).filter(|id| !contents.is_fetched(*id)).collect();
    let mut pushed = IdHashSet::default();
    if todo.is_empty() {
        return pushed;
    }
    let mut referring: IdMap<Vec<Id>> = IdMap::default();
    for link in &contents.revisions {
        let subject = graph.get(link.id).and_then(|reading| reading.subject);
        if let Some(subject) = subject.and_then(|subject| contents.resolve(subject)) {
            referring.entry(subject).or_default().push(link.id);
        }
    }
    let linked: IdHashSet = contents.revisions.iter().map(|link| link.id).collect();
    while let Some(id) = todo.pop() {
        if linked.contains(&id) && pushed.insert(id) {
            todo.extend(references(contents, graph, id));
            todo.extend(referring.get(&id).into_iter().flatten());
        }
    }
    pushed
}

/// The manifest, and what it refers to.
fn references(contents: &Contents, graph: &ReferenceGraph, id: Id) -> impl Iterator<Item = Id> {
    let references = graph.get(id).map(|reading| &*reading.references).unwrap_or_default();
    std::iter::once(id).chain(references.iter().filter_map(|reference| contents.resolve(*reference)))
}

/// The hour of the last use of each manifest but those that were pushed: the recorded one; otherwise that in which the manifest was
/// stored or the recording began.
fn own_uses(cx: &Context<'_>, contents: &Contents, pushed: &IdHashSet) -> IdMap<u32> {
    let uses = cx.registry.cache_uses();
    let since = hour_of(uses.since());
    let hour = |place: usize, id: Id| {
        let stored = contents.revision_hours.get(place).copied().unwrap_or_default();
        let used = uses.hour(&contents.name, &cx.ids.digest(id)).unwrap_or(since);
        // A store whose clock is ahead dates nothing in the future for long.
        stored.max(used)
    };
    let links = contents.revisions.iter().enumerate().filter(|(_, link)| !pushed.contains(&link.id));
    let own = links.map(|(place, link)| match link.is_young() || contents.in_snapshots.contains(&link.id) {
        true => (link.id, ALWAYS),
        false => (link.id, hour(place, link.id)),
    });
    own.collect()
}

fn evict_unused(
    cx: &Context<'_>,
    repositories: &[Contents],
    candidates: &mut Vec<Candidate>,
    ttl: Duration,
    victims: &mut Victims,
) {
    let before = cx.registry.clock().ago(ttl).duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    candidates.retain(|candidate| {
        let is_unused = candidate.hour != ALWAYS && u64::from(candidate.hour) * HOUR_SECS <= before.as_secs();
        if is_unused {
            victims.add(&repositories[candidate.repository], candidate.id, Reason::Ttl);
        }
        !is_unused
    });
}

/// A bound of caches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) bytes: u64,
    /// The length of content for which they had no room.
    pub(super) wanted: u64,
}

/// Evicts what was used longest ago, until the caches are within the bound with a margin, and have room for what they had none
/// for. `candidates` are in the order of their last use.
pub(super) fn evict_largest(
    needs: &Needs<'_>,
    candidates: &mut Vec<Candidate>,
    prefix: Option<usize>,
    bound: Option<Bound>,
    victims: &mut Victims,
) {
    let Some(Bound { bytes: bound, wanted }) = bound else { return };
    let beside_wanted = with_margin(bound).saturating_sub(wanted);
    let mut counts = needs.count(candidates, prefix);
    if counts.bytes <= bound.min(beside_wanted) {
        return;
    }
    let target = ((u128::from(bound) * u128::from(LEFT_PERCENT) / 100) as u64).min(beside_wanted);
    let mut subjects: HashSet<(usize, Id)> = HashSet::new();
    candidates.retain(|candidate| {
        let is_counted = prefix.is_none_or(|prefix| prefix == candidate.prefix) && candidate.hour != ALWAYS;
        // An artifact comes after its subject, whose last use it has.
        let has_subject_gone =
            candidate.subject.is_some_and(|subject| subjects.contains(&(candidate.repository, subject)));
        if !is_counted || (counts.bytes <= target && !has_subject_gone) {
            return true;
        }
        needs.of(candidate).for_each(|id| counts.remove(id, needs.data));
        subjects.insert((candidate.repository, candidate.id));
        victims.add(&needs.repositories[candidate.repository], candidate.id, Reason::Size);
        false
    });
}

/// Layer links that stay because they are young.
fn young_layers(contents: &Contents, caches: &CachePrefixes) -> impl Iterator<Item = (usize, Id)> {
    let prefix = caches.index_of(&contents.name);
    let young = contents.layers.iter().filter(|link| link.is_young());
    young.filter_map(move |link| Some((prefix?, link.id)))
}

/// Records what the victims need.
fn note_data(repositories: &[Contents], graph: &ReferenceGraph, victims: &mut Victims) {
    for contents in repositories {
        let Some(ids) = victims.by_repository.get(&contents.name) else { continue };
        let mut needed = IdHashSet::default();
        for (id, reason) in ids {
            for id in references(contents, graph, *id) {
                victims.data.entry(id).or_insert(*reason);
                needed.insert(id);
            }
        }
        victims.data_in.insert(contents.name.clone(), needed);
    }
}

/// The sizes of the caches below each prefix, then of all together.
fn sizes(needs: &mut Needs<'_>, candidates: &[Candidate], caches: &CachePrefixes) -> Vec<CacheSize> {
    let below = caches.iter().enumerate().map(|(prefix, name)| {
        let bytes = needs.count(candidates, Some(prefix)).bytes;
        CacheSize { prefix: Some(name.to_owned()), bytes }
    });
    let mut sizes: Vec<CacheSize> = below.collect();
    sizes.push(CacheSize { prefix: None, bytes: needs.count(candidates, None).bytes });
    sizes
}

impl Victims {
    fn add(&mut self, contents: &Contents, id: Id, reason: Reason) {
        if let Some(ids) = self.by_repository.get_mut(&contents.name) {
            ids.insert(id, reason);
            return;
        }
        let ids = [(id, reason)].into_iter().collect();
        self.by_repository.insert(contents.name.clone(), ids);
    }
}
