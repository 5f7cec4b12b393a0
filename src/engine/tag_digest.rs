//! The digest of a push by tag, where it is not the canonical digest (`PUT …/sha512:…?tag=`).
//!
//! The link of a tag names the canonical digest. CNCF Distribution can read a link with another digest, but its
//! `garbage-collect --delete-untagged` then regards the manifest as untagged and deletes it. So `_sampan/digests/<tag>`,
//! which Distribution ignores, stores the other digest. The file is a hint: it counts while the repository knows the digest
//! as one of the manifest that the tag points at. A push writes it last, so it never exists without a push that named the
//! digest; a push by tag or by the canonical digest removes it, and so does a deletion of the tag.
//!
//! Few tags have this file, but each pull by tag would read it. So a pull skips the read if the file was missing moments ago.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::Instant;

use crate::layout::Entry;
use crate::oci::{Digest, RepositoryName, Tag};
use crate::{Error, Result, TagStore, link};

/// The tags that lacked the file moments ago: each slot of the table holds the last one.
#[derive(Debug)]
pub(crate) struct AbsentDigests {
    /// Each slot holds part of the tag's hash and, above it, the second of the read.
    slots: Box<[AtomicU64]>,
    hasher: RandomState,
    begin: Instant,
}

/// How many tags the table remembers, 8 bytes each.
const SLOTS: usize = 4096;

/// How long the table may miss a file that another registry over the same store wrote.
const FRESH: Duration = Duration::from_secs(10);

/// How many bits of a slot belong to the hash; the others count seconds and wrap after half a year.
const HASH_BITS: u32 = 40;

impl Default for AbsentDigests {
    fn default() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| AtomicU64::new(u64::MAX)).collect(),
            hasher: RandomState::new(),
            begin: Instant::now(),
        }
    }
}

impl AbsentDigests {
    fn place(&self, name: &RepositoryName, tag: &Tag) -> (&AtomicU64, u64) {
        let hash = self.hasher.hash_one((name, tag));
        let slot = usize::try_from(hash % SLOTS as u64).unwrap_or(0);
        (&self.slots[slot], hash >> (u64::BITS - HASH_BITS))
    }

    fn note(&self, name: &RepositoryName, tag: &Tag) {
        let (slot, hash) = self.place(name, tag);
        slot.store(self.begin.elapsed().as_secs() << HASH_BITS | hash, Ordering::Relaxed);
    }

    fn forget(&self, name: &RepositoryName, tag: &Tag) {
        self.place(name, tag).0.store(u64::MAX, Ordering::Relaxed);
    }

    fn has(&self, name: &RepositoryName, tag: &Tag) -> bool {
        let (slot, hash) = self.place(name, tag);
        let noted = slot.load(Ordering::Relaxed);
        let now = self.begin.elapsed().as_secs() & (u64::MAX >> HASH_BITS);
        noted & (u64::MAX >> (u64::BITS - HASH_BITS)) == hash
            && now.checked_sub(noted >> HASH_BITS).is_some_and(|age| age < FRESH.as_secs())
    }
}

impl TagStore {
    /// The digest of the tag's push, if the push stored one. The caller checks that it belongs to the manifest of the tag.
    pub(crate) async fn pushed_digest(&self, tag: &Tag) -> Result<Option<Digest>> {
        let name = &self.repository.name;
        let absent = &self.repository.registry.inner.absent_digests;
        if absent.has(name, tag) {
            return Ok(None);
        }
        match link::read(self.driver(), &Entry::TagDigest(name.clone(), tag.clone())).await {
            Ok(None) => {
                absent.note(name, tag);
                Ok(None)
            }
            Ok(digest) => Ok(digest.filter(|digest| !digest.is_canonical())),
            // The file is a hint.
            Err(Error::Corrupt(..)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stores the digest of a push beside its tags, after the push set them.
    pub(crate) async fn note_pushed_digest(&self, tags: &[&Tag], digest: &Digest) -> Result<()> {
        try_join_all(tags.iter().map(|tag| self.note_one(tag, digest))).await?;
        Ok(())
    }

    async fn note_one(&self, tag: &Tag, digest: &Digest) -> Result<()> {
        let entry = Entry::TagDigest(self.repository.name.clone(), tag.clone());
        if !digest.is_canonical() {
            link::write(self.driver(), &entry, digest).await?;
            self.repository.registry.inner.absent_digests.forget(&self.repository.name, tag);
        } else if self.pushed_digest(tag).await?.is_some() {
            link::remove(self.driver(), &entry).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(number: usize) -> (RepositoryName, Tag) {
        ("a/b".parse().unwrap(), format!("t{number}").parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn an_absence_is_believed_for_a_moment_and_forgotten_with_a_push() {
        let absent = AbsentDigests::default();
        let (name, tag) = tag(0);
        assert!(!absent.has(&name, &tag));
        absent.note(&name, &tag);
        assert!(absent.has(&name, &tag));
        assert!(!absent.has(&"a/c".parse().unwrap(), &tag));
        absent.forget(&name, &tag);
        assert!(!absent.has(&name, &tag));
        absent.note(&name, &tag);
        tokio::time::advance(FRESH).await;
        assert!(!absent.has(&name, &tag));
    }

    #[tokio::test(start_paused = true)]
    async fn no_tag_is_taken_for_another_and_the_table_does_not_grow() {
        let absent = AbsentDigests::default();
        let tags: Vec<_> = (0..20_000).map(tag).collect();
        let met = |(name, tag): &&(RepositoryName, Tag)| absent.has(name, tag);
        for (name, tag) in &tags[..10_000] {
            absent.note(name, tag);
        }
        assert_eq!(tags[10_000..].iter().filter(met).count(), 0);
        let kept = tags[..10_000].iter().filter(met).count();
        assert!((1..=SLOTS).contains(&kept), "{kept}");
        assert_eq!(std::mem::size_of_val(&*absent.slots), 8 * SLOTS);
    }
}
