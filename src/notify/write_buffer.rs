//! `WriteBuffer`: events on their way to the disk, so that a disk that hangs holds up its own writer and no request.
//!
//! Who brings news of a change waits until it is written, since then not even a killed process loses it. They wait for a
//! bounded time; from then on nobody does, until everything that came meanwhile is written. Of a pull nobody waits: to be
//! woken by the writer takes as long as the pull itself, and a pull that nobody hears of does no harm.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long an event may take to be written while somebody waits for it. It takes microseconds, but on a disk that hangs.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);

/// Events that are not written yet.
pub(super) struct WriteBuffer {
    most_bytes: u64,
    /// Std's, held for short work in memory: waited for by threads, the writer's and those of requests.
    state: Mutex<State>,
    came: Condvar,
    went: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<(u64, String)>,
    /// The bytes of those, and of the one that is being written.
    bytes: u64,
    /// The number of the last that came.
    last: u64,
    /// The number of the last that was written.
    written: u64,
    /// Somebody has waited in vain.
    is_late: bool,
    is_closed: bool,
}

/// Whether whoever brings an event waits until it is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wait {
    /// For [`PATIENCE`] at most.
    UntilWritten,
    /// Not at all.
    Not,
}

/// What came of bringing an event.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Enqueued {
    /// It is written, or was lost in the attempt.
    Written,
    /// It is in memory until it is written.
    Waits {
        /// Whether it is the first that waits too long.
        is_first: bool,
        /// So many older ones had to be dropped for it.
        dropped: u64,
    },
}

impl WriteBuffer {
    pub(super) fn new(most_bytes: u64) -> Self {
        Self { most_bytes, state: Mutex::default(), came: Condvar::new(), went: Condvar::new() }
    }

    /// Adds an event, in the place of older ones if there is no room.
    pub(super) fn enqueue(&self, line: &str, wait: Wait) -> Enqueued {
        let mut state = self.lock();
        let mut dropped = 0;
        while state.bytes + len(line) > self.most_bytes {
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
        let waited = self.went.wait_timeout_while(state, PATIENCE, unwritten);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.written >= number {
            return Enqueued::Written;
        }
        let is_first = !std::mem::replace(&mut state.is_late, true);
        Enqueued::Waits { is_first, dropped }
    }

    /// Hands every event to `write`, in their order, until the buffer is closed. Tells `caught_up` when nothing is late any
    /// more.
    pub(super) fn empty(&self, mut write: impl FnMut(&str), mut caught_up: impl FnMut()) {
        loop {
            let mut state = self.lock();
            let (number, line) = loop {
                match state.lines.pop_front() {
                    Some(next) => break next,
                    None if state.is_closed => return,
                    None => state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner),
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

    /// Ends [`empty`](Self::empty) once nothing is left.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.came.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With the end of the line.
fn len(line: &str) -> u64 {
    line.len() as u64 + 1
}
