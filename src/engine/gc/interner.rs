//! `DigestInterner`: gives every digest an id, so that everything else about it takes four bytes.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use crate::oci::{Algorithm, Digest};

/// The id of a digest. An alias (any digest that is not canonical) has the highest bit set.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Id(u32);

const ALIAS: u32 = 1 << 31;

impl Id {
    pub(super) fn is_alias(self) -> bool {
        self.0 & ALIAS != 0
    }

    /// The canonical digest with this [`index`](Self::index).
    pub(super) fn of_index(index: u32) -> Self {
        Self(index & !ALIAS)
    }

    /// The index of a canonical digest in a list with one element for each digest.
    pub(super) fn index(self) -> usize {
        (self.0 & !ALIAS) as usize
    }
}

/// A digest that was found in a document and may have no id yet.
#[derive(Clone, Debug)]
pub(super) enum DigestRef {
    /// A canonical digest, by its binary value.
    Canonical([u8; 32]),
    /// Any other digest.
    Alias(Digest),
}

impl DigestRef {
    pub(super) fn of(digest: &Digest) -> Self {
        digest.canonical_hash().map_or_else(|| Self::Alias(digest.clone()), Self::Canonical)
    }
}

/// All digests and their ids, in some forty bytes each.
#[derive(Debug)]
pub(super) struct DigestInterner {
    hashes: Vec<[u8; 32]>,
    /// An open-addressed table of indices into `hashes`, at most half full; its length is a power of two.
    slots: Vec<u32>,
    /// Has a random key, so that clients cannot choose digests that crowd a part of the table.
    hasher: RandomState,
    /// There are few aliases.
    aliases: Vec<Digest>,
    alias_ids: HashMap<Digest, u32>,
}

const EMPTY: u32 = u32::MAX;

impl Default for DigestInterner {
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

impl DigestInterner {
    /// Returns the id of a digest, a new one if necessary.
    pub(super) fn intern(&mut self, digest: &Digest) -> Id {
        match digest.canonical_hash() {
            Some(hash) => self.intern_hash(&hash),
            None => self.intern_alias(digest),
        }
    }

    /// Returns the id of a digest that was found in a document, a new one if necessary.
    pub(super) fn intern_mention(&mut self, mention: &DigestRef) -> Id {
        match mention {
            DigestRef::Canonical(hash) => self.intern_hash(hash),
            DigestRef::Alias(digest) => self.intern_alias(digest),
        }
    }

    /// Returns the id of the canonical digest with that binary value, a new one if necessary.
    pub(super) fn intern_hash(&mut self, hash: &[u8; 32]) -> Id {
        let slot = match self.find_slot(hash) {
            Ok(found) => return Id(found),
            Err(slot) => slot,
        };
        let id = next(self.hashes.len());
        self.hashes.push(*hash);
        self.slots[slot] = id;
        if self.hashes.len() * 2 > self.slots.len() {
            self.grow();
        }
        Id(id)
    }

    /// Returns the digest of an id.
    pub(super) fn digest(&self, id: Id) -> Digest {
        if id.is_alias() {
            return self.aliases[id.index()].clone();
        }
        Digest::from_hash(Algorithm::Sha256, &self.hashes[id.index()])
    }

    /// The ids of all canonical digests.
    pub(super) fn canonical(&self) -> impl Iterator<Item = Id> + use<> {
        (0..next(self.hashes.len())).map(Id)
    }

    /// The binary value of a canonical digest, by which lists are sorted.
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

    /// The id of a hash, or the free slot for it.
    fn find_slot(&self, hash: &[u8; 32]) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = self.hasher.hash_one(hash) as usize & mask;
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

/// The id after `count` others. Panics if there are too many: two digests with one id would be mistaken for each other.
fn next(count: usize) -> u32 {
    assert!(count < ALIAS as usize, "more than two thousand million digests in one store");
    count as u32
}

/// A set of canonical digests, one bit each.
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

    pub(super) fn add_all(&mut self, other: &Self) {
        if other.0.len() > self.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }

    pub(super) fn contains(&self, id: Id) -> bool {
        self.0.get(id.index() / 64).is_some_and(|word| word & (1 << (id.index() % 64)) != 0)
    }
}

/// A map by id, and a set of ids.
pub(super) type IdMap<V> = HashMap<Id, V, BuildHasherDefault<IdHasher>>;
pub(super) type IdHashSet = HashSet<Id, BuildHasherDefault<IdHasher>>;

/// Hashes ids. Clients do not choose ids, which are consecutive, so the hash needs no key; it only has to spread them.
#[derive(Debug, Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        // The golden ratio. The table needs both the lowest and the highest bits to differ.
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digest_keeps_its_number() {
        let mut ids = DigestInterner::default();
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
