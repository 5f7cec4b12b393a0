//! `Victims`: the manifests that a collection evicts, and why.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::super::interner::{Id, IdHashSet, IdMap};
use super::super::report::Amount;
use crate::oci::RepositoryName;

/// The manifests that a collection evicts.
#[derive(Debug, Default)]
pub(in crate::gc) struct Victims {
    pub(super) by_repository: HashMap<RepositoryName, IdMap<Reason>>,
    /// What they need, themselves included: the reason of the first that needs it.
    pub(super) data: IdMap<Reason>,
    /// The same in each repository.
    pub(super) data_in: HashMap<RepositoryName, IdHashSet>,
    /// The sizes of the caches without them.
    pub(in crate::gc) sizes: Vec<CacheSize>,
}

/// The victims in one repository.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::gc) struct VictimsIn<'a> {
    pub(in crate::gc) manifests: Option<&'a IdMap<Reason>>,
    /// What they need.
    pub(in crate::gc) data: Option<&'a IdHashSet>,
}

/// Why a manifest is evicted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::gc) enum Reason {
    /// It was not used for long.
    Ttl,
    /// The caches are too large.
    Size,
    /// Its data are gone or cannot be read.
    Lost,
}

/// The content that a collection evicted from caches, by reason. The bytes are those of the blobs and manifests that nothing else needed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Evicted {
    /// Manifests that were not used for long.
    pub ttl: Amount,
    /// Manifests that were used longest ago, from caches that were too large.
    pub size: Amount,
    /// Their tags.
    pub tags: u64,
}

/// How much some caches store.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CacheSize {
    /// The prefix of the caches, empty if the whole registry is one; `None` for all together.
    pub prefix: Option<String>,
    /// The bytes of the blobs that only they need, without those that are evicted.
    pub bytes: u64,
}

impl Victims {
    /// The victims in a repository, if there are any.
    pub(in crate::gc) fn of(&self, name: &RepositoryName) -> Option<&IdMap<Reason>> {
        self.by_repository.get(name)
    }

    /// The same, and what they need.
    pub(in crate::gc) fn in_repository(&self, name: &RepositoryName) -> VictimsIn<'_> {
        VictimsIn { manifests: self.of(name), data: self.data_in.get(name) }
    }

    /// Makes none of them a victim any more. Those that are evicted already stay gone.
    pub(in crate::gc) fn spare(&mut self) {
        self.by_repository.clear();
    }

    /// Whether there are none.
    pub(in crate::gc) fn is_empty(&self) -> bool {
        self.by_repository.is_empty()
    }

    /// Why the manifest is evicted from the repository; `None` if it is no victim.
    pub(in crate::gc) fn reason(&self, name: &RepositoryName, id: Id) -> Option<Reason> {
        self.of(name)?.get(&id).copied()
    }

    /// Why the data are not needed any more; `None` if no victim needs them.
    pub(in crate::gc) fn reason_of_data(&self, id: Id) -> Option<Reason> {
        self.data.get(&id).copied()
    }
}

impl Evicted {
    /// Counts a manifest.
    pub(in crate::gc) fn add_manifest(&mut self, reason: Option<Reason>) {
        if let Some(amount) = self.amount(reason) {
            amount.count += 1;
        }
    }

    /// Counts the bytes of data.
    pub(in crate::gc) fn add_data(&mut self, reason: Option<Reason>, bytes: u64) {
        if let Some(amount) = self.amount(reason) {
            amount.bytes += bytes;
        }
    }

    fn amount(&mut self, reason: Option<Reason>) -> Option<&mut Amount> {
        match reason? {
            Reason::Ttl => Some(&mut self.ttl),
            Reason::Size => Some(&mut self.size),
            Reason::Lost => None,
        }
    }
}
