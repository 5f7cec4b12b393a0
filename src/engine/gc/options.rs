//! `Options`: how to collect.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::cutoff::Cutoff;
use super::{Event, Eviction, Scope};
use crate::Clock;
use crate::backup::SnapshotId;

/// How to collect.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only reports what the collection would delete. A dry run writes nothing at all, not even the lock.
    pub dry_run: bool,
    /// Whether the collection deletes manifests that no tag, index or subject reaches.
    pub delete_untagged: bool,
    /// Grace period: younger files stay. Zero is for a store that no client writes to; if clients write, it must be the
    /// grace period of [`RegistryBuilder::gc_grace`] or longer.
    ///
    /// [`RegistryBuilder::gc_grace`]: crate::RegistryBuilder::gc_grace
    pub grace: Duration,
    /// The collection purges uploads that no request has touched for this long; `None` purges no upload.
    pub upload_age: Option<Duration>,
    /// How many files are read or deleted at a time.
    pub concurrency: usize,
    /// How many entries the collection publishes in one file, and deletes before it removes the file. With more than four
    /// such batches, it publishes several together, since a walk over the repositories follows. Pushes of their entries
    /// wait.
    pub batch: usize,
    /// Seconds of rest for every second of work; 0 for none.
    pub rest: f32,
    /// How much of all bytes of blobs the collection may delete without confirmation, in per cent. Above that it deletes
    /// nothing, and fails with [`TooMuch`](super::Error::TooMuch); 100 never asks. A small amount needs no confirmation in
    /// any case ([`UNASKED_BYTES`](super::UNASKED_BYTES)).
    pub max_delete_percent: u8,
    /// The user has seen what the collection would delete, and confirms it: neither the amount nor vanished repositories
    /// stop the collection.
    pub confirmed: bool,
    /// The user deletes untagged manifests from a store without clients: what they need does not count as an amount to
    /// confirm. Everything else does.
    pub untagged_confirmed: bool,
    /// Snapshots of other stores that keep nothing, because they are about to be deleted.
    pub without_snapshots: Vec<SnapshotId>,
    /// Which repositories the collection collects.
    pub scope: Scope,
    /// The eviction from caches of other registries; `None` evicts nothing.
    pub evict: Option<Eviction>,
    /// Receives the events of the collection.
    pub observer: Option<Observer>,
    /// Ends the collection at the next safe moment: it removes its notices and fails with
    /// [`Stopped`](super::Error::Stopped).
    pub stop: CancellationToken,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dry_run: false,
            delete_untagged: false,
            grace: Duration::from_secs(24 * 60 * 60),
            upload_age: None,
            concurrency: 32,
            batch: 5000,
            rest: 0.0,
            max_delete_percent: 50,
            confirmed: false,
            untagged_confirmed: false,
            without_snapshots: Vec::new(),
            scope: Scope::All,
            evict: None,
            observer: None,
            stop: CancellationToken::new(),
        }
    }
}

impl Options {
    /// The dates by which files are young.
    pub(super) fn cutoff(&self, clock: &Clock) -> Cutoff {
        let cutoff = Cutoff::new(clock, self.grace);
        self.evict.as_ref().map_or(cutoff, |evict| cutoff.with_caches(clock, evict.grace))
    }
}

/// Receives the events of a collection.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(Event<'_>) + Send + Sync>);

impl Observer {
    /// Calls `observe` with each event.
    pub fn new(observe: impl Fn(Event<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }

    pub(super) fn emit(&self, event: Event<'_>) {
        (self.0)(event);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer(…)")
    }
}
