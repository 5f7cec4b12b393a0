//! `UpstreamStatistics`: what upstreams were asked, and what they said.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::Verdict;

macro_rules! counted {
    ($(#[$meta:meta])* pub enum $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $word:literal ),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum $name { $( $(#[$variant_meta])* $variant ),+ }

        impl $name {
            /// All of them, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The label in metrics.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word ),+ }
            }
        }
    };
}

counted! {
    /// The kind of a request.
    pub enum CacheRequestKind {
        /// The headers or the content of a manifest.
        Manifest = "manifest",
        /// The headers or the content of a blob.
        Blob = "blob",
        /// Tags or referrers.
        List = "list",
    }
}

counted! {
    /// The outcome of a request to an upstream.
    pub enum UpstreamOutcome {
        /// It has it.
        Found = "found",
        /// It does not have it, or does not show it.
        Missing = "missing",
        /// It refuses the account.
        Refused = "refused",
        /// Too many requests.
        Limited = "limited",
        /// No answer, or a failure.
        Away = "away",
        /// An answer that cannot be used.
        Wrong = "wrong",
    }
}

impl UpstreamOutcome {
    pub(crate) fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Missing(_) => Self::Missing,
            Verdict::Refused(_) => Self::Refused,
            Verdict::Limited(..) => Self::Limited,
            Verdict::Away { .. } => Self::Away,
            Verdict::Wrong { .. } => Self::Wrong,
        }
    }
}

/// The requests to one upstream so far.
#[derive(Debug, Default)]
pub struct UpstreamStatistics {
    requests: [[AtomicU64; UpstreamOutcome::ALL.len()]; CacheRequestKind::ALL.len()],
    micros: AtomicU64,
}

impl UpstreamStatistics {
    pub(crate) fn note(&self, kind: CacheRequestKind, outcome: UpstreamOutcome, took: Duration) {
        self.requests[kind as usize][outcome as usize].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The number of requests.
    pub fn requests(&self, kind: CacheRequestKind, outcome: UpstreamOutcome) -> u64 {
        self.requests[kind as usize][outcome as usize].load(Ordering::Relaxed)
    }

    /// The time from requests to the headers of their answers, in all.
    pub fn waited(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }
}

/// Answers of caches so far.
#[derive(Debug, Default)]
pub struct CacheStatistics {
    pub(crate) manifests: Answers,
    pub(crate) blobs: Answers,
    /// Bytes of manifests and blobs from upstreams.
    pub(crate) pulled_manifest_bytes: AtomicU64,
    pub(crate) unstored: AtomicU64,
}

/// Answers about one kind of content.
#[derive(Debug, Default)]
pub struct Answers {
    hits: AtomicU64,
    misses: AtomicU64,
    stale: AtomicU64,
    sent_bytes: AtomicU64,
}

impl Answers {
    pub(crate) fn note(&self, how: crate::Served, sent_bytes: u64) {
        self.sent_bytes.fetch_add(sent_bytes, Ordering::Relaxed);
        let counter = match how {
            crate::Served::Hit | crate::Served::Confirmed => &self.hits,
            crate::Served::Fetched => &self.misses,
            crate::Served::Stale => &self.stale,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// All of them.
    pub fn all(&self) -> u64 {
        self.hits() + self.misses() + self.stale()
    }

    /// The bytes of these answers, as far as clients read them.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Ordering::Relaxed)
    }

    /// From the store.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// From an upstream.
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    /// From the store, since the upstream did not say anything newer.
    pub fn stale(&self) -> u64 {
        self.stale.load(Ordering::Relaxed)
    }
}

impl CacheStatistics {
    /// Answers about manifests.
    pub fn manifests(&self) -> &Answers {
        &self.manifests
    }

    /// Answers about blobs.
    pub fn blobs(&self) -> &Answers {
        &self.blobs
    }

    /// Bytes of manifests from upstreams.
    pub fn pulled_manifest_bytes(&self) -> u64 {
        self.pulled_manifest_bytes.load(Ordering::Relaxed)
    }

    /// Manifests from upstreams that could not be stored.
    pub fn unstored_manifests(&self) -> u64 {
        self.unstored.load(Ordering::Relaxed)
    }
}
