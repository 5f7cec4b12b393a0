//! `Options`: what to verify, and how fast.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::heal::HealSource;
use crate::Selection;

/// The parts to verify, and the speed.
#[derive(Clone)]
pub struct Options {
    /// Whether to read tags, links and manifests.
    pub structure: bool,
    /// Whether to hash the data, and where to begin.
    pub data: Option<Start>,
    /// Hashes only digests whose first eight bytes, as a number, are at most this: a part of a cycle.
    pub up_to: u64,
    /// Verifies these repositories, and if they are not all, only the content that they link; such a run keeps no progress.
    pub selection: Selection,
    /// Whether to repair what can be repaired; see the module.
    pub repair: bool,
    /// Where to look for content that is damaged or missing.
    pub source: Option<Arc<dyn HealSource>>,
    /// How many blobs are hashed at a time, each on a thread of its own; 0 hashes on the caller's task.
    pub threads: usize,
    /// The most bytes to read in a second; `None` for no limit.
    pub rate: Option<u64>,
    /// Seconds of rest for every second of work; 0 for none.
    pub rest: f32,
    /// How long the run may hash; it finishes the file that it has begun. Reading the structure has no limit, since half of it is
    /// worth nothing.
    pub max_duration: Option<Duration>,
    /// How long the store may not answer until the run ends.
    pub outage: Duration,
    /// The grace period of the store's collections: how long a client can rely on content.
    pub grace: Duration,
    /// Learns how far the run is.
    pub observer: Option<Observer>,
    /// Ends the run at the next moment; it reports what it has found.
    pub stop: CancellationToken,
}

/// Where to begin to hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Start {
    /// Where the last run stopped.
    Continue,
    /// At the first digest.
    Beginning,
}

/// Is called with the length in bytes of all data that were hashed.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(u64) + Send + Sync>);

impl Observer {
    /// Calls `observe` with the length of each.
    pub fn new(observe: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }
}

impl Options {
    pub(super) fn emit(&self, size_bytes: u64) {
        if let Some(observer) = &self.observer {
            (observer.0)(size_bytes);
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            structure: true,
            data: Some(Start::Continue),
            up_to: u64::MAX,
            selection: Selection::default(),
            repair: false,
            source: None,
            threads: 0,
            rate: None,
            rest: 0.0,
            max_duration: None,
            outage: Duration::from_secs(60),
            grace: Duration::from_secs(24 * 60 * 60),
            observer: None,
            stop: CancellationToken::new(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("structure", &self.structure)
            .field("data", &self.data)
            .field("repair", &self.repair)
            .field("threads", &self.threads)
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}
