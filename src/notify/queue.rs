//! `Queue`: the events that an endpoint has still to be told, in their order, and how many there were.
//!
//! It is bounded: when it is full, the oldest events are dropped, so that an endpoint that comes back after a long time
//! hears what is newest. What cannot be written is dropped too. Either is said in the log once until it is over.
//! A queue on disk is written by a thread of its own, because a file system over the network can hang for hours.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use tokio::sync::Notify;

use super::backlog::{Backlog, Disk};
use super::write_buffer::{Enqueued, Wait, WriteBuffer};

/// The events that an endpoint has still to be told.
#[derive(Clone)]
pub(super) struct Queue(Arc<Inner>);

struct Inner {
    endpoint: String,
    most_bytes: u64,
    /// A std mutex: held for the writing or reading of one line, never across an await. On disk that may take forever, so
    /// that only the writer and the blocking pool may ask for it.
    state: Mutex<State>,
    /// Where events for the disk wait for the writer; there is none for a backlog in memory.
    buffer: Option<Arc<WriteBuffer>>,
    news: Notify,
    counts: Counts,
}

struct State {
    backlog: Backlog,
    /// The bytes that wait.
    bytes: u64,
    /// How often the first event was removed, delivered or not: tells whether it is still the one that was sent.
    removed: u64,
    is_dropping: bool,
}

/// What an endpoint has been through. Shared by all clones.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    events: AtomicU64,
    pending: AtomicU64,
    successes: AtomicU64,
    failures: AtomicU64,
    errors: AtomicU64,
    dropped: AtomicU64,
    /// A std mutex: held for short work in memory.
    statuses: Mutex<BTreeMap<String, u64>>,
}

impl Counts {
    /// Events so far.
    pub fn events(&self) -> u64 {
        self.0.events.load(Relaxed)
    }

    /// Events that wait.
    pub fn pending(&self) -> u64 {
        self.0.pending.load(Relaxed)
    }

    /// Events that were delivered.
    pub fn successes(&self) -> u64 {
        self.0.successes.load(Relaxed)
    }

    /// Answers that were not what they should be.
    pub fn failures(&self) -> u64 {
        self.0.failures.load(Relaxed)
    }

    /// Attempts without an answer.
    pub fn errors(&self) -> u64 {
        self.0.errors.load(Relaxed)
    }

    /// Events that were lost, because the queue was full or could not be written.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Relaxed)
    }

    /// How often each status was answered, such as `200 OK`.
    pub fn statuses(&self) -> Vec<(String, u64)> {
        let statuses = self.0.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        statuses.iter().map(|(status, number)| (status.clone(), *number)).collect()
    }

    pub(super) fn answered(&self, status: String) {
        let mut statuses = self.0.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        *statuses.entry(status).or_default() += 1;
    }

    pub(super) fn success(&self) {
        self.0.successes.fetch_add(1, Relaxed);
    }

    pub(super) fn failure(&self) {
        self.0.failures.fetch_add(1, Relaxed);
    }

    pub(super) fn error(&self) {
        self.0.errors.fetch_add(1, Relaxed);
    }
}

/// An event to be sent.
pub(super) struct Waiting {
    pub(super) line: String,
    removed: u64,
}

impl Queue {
    /// A queue whose events are gone with the process.
    pub(super) fn in_memory(endpoint: &str, most_bytes: u64) -> Self {
        Self(Arc::new(Inner::new(endpoint, most_bytes, Backlog::Memory(VecDeque::new()), None)))
    }

    /// The queue in files, of which so many events and bytes are in them already.
    ///
    /// # Errors
    ///
    /// When there cannot be another thread.
    pub(super) fn on_disk(
        endpoint: &str,
        most_bytes: u64,
        disk: Disk,
        events: u64,
        bytes: u64,
    ) -> io::Result<Self> {
        let buffer = Arc::new(WriteBuffer::new(most_bytes));
        let mut inner = Inner::new(endpoint, most_bytes, Backlog::Disk(disk), Some(buffer.clone()));
        inner.counts.0.pending.store(events, Relaxed);
        inner.state.get_mut().unwrap_or_else(PoisonError::into_inner).bytes = bytes;
        let inner = Arc::new(inner);
        let writer = Arc::downgrade(&inner);
        // Not of the blocking pool, for which the process waits at its end. It ends with the queue, which nobody waits for.
        thread::Builder::new().name("notifications".to_owned()).spawn(move || write(&buffer, &writer))?;
        Ok(Self(inner))
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// Adds an event, or drops it, or drops older ones for it. Never fails, never waits for the endpoint, and for the disk
    /// no longer than [`PATIENCE`](super::write_buffer::PATIENCE).
    pub(super) fn push(&self, line: &str, wait: Wait) {
        let Inner { counts, endpoint, buffer, .. } = &*self.0;
        counts.0.events.fetch_add(1, Relaxed);
        counts.0.pending.fetch_add(1, Relaxed);
        let Some(buffer) = buffer else { return self.0.write(line) };
        if let Enqueued::Waits { is_first, dropped } = buffer.enqueue(line, wait) {
            counts.0.pending.fetch_sub(dropped, Relaxed);
            counts.0.dropped.fetch_add(dropped, Relaxed);
            if is_first {
                tracing::error!(
                    endpoint,
                    "the disk does not take the notifications for {endpoint}: they wait in memory until it does, and are lost \
                     if the registry stops before; see that notifications.queue.directory is on a disk that answers"
                );
            }
        }
    }

    /// The first event, if there is one. Blocks for a read.
    pub(super) fn first(&self) -> io::Result<Option<Waiting>> {
        let mut state = self.0.lock();
        let removed = state.removed;
        Ok(state.backlog.first()?.map(|line| Waiting { line, removed }))
    }

    /// Removes an event that was delivered, unless it was dropped meanwhile. Blocks for a write.
    pub(super) fn delivered(&self, sent: &Waiting) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.removed != sent.removed {
            return Ok(());
        }
        self.0.counts.0.pending.fetch_sub(1, Relaxed);
        state.remove(&sent.line)
    }

    /// Waits until something was added.
    pub(super) async fn news(&self) {
        self.0.news.notified().await;
    }
}

impl Inner {
    fn new(endpoint: &str, most_bytes: u64, backlog: Backlog, buffer: Option<Arc<WriteBuffer>>) -> Self {
        let state = Mutex::new(State { backlog, bytes: 0, removed: 0, is_dropping: false });
        let (news, counts) = (Notify::new(), Counts::default());
        Self { endpoint: endpoint.to_owned(), most_bytes, state, buffer, news, counts }
    }

    /// Adds an event to the backlog, if need be in the place of older ones.
    fn write(&self, line: &str) {
        let len = line.len() as u64 + 1;
        let mut state = self.lock();
        let (mut dropped, mut trouble) = (0_u64, None);
        while state.bytes + len > self.most_bytes {
            match state.drop_first() {
                Ok(true) => dropped += 1,
                Ok(false) => break,
                Err(error) => {
                    trouble = Some(error);
                    break;
                }
            }
        }
        self.counts.0.pending.fetch_sub(dropped, Relaxed);
        let written = if trouble.is_none() { state.backlog.push(line) } else { Ok(()) };
        match (trouble, written) {
            (None, Ok(())) => {
                state.bytes += len;
                if dropped > 0 && !state.is_dropping {
                    tracing::error!(
                        endpoint = self.endpoint,
                        "the queue of notifications for {} is full: the oldest events are dropped until the endpoint takes \
                         some",
                        self.endpoint
                    );
                }
                state.is_dropping = dropped > 0;
            }
            (Some(error), _) | (None, Err(error)) => {
                dropped += 1;
                self.counts.0.pending.fetch_sub(1, Relaxed);
                if !state.is_dropping {
                    tracing::error!(
                        endpoint = self.endpoint, %error,
                        "an event for {} cannot be put into its queue and is lost, as will be those that follow until this is \
                         mended: {error}",
                        self.endpoint
                    );
                }
                state.is_dropping = true;
            }
        }
        self.counts.0.dropped.fetch_add(dropped, Relaxed);
        drop(state);
        self.news.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(buffer) = &self.buffer {
            buffer.close();
        }
    }
}

/// What the writer does, for as long as there is a queue.
fn write(buffer: &WriteBuffer, queue: &Weak<Inner>) {
    // The queue is held for one line at a time: whoever waits for that line may want to be the last that has it.
    buffer.empty(
        |line| {
            if let Some(queue) = queue.upgrade() {
                queue.write(line);
            }
        },
        || {
            if let Some(queue) = queue.upgrade() {
                let endpoint = &queue.endpoint;
                tracing::info!(endpoint, "the disk takes the notifications for {endpoint} again");
            }
        },
    );
}

impl State {
    /// Drops the first event; `false` when there is none.
    fn drop_first(&mut self) -> io::Result<bool> {
        let Some(line) = self.backlog.first()? else { return Ok(false) };
        self.remove(&line)?;
        Ok(true)
    }

    fn remove(&mut self, line: &str) -> io::Result<()> {
        self.removed += 1;
        self.bytes = self.bytes.saturating_sub(line.len() as u64 + 1);
        self.backlog.remove(line)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("endpoint", &self.0.endpoint).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
