//! By which digest a tag was pushed, where that is not the one that content is stored under (`PUT …/sha512:…?tag=`).
//!
//! The link of a tag names the canonical digest. CNCF Distribution would read a link with another one, too, but its
//! `garbage-collect --delete-untagged` then takes the manifest for untagged, and deletes it. So the other digest stands beside,
//! in `_sampan/digests/<tag>`, where Distribution does not look. It is a hint: it counts while the repository knows it for a
//! digest of the manifest that the tag points at. It is written last, so it is never there without a push that asked for it;
//! a push by tag or by the canonical digest removes it, and so does a deletion of the tag.
//!
//! Few tags have one, and each pull by tag would look for it. So where there was none a moment ago, none is looked for.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::Instant;

use crate::layout::Entry;
use crate::oci::{Digest, RepositoryName, Tag};
use crate::{Error, Result, TagStore, link};

/// Which tags had no digest beside them a moment ago: of each place in the table, the last one.
#[derive(Debug)]
pub(crate) struct AbsentDigests {
    /// Of each tag a part of its hash, and above that the second in which it was looked for.
    slots: Box<[AtomicU64]>,
    hasher: RandomState,
    begin: Instant,
}

/// How many tags are remembered, 8 bytes each.
const SLOTS: usize = 4096;

/// For so long another registry over the same store may have written one that is not seen.
const FRESH: Duration = Duration::from_secs(10);

/// How many bits of a slot are of the hash; the others count seconds, for half a year before they begin anew.
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
    /// The digest by which the tag was pushed, if one was noted. Whether it is one of what the tag points at is another question.
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
            // It is a hint.
            Err(Error::Corrupt(..)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Notes by which digest the tags were pushed, after they were set.
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
