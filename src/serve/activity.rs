//! `Activity`: what a connection is waiting for and since when, from which its deadlines follow.
//!
//! Time counts against a client only while the server waits for that client, and this process runs: see [`RunningClock`].
//!
//! | waiting for | timeout | observed by |
//! |---|---|---|
//! | the first request, or the rest of the headers (HTTP/1) | `header_timeout` | `MonitoredIo` reads while no request is in flight |
//! | the next request | `idle_timeout` | the end of the last request, or of its response's transmission |
//! | the client to accept bytes | `stall_timeout` behind the minimum speed | pending `MonitoredIo` writes |
//! | an HTTP/2 client to open its window | the same; resets the stream | `Stream`, whose task has its own timer |
//! | more of a request's body | the same | `RequestBody`, which has its own timer |
//! | a handler or the store | none | |
//!
//! [`Pace`] computes how far a client is behind the minimum speed.
//!
//! The connection's task checks the deadlines periodically (see [`Activity::next_check`]), so a client may get up
//! to half of the shortest timeout too much. In return, reads and writes touch no timer.

use std::sync::Arc;
use std::time::Duration;

use http::Version;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::options::ServeOptions;
use super::pace::{Pace, time_for};
use super::running_clock::RunningClock;

/// How long closing a connection may take once no request is in flight.
const CLOSING: Duration = Duration::from_secs(5);

/// Bytes written without a request in flight count as the end of a response if they come at least this fast,
/// in bytes per second. Replies to pings are slower.
const MIN_ENDING_SPEED: u64 = 64;

/// How long an HTTP/2 connection must have no request before it counts as resting: the part of the last
/// response that waits for the client's window is not observable.
const RESTING: Duration = Duration::from_secs(1);

/// The state of one connection, shared by its socket, its requests and its task.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// The clock of all times here.
    clock: RunningClock,
    /// Requests whose response is not complete.
    in_flight: usize,
    had_request: bool,
    /// The connection's first byte.
    first_byte: Option<u8>,
    /// Whether requests share the connection (HTTP/2): reads then do not belong to one request's headers.
    is_multiplexed: bool,
    /// The end of the last request, or the start of the connection.
    idle_since: Instant,
    /// When the first byte of incomplete headers arrived.
    head_since: Option<Instant>,
    min_speed: u64,
    /// How far the client is behind in accepting the bytes written.
    taking: Pace,
    /// Since when writes block.
    blocked_since: Option<Instant>,
    /// How long writes blocked before that.
    blocked_before: Duration,
    /// When the client, at the minimum speed, has accepted all bytes written.
    busy_until: Instant,
    /// When the graceful shutdown of the connection began.
    closing_since: Option<Instant>,
}

/// The next step for a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NextCheck {
    /// Check again at this time of the system.
    Again(Instant),
    /// Shut down gracefully: the connection has been idle for too long.
    Idle,
    /// Cut the connection.
    Cut(CutReason),
}

/// Why a connection is cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum CutReason {
    #[error("no request arrived")]
    NoRequest,
    #[error("the headers of a request took too long")]
    SlowHead,
    #[error("the client reads too slowly")]
    Stalled,
    #[error("the client does not close the connection")]
    Lingering,
}

/// A request in flight; dropped when its response is complete or abandoned.
#[derive(Debug)]
pub(super) struct InFlight(Activity);

impl Activity {
    pub(super) fn new(min_speed: u64) -> Self {
        let mut clock = RunningClock::new();
        let now = clock.now();
        Self(Arc::new(Mutex::new(State {
            clock,
            in_flight: 0,
            had_request: false,
            first_byte: None,
            is_multiplexed: false,
            idle_since: now,
            head_since: None,
            min_speed,
            taking: Pace::new(min_speed),
            blocked_since: None,
            blocked_before: Duration::ZERO,
            busy_until: now,
            closing_since: None,
        })))
    }

    /// Resets the state: the bytes read so far were a handshake.
    pub(super) fn handshake_done(&self, version: Version) {
        let mut state = self.state();
        state.idle_since = state.clock.now();
        state.head_since = None;
        state.is_multiplexed = version == Version::HTTP_2;
    }

    /// Records a read whose first byte is `first`.
    pub(super) fn read_some(&self, first: u8) {
        let mut state = self.state();
        state.first_byte.get_or_insert(first);
        if state.in_flight == 0 && !state.is_multiplexed && state.head_since.is_none() {
            state.head_since = Some(state.clock.now());
        }
    }

    /// Whether the connection's first byte was `byte`.
    pub(super) fn began_with(&self, byte: u8) -> bool {
        self.state().first_byte == Some(byte)
    }

    pub(super) fn wrote_some(&self, bytes: usize) {
        let mut state = self.state();
        let now = state.clock.now();
        state.taking.moved(bytes, now);
        if let Some(since) = state.blocked_since.take() {
            state.blocked_before += now - since;
        }
        let busy = time_for(bytes, state.min_speed.max(MIN_ENDING_SPEED)).unwrap_or_default();
        state.busy_until = now.min(state.busy_until.max(state.idle_since) + busy);
    }

    pub(super) fn write_blocked(&self) {
        let mut state = self.state();
        let now = state.clock.now();
        state.taking.wait(now);
        state.blocked_since.get_or_insert(now);
    }

    /// The time on the connection's clock.
    pub(super) fn now(&self) -> Instant {
        self.state().clock.now()
    }

    /// A time of the connection's clock as the system's.
    pub(super) fn system_time(&self, time: Instant) -> Instant {
        self.state().clock.system_time(time)
    }

    /// The time on a clock that also stops while socket writes block.
    pub(super) fn time_unblocked(&self) -> Instant {
        let mut state = self.state();
        let now = state.clock.now();
        let blocked = state.blocked_since.map_or(Duration::ZERO, |since| now - since);
        now.checked_sub(state.blocked_before + blocked).unwrap_or(now)
    }

    pub(super) fn request_began(&self, version: Version) -> InFlight {
        let mut state = self.state();
        state.in_flight += 1;
        state.had_request = true;
        state.is_multiplexed = version == Version::HTTP_2;
        state.head_since = None;
        InFlight(self.clone())
    }

    /// Records that the graceful shutdown began.
    pub(super) fn closing(&self) {
        let mut state = self.state();
        let now = state.clock.now();
        state.closing_since.get_or_insert(now);
    }

    /// Whether the connection has not read any byte of a request.
    pub(super) fn is_unused(&self) -> bool {
        let state = self.state();
        !state.had_request && state.head_since.is_none()
    }

    /// Whether no request is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.state().in_flight == 0
    }

    /// Since when the connection rests between requests or has not had one; `None` while it is working.
    pub(super) fn resting_since(&self) -> Option<Instant> {
        let mut state = self.state();
        if state.in_flight > 0 || state.blocked_since.is_some() {
            return None;
        }
        let since = state.idle_since.max(state.busy_until);
        let rested = state.clock.now().saturating_duration_since(since);
        let is_surely = !state.is_multiplexed || !state.had_request || rested >= RESTING;
        is_surely.then_some(since)
    }

    /// Decides the connection's next step, and when to check again.
    pub(super) fn next_check(&self, options: &ServeOptions) -> NextCheck {
        let mut state = self.state();
        let now = state.clock.now();
        let shortest = options.header_timeout.min(options.idle_timeout).min(options.stall_timeout);
        // An event may create an earlier deadline than the next known one, so sleeps are short.
        let soon = now + shortest / 2;
        let again = match state.deadline(options) {
            Some((deadline, verdict)) if deadline <= now => return verdict,
            Some((deadline, _)) => deadline.min(soon),
            None => soon,
        };
        NextCheck::Again(state.clock.due(again))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A blocking mutex: held for a few instructions, never across an await.
        self.0.lock()
    }
}

impl State {
    fn deadline(&self, options: &ServeOptions) -> Option<(Instant, NextCheck)> {
        if let Some(deadline) = self.taking.deadline(options.stall_timeout) {
            return Some((deadline, NextCheck::Cut(CutReason::Stalled)));
        }
        if self.in_flight > 0 {
            return None;
        }
        // Bytes of the last response that hyper still holds count as progress while they are being written.
        let since = self.idle_since.max(self.busy_until);
        if let Some(closing_since) = self.closing_since {
            return Some((since.max(closing_since) + CLOSING, NextCheck::Cut(CutReason::Lingering)));
        }
        if let Some(head_since) = self.head_since {
            let since = head_since.max(self.busy_until);
            return Some((since + options.header_timeout, NextCheck::Cut(CutReason::SlowHead)));
        }
        if !self.had_request {
            return Some((self.idle_since + options.header_timeout, NextCheck::Cut(CutReason::NoRequest)));
        }
        Some((since + options.idle_timeout, NextCheck::Idle))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_flight -= 1;
        if state.in_flight == 0 {
            state.idle_since = state.clock.now();
        }
    }
}

#[cfg(test)]
#[path = "activity_tests.rs"]
mod tests;
