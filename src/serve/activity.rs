//! What a connection is doing, and since when: the ground on which slow ones are cut.
//!
//! One rule holds throughout: time counts against a client only while the client is the one waited for.
//!
//! | waiting for | bound by | seen by |
//! |---|---|---|
//! | the first request, or the rest of a head (HTTP/1) | `header_timeout` | `Watched` reads while no request is in flight |
//! | the next request | `idle_timeout` | the end of the last request, or of what is still being sent |
//! | the client to take bytes | `stall_timeout` behind the least speed | `Watched` writes that are pending |
//! | an HTTP/2 client to open its window | the same; the stream is reset | `Stream`, whose task has its own timer |
//! | more of a request's body | the same | `RequestBody`, which has its own timer |
//! | a handler or the store | nothing | |
//!
//! How far a client is behind the least speed is reckoned in [`Pace`].
//!
//! The connection's task looks at the deadlines now and then (see [`Activity::look`]), so a client may be given
//! up to half the shortest of the three timeouts too much; in return no timer is touched per read or write.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Version;
use tokio::time::Instant;

use super::options::ServeOptions;
use super::pace::{Pace, time_for};

/// How long a connection that is being closed may take once nothing is in flight.
const CLOSING: Duration = Duration::from_secs(5);

/// What is written of a connection without a request counts as the end of an answer at no less than this many bytes a
/// second: what answers pings is slower.
const SLOWEST_ENDING: u64 = 64;

/// How long an HTTP/2 connection must be without a request to be resting: what of the last answer waits for the client's
/// window is not seen otherwise.
const RESTING: Duration = Duration::from_secs(1);

/// The state of one connection, shared by its socket, its requests and its task.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Requests begun and not yet answered to the end.
    in_flight: usize,
    any_request: bool,
    /// What the client began with.
    first_byte: Option<u8>,
    /// Whether several requests share the connection (HTTP/2): what is read then tells nothing of a single head.
    multiplexed: bool,
    /// When the last request ended, or the connection began.
    idle_since: Instant,
    /// When the first byte of a head came that is not complete yet.
    head_since: Option<Instant>,
    least_speed: u64,
    /// How far the client is behind in taking what is written.
    taking: Pace,
    /// Since when writes find that the client takes nothing.
    blocked_since: Option<Instant>,
    /// For how long that was so before.
    blocked_before: Duration,
    /// Until when the client was busy with what was written, at the least speed.
    busy_until: Instant,
    /// When the connection was told to finish.
    closing_since: Option<Instant>,
}

/// What is to be done about a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Look {
    /// Nothing before this time.
    Again(Instant),
    /// Finish in peace: it has been idle for too long.
    Idle,
    /// Cut.
    Cut(Reason),
}

/// Why a connection is cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Reason {
    #[error("no request came")]
    NoRequest,
    #[error("the head of a request took too long")]
    SlowHead,
    #[error("the client takes too few bytes")]
    Stalled,
    #[error("the client does not close")]
    Lingering,
}

/// A request in flight; dropped when its response is complete or given up.
#[derive(Debug)]
pub(super) struct InFlight(Activity);

impl Activity {
    pub(super) fn new(least_speed: u64) -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(State {
            in_flight: 0,
            any_request: false,
            first_byte: None,
            multiplexed: false,
            idle_since: now,
            head_since: None,
            least_speed,
            taking: Pace::new(least_speed),
            blocked_since: None,
            blocked_before: Duration::ZERO,
            busy_until: now,
            closing_since: None,
        })))
    }

    /// The connection starts anew: what was read so far was a handshake.
    pub(super) fn handshake_done(&self, version: Version) {
        let mut state = self.state();
        state.idle_since = Instant::now();
        state.head_since = None;
        state.multiplexed = version == Version::HTTP_2;
    }

    /// Something came, and began with this byte.
    pub(super) fn read_some(&self, first: u8) {
        let mut state = self.state();
        state.first_byte.get_or_insert(first);
        if state.in_flight == 0 && !state.multiplexed && state.head_since.is_none() {
            state.head_since = Some(Instant::now());
        }
    }

    /// Whether the very first byte of the connection was this one.
    pub(super) fn began_with(&self, byte: u8) -> bool {
        self.state().first_byte == Some(byte)
    }

    pub(super) fn wrote_some(&self, bytes: usize) {
        let now = Instant::now();
        let mut state = self.state();
        state.taking.moved(bytes, now);
        if let Some(since) = state.blocked_since.take() {
            state.blocked_before += now - since;
        }
        let busy = time_for(bytes, state.least_speed.max(SLOWEST_ENDING)).unwrap_or_default();
        state.busy_until = now.min(state.busy_until.max(state.idle_since) + busy);
    }

    pub(super) fn write_blocked(&self) {
        let now = Instant::now();
        let mut state = self.state();
        state.taking.wait(now);
        state.blocked_since.get_or_insert(now);
    }

    /// The time on a clock that stops while the socket cannot be written to.
    pub(super) fn time_unblocked(&self) -> Instant {
        let now = Instant::now();
        let state = self.state();
        let blocked = state.blocked_since.map_or(Duration::ZERO, |since| now - since);
        now.checked_sub(state.blocked_before + blocked).unwrap_or(now)
    }

    pub(super) fn request_began(&self, version: Version) -> InFlight {
        let mut state = self.state();
        state.in_flight += 1;
        state.any_request = true;
        state.multiplexed = version == Version::HTTP_2;
        state.head_since = None;
        InFlight(self.clone())
    }

    /// The connection was told to finish.
    pub(super) fn closing(&self) {
        self.state().closing_since.get_or_insert_with(Instant::now);
    }

    /// Whether a byte of a request was ever read.
    pub(super) fn is_unused(&self) -> bool {
        let state = self.state();
        !state.any_request && state.head_since.is_none()
    }

    /// Whether no request is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.state().in_flight == 0
    }

    /// Since when the connection rests between two requests, or is there without one; `None` while it is at work.
    pub(super) fn resting_since(&self) -> Option<Instant> {
        let state = self.state();
        if state.in_flight > 0 || state.blocked_since.is_some() {
            return None;
        }
        let since = state.idle_since.max(state.busy_until);
        let is_surely = !state.multiplexed || !state.any_request || since.elapsed() >= RESTING;
        is_surely.then_some(since)
    }

    /// Decides what is to be done about the connection, and when to look again.
    pub(super) fn look(&self, options: &ServeOptions) -> Look {
        let now = Instant::now();
        let shortest = options.header_timeout.min(options.idle_timeout).min(options.stall_timeout);
        // An event may bring an earlier deadline than the one slept towards, so none is slept towards for long.
        let soon = now + shortest / 2;
        match self.state().deadline(options, now) {
            Some((deadline, verdict)) if deadline <= now => verdict,
            Some((deadline, _)) => Look::Again(deadline.min(soon)),
            None => Look::Again(soon),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A std mutex: held for a few instructions, never across an await.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn deadline(&mut self, options: &ServeOptions, now: Instant) -> Option<(Instant, Look)> {
        if let Some(deadline) = self.taking.deadline(options.stall_timeout, now) {
            return Some((deadline, Look::Cut(Reason::Stalled)));
        }
        if self.in_flight > 0 {
            return None;
        }
        // What hyper still holds of the last response counts as progress for as long as it is written.
        let since = self.idle_since.max(self.busy_until);
        if let Some(closing_since) = self.closing_since {
            return Some((since.max(closing_since) + CLOSING, Look::Cut(Reason::Lingering)));
        }
        if let Some(head_since) = self.head_since {
            let since = head_since.max(self.busy_until);
            return Some((since + options.header_timeout, Look::Cut(Reason::SlowHead)));
        }
        if !self.any_request {
            return Some((self.idle_since + options.header_timeout, Look::Cut(Reason::NoRequest)));
        }
        Some((since + options.idle_timeout, Look::Idle))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_flight -= 1;
        if state.in_flight == 0 {
            state.idle_since = Instant::now();
        }
    }
}

#[cfg(test)]
#[path = "activity_tests.rs"]
mod tests;
