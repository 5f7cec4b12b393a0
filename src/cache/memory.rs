//! `Memory`: what the process remembers of upstreams. Each part has a bound; what is lost is asked again.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use sampan_engine::Referrer;
use sampan_engine::oci::{Digest, Reference, RepositoryName, Tag};

/// The last answer of an upstream for a tag, and its time.
#[derive(Clone, Debug)]
pub(crate) struct CachedTag {
    /// On the clients' clock.
    pub(crate) at: Duration,
    pub(crate) found: TagInfo,
    /// When the stored tag was last what the upstream says; `None` if this process has not seen that.
    pub(crate) confirmed_at: Option<Duration>,
    /// Whether the stored tag was what the upstream says since this look.
    pub(crate) is_confirmed: bool,
}

/// The manifest of a tag at an upstream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct TagInfo {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) size_bytes: Option<u64>,
}

/// The last list of an upstream, and its time.
#[derive(Clone, Debug)]
pub(crate) struct CachedList<T> {
    pub(crate) at: Duration,
    /// `None` if the upstream has no such repository.
    pub(crate) entries: Option<Arc<Vec<T>>>,
}

/// The memory of the process. Each part is bounded in bytes, since others choose the lengths of names and media types.
pub(crate) struct Memory {
    pub(crate) looks: Weighed<(RepositoryName, Tag), CachedTag>,
    /// The tags for which the upstream refused the account.
    pub(crate) refused: Weighed<(RepositoryName, Tag), ()>,
    /// When the upstream said that it has no such manifest.
    pub(crate) missing: Weighed<(RepositoryName, Reference), Duration>,
    /// When the upstream last refused the account for such a manifest.
    pub(crate) refused_at: Weighed<(RepositoryName, Reference), Duration>,
    /// When the upstream last failed to give a manifest.
    pub(crate) withheld: Weighed<(RepositoryName, Digest), Duration>,
    /// The lengths of what the manifests refer to that this process stored.
    pub(crate) described: Weighed<(RepositoryName, Digest), u64>,
    /// A repository that has the blob, by upstream and digest.
    pub(crate) holders: Weighed<(Arc<str>, Digest), RepositoryName>,
    /// Tags that wait for their manifest: a client asked for the tag without its content.
    pub(crate) pending: Weighed<(RepositoryName, Digest), Arc<Vec<Tag>>>,
    pub(crate) tags: Weighed<RepositoryName, CachedList<Tag>>,
    pub(crate) referrers: Weighed<(RepositoryName, Digest), CachedList<Referrer>>,
}

/// A cache that is bounded in bytes.
pub(crate) type Weighed<K, V> = Cache<K, V, ByBytes>;

/// The bound of what is short: some ten thousand entries of usual names.
const SHORT_BYTES: u64 = 2 << 20;
/// The bound of what there is much of, and of lists.
const LONG_BYTES: u64 = 8 << 20;
/// Of one manifest, more tags do not wait; the next look at such a tag finds the manifest stored.
pub(crate) const MAX_WAITING_TAGS: usize = 64;

impl Default for Memory {
    fn default() -> Self {
        Self {
            looks: weighed(LONG_BYTES),
            refused: weighed(SHORT_BYTES),
            missing: weighed(SHORT_BYTES),
            refused_at: weighed(SHORT_BYTES),
            withheld: weighed(SHORT_BYTES),
            described: weighed(LONG_BYTES),
            holders: weighed(LONG_BYTES),
            pending: weighed(SHORT_BYTES),
            tags: weighed_lists(LONG_BYTES),
            referrers: weighed_lists(LONG_BYTES),
        }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("looks", &self.looks.len()).finish_non_exhaustive()
    }
}

fn weighed<K: Bytes + Eq + Hash, V: Bytes + Clone>(most_bytes: u64) -> Weighed<K, V> {
    Cache::with_weighter(usual_entries(most_bytes), most_bytes, ByBytes)
}

/// The same for entries of which one may take nearly all. The cache divides its bytes by its shards, of which there are more
/// the more processors the machine has, and keeps no entry that is longer than a shard.
fn weighed_lists<K: Bytes + Eq + Hash, V: Bytes + Clone>(most_bytes: u64) -> Weighed<K, V> {
    let mut options = OptionsBuilder::new();
    options.estimated_items_capacity(usual_entries(most_bytes)).weight_capacity(most_bytes).shards(1);
    #[expect(clippy::expect_used, reason = "both capacities are given")]
    let options = options.build().expect("invariant: both capacities are set");
    Cache::with_options(options, ByBytes, DefaultHashBuilder::default(), DefaultLifecycle::default())
}

fn usual_entries(most_bytes: u64) -> usize {
    usize::try_from(most_bytes / USUAL_BYTES).unwrap_or(usize::MAX)
}

/// The bytes of an entry with usual names, for the initial size of the cache.
const USUAL_BYTES: u64 = 512;
/// The bytes of an entry without its texts and lists.
const ENTRY_BYTES: u64 = 200;

/// Weighs entries by their bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByBytes;

impl<K: Bytes, V: Bytes> Weighter<K, V> for ByBytes {
    fn weight(&self, key: &K, value: &V) -> u64 {
        ENTRY_BYTES + key.bytes() + value.bytes()
    }
}

/// The bytes of texts and lists on the heap.
pub(crate) trait Bytes {
    fn bytes(&self) -> u64;
}

/// A text that is shared, with its counters.
fn text(text: &str) -> u64 {
    text.len() as u64 + 16
}

impl Bytes for () {
    fn bytes(&self) -> u64 {
        0
    }
}

impl Bytes for u64 {
    fn bytes(&self) -> u64 {
        0
    }
}

impl Bytes for Duration {
    fn bytes(&self) -> u64 {
        0
    }
}

impl Bytes for Arc<str> {
    fn bytes(&self) -> u64 {
        text(self)
    }
}

impl Bytes for RepositoryName {
    fn bytes(&self) -> u64 {
        text(self.as_str())
    }
}

impl Bytes for Tag {
    fn bytes(&self) -> u64 {
        text(self.as_str())
    }
}

impl Bytes for Digest {
    fn bytes(&self) -> u64 {
        text(self.hex())
    }
}

impl Bytes for Reference {
    fn bytes(&self) -> u64 {
        match self {
            Self::Tag(tag) => tag.bytes(),
            Self::Digest(digest) => digest.bytes(),
        }
    }
}

impl Bytes for CachedTag {
    fn bytes(&self) -> u64 {
        self.found.digest.bytes() + text(&self.found.media_type)
    }
}

impl Bytes for Referrer {
    fn bytes(&self) -> u64 {
        self.digest.bytes() + text(self.json())
    }
}

impl<A: Bytes, B: Bytes> Bytes for (A, B) {
    fn bytes(&self) -> u64 {
        self.0.bytes() + self.1.bytes()
    }
}

impl<T: Bytes> Bytes for Arc<Vec<T>> {
    fn bytes(&self) -> u64 {
        self.iter().map(|entry| size_of::<T>() as u64 + entry.bytes()).sum()
    }
}

impl<T: Bytes> Bytes for CachedList<T> {
    fn bytes(&self) -> u64 {
        self.entries.as_ref().map_or(0, Bytes::bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(n: usize) -> RepositoryName {
        format!("{n:05}{}", "a".repeat(250)).parse().unwrap()
    }

    fn tag(n: usize) -> Tag {
        format!("{n:05}{}", "b".repeat(123)).parse().unwrap()
    }

    fn digest(n: usize) -> Digest {
        Digest::of(sampan_engine::oci::Algorithm::Sha512, &n.to_le_bytes())
    }

    /// Fails if the bytes are divided by the processors.
    #[test]
    fn a_list_is_remembered_that_takes_most_of_the_bytes() {
        let memory = Memory::default();
        let listed =
            CachedList { at: Duration::ZERO, entries: Some(Arc::new((0..40_000).map(tag).collect())) };
        assert!((LONG_BYTES * 3 / 4..LONG_BYTES).contains(&listed.bytes()), "{}", listed.bytes());
        memory.tags.insert(name(0), listed);
        assert!(memory.tags.get(&name(0)).is_some());
    }

    /// The longest names, and media types as long as a header may be.
    #[test]
    fn no_part_exceeds_its_bytes() {
        let memory = Memory::default();
        let at = Duration::ZERO;
        let found = TagInfo { digest: digest(0), media_type: "m".repeat(16 << 10), size_bytes: None };
        let look = CachedTag { at, found, confirmed_at: None, is_confirmed: false };
        let waiting = Arc::new((0..MAX_WAITING_TAGS).map(tag).collect::<Vec<_>>());
        let tags = CachedList { at, entries: Some(Arc::new((0..5000).map(tag).collect())) };
        for n in 0..20_000 {
            memory.looks.insert((name(n), tag(n)), look.clone());
            memory.refused.insert((name(n), tag(n)), ());
            memory.missing.insert((name(n), Reference::Tag(tag(n))), at);
            memory.refused_at.insert((name(n), Reference::Tag(tag(n))), at);
            memory.withheld.insert((name(n), digest(n)), at);
            memory.described.insert((name(n), digest(n)), 1);
            memory.holders.insert(("upstream".into(), digest(n)), name(n));
            memory.pending.insert((name(n), digest(n)), waiting.clone());
        }
        for n in 0..100 {
            memory.tags.insert(name(n), tags.clone());
        }
        let short = [
            (memory.refused.weight(), memory.refused.len()),
            (memory.missing.weight(), memory.missing.len()),
            (memory.refused_at.weight(), memory.refused_at.len()),
            (memory.withheld.weight(), memory.withheld.len()),
            (memory.pending.weight(), memory.pending.len()),
        ];
        let long = [
            (memory.looks.weight(), memory.looks.len()),
            (memory.described.weight(), memory.described.len()),
            (memory.holders.weight(), memory.holders.len()),
            (memory.tags.weight(), memory.tags.len()),
        ];
        for (parts, most) in [(&short[..], SHORT_BYTES), (&long[..], LONG_BYTES)] {
            for &(weight, entries) in parts {
                assert!(weight <= most && entries > 0, "{entries} entries weigh {weight} of {most}");
            }
        }
    }
}
