//! How many manifests of caches need each blob.

use super::super::graph::ReferenceGraph;
use super::super::interner::{Id, IdSet};
use super::super::inventory::{Contents, Data};

/// A manifest of a cache that is no victim yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// The position of its repository in the inventory.
    pub(super) repository: usize,
    /// The position of the repository's prefix.
    pub(super) prefix: usize,
    pub(super) id: Id,
    /// The hour of the last use.
    pub(super) hour: u32,
    /// The manifest that it is attached to.
    pub(super) subject: Option<Id>,
}

/// The users of the data in caches: their manifests, and young layer links that no manifest explains.
pub(super) struct Needs<'a> {
    pub(super) repositories: &'a [Contents],
    pub(super) data: &'a Data,
    pub(super) graph: &'a ReferenceGraph,
    /// Data that other repositories need.
    pub(super) elsewhere: IdSet,
    /// Data with a young layer link, by the prefix of the cache.
    pub(super) young: Vec<(usize, Id)>,
}

/// How many manifests need each blob, and the length of all that are needed by them alone.
pub(super) struct Counts {
    counts: Vec<u32>,
    excluded: IdSet,
    pub(super) bytes: u64,
}

impl Needs<'_> {
    /// The manifest, and what it refers to.
    pub(super) fn of(&self, candidate: &Candidate) -> impl Iterator<Item = Id> {
        let contents = &self.repositories[candidate.repository];
        let references = self.graph.get(candidate.id).map(|reading| &*reading.references).unwrap_or_default();
        let references = references.iter().filter_map(|reference| contents.resolve(*reference));
        std::iter::once(candidate.id).chain(references)
    }

    /// Counts what the candidates below a prefix need, or all of them. Data that any other repository needs are left out.
    pub(super) fn count(&self, candidates: &[Candidate], prefix: Option<usize>) -> Counts {
        let is_counted = |other: usize| prefix.is_none_or(|prefix| prefix == other);
        let mut excluded = self.elsewhere.clone();
        for candidate in candidates.iter().filter(|candidate| !is_counted(candidate.prefix)) {
            self.of(candidate).for_each(|id| _ = excluded.insert(id));
        }
        for (_, id) in self.young.iter().filter(|(other, _)| !is_counted(*other)) {
            excluded.insert(*id);
        }
        let mut counts = Counts { counts: Vec::new(), excluded, bytes: 0 };
        for candidate in candidates.iter().filter(|candidate| is_counted(candidate.prefix)) {
            self.of(candidate).for_each(|id| counts.add(id, self.data));
        }
        for (_, id) in self.young.iter().filter(|(other, _)| is_counted(*other)) {
            counts.add(*id, self.data);
        }
        counts
    }
}

impl Counts {
    fn add(&mut self, id: Id, data: &Data) {
        if id.index() >= self.counts.len() {
            self.counts.resize(id.index() + 1, 0);
        }
        self.counts[id.index()] += 1;
        if self.counts[id.index()] == 1 && !self.excluded.contains(id) {
            self.bytes += data.size_bytes(id).unwrap_or_default();
        }
    }

    /// Takes away one need of the data.
    pub(super) fn remove(&mut self, id: Id, data: &Data) {
        let Some(count) = self.counts.get_mut(id.index()).filter(|count| **count > 0) else { return };
        *count -= 1;
        if *count == 0 && !self.excluded.contains(id) {
            self.bytes -= data.size_bytes(id).unwrap_or_default();
        }
    }
}
