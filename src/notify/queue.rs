//! `Queue`: the undelivered events of an endpoint, in order, and its counters.
//!
//! A full queue drops its oldest events, so that an endpoint that returns after a long time gets the newest.
//! An event that cannot be written is dropped too. The log reports either once until it is over. A thread of
//! its own writes a queue on disk, because a network file system can hang for hours.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::thread;

use parking_lot::{Mutex, MutexGuard};
use serde::de::IgnoredAny;
use tokio::sync::Notify;

use super::backlog::{Backlog, Disk};
use super::write_buffer::{Enqueued, Wait, WriteBuffer};

/// The undelivered events of an endpoint.
#[derive(Clone)]
pub(super) struct Queue(Arc<Inner>);

struct Inner {
    endpoint: String,
    max_bytes: u64,
    /// A blocking mutex: held while one line is written or read, never across an await. On disk that may take
    /// forever, so only the writer and the blocking pool may lock it.
    state: Mutex<State>,
    /// Events for the writer of a queue on disk; `None` for a queue in memory.
    buffer: Option<Arc<WriteBuffer>>,
    news: Notify,
    counts: Counts,
}

struct State {
    backlog: Backlog,
    /// The bytes queued.
    bytes: u64,
    /// How many events were removed, delivered or not: shows whether the first event is still the one that
    /// was sent.
    removed: u64,
    is_dropping: bool,
}

/// The counters of an endpoint. Clones share them.
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
    /// A blocking mutex: held for short work in memory.
    statuses: Mutex<BTreeMap<String, u64>>,
}

impl Counts {
    /// All events so far.
    pub fn events(&self) -> u64 {
        self.0.events.load(Relaxed)
    }

    /// Queued events.
    pub fn pending(&self) -> u64 {
        self.0.pending.load(Relaxed)
    }

    /// Delivered events.
    pub fn successes(&self) -> u64 {
        self.0.successes.load(Relaxed)
    }

    /// Responses with an unexpected status.
    pub fn failures(&self) -> u64 {
        self.0.failures.load(Relaxed)
    }

    /// Attempts without a response.
    pub fn errors(&self) -> u64 {
        self.0.errors.load(Relaxed)
    }

    /// Events lost because the queue was full, not writable or damaged.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Relaxed)
    }

    /// The number of responses by status, such as `200 OK`.
    pub fn statuses(&self) -> Vec<(String, u64)> {
        let statuses = self.0.statuses.lock();
        statuses.iter().map(|(status, number)| (status.clone(), *number)).collect()
    }

    pub(super) fn answered(&self, status: String) {
        let mut statuses = self.0.statuses.lock();
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

/// An event to send.
pub(super) struct PendingEvent {
    line: Vec<u8>,
    removed: u64,
}

impl PendingEvent {
    /// The event; `None` if the file of the queue was damaged.
    pub(super) fn line(&self) -> Option<&str> {
        let line = std::str::from_utf8(&self.line).ok()?;
        serde_json::from_str::<IgnoredAny>(line).is_ok().then_some(line)
    }
}

impl Queue {
    /// A queue in memory, lost with the process.
    pub(super) fn in_memory(endpoint: &str, max_bytes: u64) -> Self {
        Self(Arc::new(Inner::new(endpoint, max_bytes, Backlog::Memory(VecDeque::new()), None)))
    }

    /// A queue in files, which already contain `events` and `bytes`.
    ///
    /// # Errors
    ///
    /// The writer's thread does not start.
    pub(super) fn on_disk(
        endpoint: &str,
        max_bytes: u64,
        disk: Disk,
        events: u64,
        bytes: u64,
    ) -> io::Result<Self> {
        let buffer = Arc::new(WriteBuffer::new(max_bytes));
        let mut inner = Inner::new(endpoint, max_bytes, Backlog::Disk(disk), Some(buffer.clone()));
        inner.counts.0.pending.store(events, Relaxed);
        inner.state.get_mut().bytes = bytes;
        let inner = Arc::new(inner);
        let writer = Arc::downgrade(&inner);
        // Not on the blocking pool, which the process waits for at its end. The thread ends with the queue;
        // the process does not wait for it.
        thread::Builder::new().name("notifications".to_owned()).spawn(move || write(&buffer, &writer))?;
        Ok(Self(inner))
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// Adds an event, dropping it or older ones if necessary. Never fails, never waits for the endpoint, and
    /// waits for the disk at most [`WRITE_TIMEOUT`](super::write_buffer::WRITE_TIMEOUT).
    pub(super) fn push(&self, line: &str, wait: Wait) {
        let Inner { counts, endpoint, buffer, .. } = &*self.0;
        counts.0.events.fetch_add(1, Relaxed);
        counts.0.pending.fetch_add(1, Relaxed);
        let Some(buffer) = buffer else { return self.0.write(line) };
        let (dropped, is_first) = match buffer.enqueue(line, wait) {
            Enqueued::Written { dropped } => (dropped, false),
            Enqueued::Waits { is_first, dropped } => (dropped, is_first),
        };
        counts.0.pending.fetch_sub(dropped, Relaxed);
        counts.0.dropped.fetch_add(dropped, Relaxed);
        if is_first {
            tracing::error!(
                endpoint,
                "the disk does not accept the notifications for {endpoint}: they stay in memory until it does, and are lost \
                 if the registry stops before; make sure that notifications.queue.directory is on a working disk"
            );
        }
    }

    /// The first event. Blocks to read it.
    pub(super) fn first(&self) -> io::Result<Option<PendingEvent>> {
        let mut state = self.0.lock();
        let removed = state.removed;
        Ok(state.backlog.first()?.map(|line| PendingEvent { line, removed }))
    }

    /// Removes a delivered event, unless it was dropped meanwhile. Blocks to write.
    pub(super) fn delivered(&self, sent: &PendingEvent) -> io::Result<()> {
        self.remove(sent).map(drop)
    }

    /// Drops a damaged event, unless it was dropped meanwhile. Blocks to write.
    pub(super) fn drop_damaged(&self, damaged: &PendingEvent) -> io::Result<()> {
        if self.remove(damaged)? {
            self.0.counts.0.dropped.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    /// Removes an event if it still is the first, and returns whether it was.
    fn remove(&self, first: &PendingEvent) -> io::Result<bool> {
        let mut state = self.0.lock();
        if state.removed != first.removed {
            return Ok(false);
        }
        self.0.counts.0.pending.fetch_sub(1, Relaxed);
        state.remove(&first.line).map(|()| true)
    }

    /// Waits until an event is added.
    pub(super) async fn news(&self) {
        self.0.news.notified().await;
    }
}

impl Inner {
    fn new(endpoint: &str, max_bytes: u64, backlog: Backlog, buffer: Option<Arc<WriteBuffer>>) -> Self {
        let state = Mutex::new(State { backlog, bytes: 0, removed: 0, is_dropping: false });
        let (news, counts) = (Notify::new(), Counts::default());
        Self { endpoint: endpoint.to_owned(), max_bytes, state, buffer, news, counts }
    }

    /// Appends an event to the backlog, dropping older ones if necessary.
    fn write(&self, line: &str) {
        let len = line.len() as u64 + 1;
        let mut state = self.lock();
        let (mut dropped, mut trouble) = (0_u64, None);
        while state.bytes + len > self.max_bytes {
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
                        "the notification queue of {} is full: the oldest events are dropped until the endpoint accepts \
                         events",
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
                        "an event for {} cannot be queued and is lost, as further ones will be until this is \
                         fixed: {error}",
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
        self.state.lock()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(buffer) = &self.buffer {
            buffer.close();
        }
    }
}

/// The writer's loop; it ends with the queue.
fn write(buffer: &WriteBuffer, queue: &Weak<Inner>) {
    // Holds the queue for one line at a time: a caller that waits for that line may be about to drop the last
    // other reference.
    buffer.empty(
        |line| {
            if let Some(queue) = queue.upgrade() {
                queue.write(line);
            }
        },
        || {
            if let Some(queue) = queue.upgrade() {
                let endpoint = &queue.endpoint;
                tracing::info!(endpoint, "the disk accepts the notifications for {endpoint} again");
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

    fn remove(&mut self, line: &[u8]) -> io::Result<()> {
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
