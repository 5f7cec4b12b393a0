//! `Ids`: a number for every digest that is met, so that everything else about it takes four bytes.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::oci::{Algorithm, Digest};

/// The number of a digest. An alias (any digest but a canonical one) has the highest bit set.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Id(u32);

const ALIAS: u32 = 1 << 31;

impl Id {
    pub(super) fn is_alias(self) -> bool {
        self.0 & ALIAS != 0
    }

    /// The place of a canonical digest in a list with one place a digest.
    pub(super) fn index(self) -> usize {
        (self.0 & !ALIAS) as usize
    }
}

/// All digests and their numbers, in some forty bytes each.
#[derive(Debug)]
pub(super) struct Ids {
    hashes: Vec<[u8; 32]>,
    /// An open-addressed table of places in `hashes`, at most half full; its length is a power of two.
    slots: Vec<u32>,
    hasher: RandomState,
    /// There are few of these.
    aliases: Vec<Digest>,
    alias_ids: HashMap<Digest, u32>,
}

const EMPTY: u32 = u32::MAX;

impl Default for Ids {
    fn default() -> Self {
        Self {
            hashes: Vec::new(),
            slots: vec![EMPTY; 16],
            hasher: RandomState::new(),
            aliases: Vec::new(),
            alias_ids: HashMap::new(),
        }
    }
}

impl Ids {
    /// The number of a digest, a new one if need be.
    pub(super) fn intern(&mut self, digest: &Digest) -> Id {
        let Some(hash) = digest.canonical_hash() else { return self.intern_alias(digest) };
        let slot = match self.find_slot(&hash) {
            Ok(found) => return Id(found),
            Err(slot) => slot,
        };
        let id = next(self.hashes.len());
        self.hashes.push(hash);
        self.slots[slot] = id;
        if self.hashes.len() * 2 > self.slots.len() {
            self.grow();
        }
        Id(id)
    }

    /// The digest of a number.
    pub(super) fn digest(&self, id: Id) -> Digest {
        if id.is_alias() {
            return self.aliases[id.index()].clone();
        }
        Digest::from_hash(Algorithm::Sha256, &self.hashes[id.index()])
    }

    /// The numbers of all canonical digests.
    pub(super) fn canonical(&self) -> impl Iterator<Item = Id> + use<> {
        (0..next(self.hashes.len())).map(Id)
    }

    /// The binary value of a canonical digest, by which lists are put in order.
    pub(super) fn hash(&self, id: Id) -> &[u8; 32] {
        &self.hashes[id.index()]
    }

    fn intern_alias(&mut self, digest: &Digest) -> Id {
        let next = next(self.aliases.len());
        let id = *self.alias_ids.entry(digest.clone()).or_insert(next);
        if id == next {
            self.aliases.push(digest.clone());
        }
        Id(id | ALIAS)
    }

    /// The number of a hash, or the slot where it is to go.
    fn find_slot(&self, hash: &[u8; 32]) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = usize::try_from(self.hasher.hash_one(hash) & mask as u64).unwrap_or_default();
        loop {
            match self.slots[slot] {
                EMPTY => return Err(slot),
                id if self.hashes[id as usize] == *hash => return Ok(id),
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        self.slots = vec![EMPTY; self.slots.len() * 2];
        for id in 0..self.hashes.len() {
            if let Err(slot) = self.find_slot(&self.hashes[id]) {
                self.slots[slot] = next(id);
            }
        }
    }
}

/// The number after `count` others. Two digests with one number would be taken for one another, so rather stop.
fn next(count: usize) -> u32 {
    assert!(count < ALIAS as usize, "more than two thousand million digests in one store");
    count as u32
}

/// A yes or no for each canonical digest; no where nothing was said.
#[derive(Clone, Debug, Default)]
pub(super) struct IdSet(Vec<u64>);

impl IdSet {
    pub(super) fn insert(&mut self, id: Id) -> bool {
        let (word, bit) = (id.index() / 64, 1 << (id.index() % 64));
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    pub(super) fn contains(&self, id: Id) -> bool {
        self.0.get(id.index() / 64).is_some_and(|word| word & (1 << (id.index() % 64)) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digest_keeps_its_number() {
        let mut ids = Ids::default();
        let digests: Vec<Digest> = (0..5000_u32)
            .map(|number| {
                let algorithm = if number % 100 == 0 { Algorithm::Sha512 } else { Algorithm::Sha256 };
                Digest::of(algorithm, &number.to_le_bytes())
            })
            .collect();
        let first: Vec<Id> = digests.iter().map(|digest| ids.intern(digest)).collect();
        let again: Vec<Id> = digests.iter().map(|digest| ids.intern(digest)).collect();
        assert_eq!(first, again);
        assert_eq!(ids.canonical().count(), 4950);
        for (digest, id) in digests.iter().zip(first) {
            assert_eq!(ids.digest(id), *digest);
            assert_eq!(id.is_alias(), !digest.is_canonical());
        }
    }

    #[test]
    fn a_set_has_what_was_put_in() {
        let mut set = IdSet::default();
        assert!(set.insert(Id(1000)));
        assert!(!set.insert(Id(1000)));
        assert!(set.contains(Id(1000)));
        assert!(!set.contains(Id(999)));
        assert!(!set.contains(Id(100_000)));
    }
}
