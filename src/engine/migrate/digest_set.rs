//! `DigestSet`: digests, in 32 bytes each.

use std::collections::HashSet;

use crate::oci::Digest;

/// Digests, in 32 bytes each if they are canonical.
#[derive(Debug, Default)]
pub(super) struct DigestSet {
    canonical: HashSet<[u8; 32]>,
    others: HashSet<Digest>,
}

impl DigestSet {
    pub(super) fn insert(&mut self, digest: &Digest) -> bool {
        match digest.canonical_hash() {
            Some(hash) => self.canonical.insert(hash),
            None => self.others.insert(digest.clone()),
        }
    }

    pub(super) fn remove(&mut self, digest: &Digest) {
        match digest.canonical_hash() {
            Some(hash) => _ = self.canonical.remove(&hash),
            None => _ = self.others.remove(digest),
        }
    }

    pub(super) fn contains(&self, digest: &Digest) -> bool {
        match digest.canonical_hash() {
            Some(hash) => self.canonical.contains(&hash),
            None => self.others.contains(digest),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.canonical.is_empty() && self.others.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Digest> {
        let canonical = self.canonical.iter();
        let canonical = canonical.map(|hash| Digest::from_hash(crate::oci::Algorithm::Sha256, hash));
        canonical.chain(self.others.iter().cloned())
    }
}
