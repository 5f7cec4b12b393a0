//! `Options`: how to collect.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::Event;

/// How to collect.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only tells what would go. Nothing is written at all, not even the lock.
    pub dry_run: bool,
    /// Whether manifests go that no tag, index or subject reaches.
    pub delete_untagged: bool,
    /// What is younger stays. Zero is for a store that nobody writes to; it must be the grace of [`RegistryBuilder::gc_grace`]
    /// (or more) where somebody does.
    ///
    /// [`RegistryBuilder::gc_grace`]: crate::RegistryBuilder::gc_grace
    pub grace: Duration,
    /// Uploads go that nobody has touched for so long; none without it.
    pub upload_age: Option<Duration>,
    /// How many files are read or deleted at a time.
    pub concurrency: usize,
    /// How many things are published in one file, and go before it is removed. Where there are more than four such batches,
    /// several are published together, since a walk over the repositories follows. Pushes of what is in them wait.
    pub batch: usize,
    /// How long to rest for every second of work: 0 for not at all.
    pub rest: f32,
    /// How much of all bytes of blobs may go unasked, in per cent. Beyond that nothing goes, and the collection fails with
    /// [`TooMuch`](super::Error::TooMuch); 100 asks never. Little is deleted unasked in any case
    /// ([`UNASKED_BYTES`](super::UNASKED_BYTES)).
    pub max_delete_percent: u8,
    /// Somebody has seen what would go, and wants it to: neither the amount nor repositories that vanished stop the collection.
    pub confirmed: bool,
    /// Who is told what is found.
    pub observer: Option<Observer>,
    /// Ends the collection at the next good moment.
    pub stop: Stop,
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
            observer: None,
            stop: Stop::default(),
        }
    }
}

/// Somebody who is told what a collection finds.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(Event<'_>) + Send + Sync>);

impl Observer {
    /// Tells `observe`.
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

/// A word to stop, for any number of collections that have a clone of it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Word>);

#[derive(Debug, Default)]
struct Word {
    is_said: AtomicBool,
    said: Notify,
}

impl Stop {
    /// Says it. The collection clears away its notices and ends with [`Error::Stopped`](super::Error::Stopped).
    pub fn stop(&self) {
        self.0.is_said.store(true, Ordering::Release);
        self.0.said.notify_waiters();
    }

    pub(super) fn is_said(&self) -> bool {
        self.0.is_said.load(Ordering::Acquire)
    }

    /// Waits until it is said.
    pub(super) async fn said(&self) {
        // Before the look: a word in between is not missed.
        let said = self.0.said.notified();
        if !self.is_said() {
            said.await;
        }
    }
}
