//! `Memory`: what the process remembers of upstreams. Each part has a bound; what is lost is asked again.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sampan_engine::Referrer;
use sampan_engine::oci::{Digest, Reference, RepositoryName, Tag};

/// What an upstream said of a tag, and when.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// On the clients' clock.
    pub(crate) at: Duration,
    pub(crate) found: TagInfo,
    /// When the stored tag was last what the upstream says; `None` if this process has not seen that.
    pub(crate) confirmed_at: Option<Duration>,
}

/// The manifest of a tag at an upstream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct TagInfo {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) size_bytes: Option<u64>,
}

/// A list, and when the upstream gave it.
#[derive(Clone, Debug)]
pub(crate) struct Listed<T> {
    pub(crate) at: Duration,
    /// `None`: there is no such repository.
    pub(crate) entries: Option<Arc<Vec<T>>>,
}

/// What the process remembers.
pub(crate) struct Memory {
    pub(crate) looks: Cache<(RepositoryName, Tag), Look>,
    /// The tags for which the upstream refused the account.
    pub(crate) refused: Cache<(RepositoryName, Tag), ()>,
    /// When the upstream said that it has no such manifest.
    pub(crate) missing: Cache<(RepositoryName, Reference), Duration>,
    /// When the upstream last failed to give a manifest.
    pub(crate) withheld: Cache<(RepositoryName, Digest), Duration>,
    /// The lengths of what the manifests refer to that this process stored.
    pub(crate) described: Cache<(RepositoryName, Digest), u64>,
    /// A repository that has the blob, by upstream and digest.
    pub(crate) holders: Cache<(Arc<str>, Digest), RepositoryName>,
    /// Tags that wait for their manifest: a client asked for the tag without its content.
    pub(crate) pending: Cache<(RepositoryName, Digest), Arc<Vec<Tag>>>,
    pub(crate) tags: Cache<RepositoryName, Listed<Tag>, Bytes>,
    pub(crate) referrers: Cache<(RepositoryName, Digest), Listed<Referrer>, Bytes>,
}

/// Entries of some 250 bytes: 5 MiB together.
const ENTRIES: usize = 4096;
/// Entries of some 250 bytes: 8 MiB each.
const MANY_ENTRIES: usize = 32_768;
/// The size of each kind of list.
const LIST_BYTES: u64 = 8 << 20;

impl Default for Memory {
    fn default() -> Self {
        Self {
            looks: Cache::new(ENTRIES),
            refused: Cache::new(ENTRIES),
            missing: Cache::new(ENTRIES),
            withheld: Cache::new(ENTRIES),
            described: Cache::new(MANY_ENTRIES),
            holders: Cache::new(MANY_ENTRIES),
            pending: Cache::new(ENTRIES),
            tags: Cache::with_weighter(ENTRIES, LIST_BYTES, Bytes),
            referrers: Cache::with_weighter(ENTRIES, LIST_BYTES, Bytes),
        }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("looks", &self.looks.len()).finish_non_exhaustive()
    }
}

/// Weighs lists by their bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes;

/// The cost of an entry beside its list.
const ENTRY_BYTES: u64 = 512;

impl Weighter<RepositoryName, Listed<Tag>> for Bytes {
    fn weight(&self, _: &RepositoryName, list: &Listed<Tag>) -> u64 {
        let tags = list.entries.iter().flat_map(|tags| tags.iter());
        ENTRY_BYTES + tags.map(|tag| tag.as_str().len() as u64 + 32).sum::<u64>()
    }
}

impl Weighter<(RepositoryName, Digest), Listed<Referrer>> for Bytes {
    fn weight(&self, _: &(RepositoryName, Digest), list: &Listed<Referrer>) -> u64 {
        let referrers = list.entries.iter().flat_map(|referrers| referrers.iter());
        ENTRY_BYTES + referrers.map(|referrer| referrer.json().len() as u64 + 128).sum::<u64>()
    }
}
