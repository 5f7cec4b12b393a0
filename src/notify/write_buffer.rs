//! `WriteBuffer`: events waiting for the disk, so that a hanging disk blocks only its writer and no request.
//!
//! A push blocks until its event is on disk, so a killed process does not lose it. The wait is bounded; after
//! one timeout nothing blocks until the buffer has drained. Pulls never block: waking them costs as much as
//! the pull, and a lost pull event does no harm.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

/// How long a caller waits for an event to be written. Writing takes microseconds, except on a hanging disk.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_millis(250);

/// Events not written yet.
pub(super) struct WriteBuffer {
    max_bytes: u64,
    /// A blocking mutex, held for short work in memory: only threads wait for it, the writer's and those of
    /// requests.
    state: Mutex<State>,
    came: Condvar,
    went: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<(u64, String)>,
    /// The bytes of `lines` and of the event being written.
    bytes: u64,
    /// The number of the last event added.
    last: u64,
    /// The number of the last event written.
    written: u64,
    /// A caller's wait has timed out.
    is_late: bool,
    is_closed: bool,
}

/// Whether a caller waits until its event is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wait {
    /// Waits, at most for [`WRITE_TIMEOUT`].
    UntilWritten,
    /// Does not wait.
    Not,
}

/// The result of [`WriteBuffer::enqueue`].
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Enqueued {
    /// The event is written, or was lost in the attempt.
    Written {
        /// How many older events were dropped to make room.
        dropped: u64,
    },
    /// The event is in memory until it is written.
    Waits {
        /// Whether this is the first wait that timed out.
        is_first: bool,
        /// How many older events were dropped to make room.
        dropped: u64,
    },
}

impl WriteBuffer {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self { max_bytes, state: Mutex::default(), came: Condvar::new(), went: Condvar::new() }
    }

    /// Adds an event, dropping older ones if there is no room.
    pub(super) fn enqueue(&self, line: &str, wait: Wait) -> Enqueued {
        let mut state = self.lock();
        let mut dropped = 0;
        while state.bytes + len(line) > self.max_bytes {
            let Some((_, oldest)) = state.lines.pop_front() else { break };
            state.bytes -= len(&oldest);
            dropped += 1;
        }
        state.last += 1;
        state.bytes += len(line);
        let number = state.last;
        state.lines.push_back((number, line.to_owned()));
        self.came.notify_one();
        if wait == Wait::Not || state.is_late {
            let is_first = dropped > 0 && !std::mem::replace(&mut state.is_late, true);
            return Enqueued::Waits { is_first, dropped };
        }
        let unwritten = |state: &mut State| state.written < number;
        self.went.wait_while_for(&mut state, unwritten, WRITE_TIMEOUT);
        if state.written >= number {
            return Enqueued::Written { dropped };
        }
        let is_first = !std::mem::replace(&mut state.is_late, true);
        Enqueued::Waits { is_first, dropped }
    }

    /// Passes every event to `write`, in order, until the buffer is closed. Calls `caught_up` when no event
    /// is late any more.
    pub(super) fn empty(&self, mut write: impl FnMut(&str), mut caught_up: impl FnMut()) {
        loop {
            let mut state = self.lock();
            let (number, line) = loop {
                match state.lines.pop_front() {
                    Some(next) => break next,
                    None if state.is_closed => return,
                    None => self.came.wait(&mut state),
                }
            };
            drop(state);
            write(&line);
            let mut state = self.lock();
            state.bytes -= len(&line);
            state.written = number;
            let is_over = state.lines.is_empty() && std::mem::take(&mut state.is_late);
            drop(state);
            self.went.notify_all();
            if is_over {
                caught_up();
            }
        }
    }

    /// Makes [`empty`](Self::empty) return once nothing is left.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.came.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// The length with the line end.
fn len(line: &str) -> u64 {
    line.len() as u64 + 1
}
