//! What a connection is doing, and since when: the ground on which slow ones are cut.
//!
//! One rule holds throughout: time counts against a client only while the client is the one waited for.
//!
//! | waiting for | bound by | seen by |
//! |---|---|---|
//! | the first request, or the rest of a head (HTTP/1) | `header_timeout` | `Watched` reads while no request is in flight |
//! | the next request | `idle_timeout` | the end of the last request, or of what is still being sent |
//! | the client to take bytes | `stall_timeout` without a byte written | `Watched` writes that are pending |
//! | an HTTP/2 client to open its window | `stall_timeout` without a byte written | a response frame handed over, and none asked for since |
//! | more of a request's body | `stall_timeout` without a byte | `RequestBody`, which has its own timer |
//! | a handler or the store | nothing | |
//!
//! The connection's task looks at the deadlines now and then (see [`Activity::look`]), so a client may be given
//! up to half the shortest of the three timeouts too much; in return no timer is touched per read or write.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Version;
use tokio::time::Instant;

use super::options::ServeOptions;

/// How long a connection that is being closed may take once nothing is in flight.
const CLOSING: Duration = Duration::from_secs(5);

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
    /// When a write first found that the client takes nothing.
    blocked_since: Option<Instant>,
    last_written: Instant,
    /// Response bodies whose last frame was taken from them and that were not asked for another since.
    handed_over: usize,
    last_handover: Instant,
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
    #[error("the client takes no bytes")]
    Stalled,
    #[error("the client does not close")]
    Lingering,
}

/// A request in flight; dropped when its response is complete or given up.
#[derive(Debug)]
pub(super) struct InFlight(Activity);

impl Activity {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(State {
            in_flight: 0,
            any_request: false,
            first_byte: None,
            multiplexed: false,
            idle_since: now,
            head_since: None,
            blocked_since: None,
            last_written: now,
            handed_over: 0,
            last_handover: now,
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

    pub(super) fn wrote_some(&self) {
        let mut state = self.state();
        state.last_written = Instant::now();
        state.blocked_since = None;
    }

    pub(super) fn write_blocked(&self) {
        let mut state = self.state();
        state.blocked_since.get_or_insert_with(Instant::now);
    }

    pub(super) fn request_began(&self, version: Version) -> InFlight {
        let mut state = self.state();
        state.in_flight += 1;
        state.any_request = true;
        state.multiplexed = version == Version::HTTP_2;
        state.head_since = None;
        InFlight(self.clone())
    }

    pub(super) fn frame_handed_over(&self) {
        let mut state = self.state();
        state.handed_over += 1;
        state.last_handover = Instant::now();
    }

    pub(super) fn frame_taken(&self) {
        self.state().handed_over -= 1;
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

    /// Decides what is to be done about the connection, and when to look again.
    pub(super) fn look(&self, options: &ServeOptions) -> Look {
        let now = Instant::now();
        let shortest = options.header_timeout.min(options.idle_timeout).min(options.stall_timeout);
        // An event may bring an earlier deadline than the one slept towards, so none is slept towards for long.
        let soon = now + shortest / 2;
        match self.state().deadline(options) {
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
    fn deadline(&self, options: &ServeOptions) -> Option<(Instant, Look)> {
        if let Some(since) = self.blocked_since {
            return Some((since + options.stall_timeout, Look::Cut(Reason::Stalled)));
        }
        if self.multiplexed && self.handed_over > 0 {
            let since = self.last_written.max(self.last_handover);
            return Some((since + options.stall_timeout, Look::Cut(Reason::Stalled)));
        }
        if self.in_flight > 0 {
            return None;
        }
        // What hyper still holds of the last response counts as progress for as long as it is written.
        let since = self.idle_since.max(self.last_written);
        if let Some(closing_since) = self.closing_since {
            return Some((since.max(closing_since) + CLOSING, Look::Cut(Reason::Lingering)));
        }
        if let Some(head_since) = self.head_since {
            let since = head_since.max(self.last_written);
            return Some((since + options.header_timeout, Look::Cut(Reason::SlowHead)));
        }
        if !self.any_request {
            return Some((self.idle_since + options.header_timeout, Look::Cut(Reason::NoRequest)));
        }
        Some((since + options.idle_timeout, Look::Idle))
    }
}

impl InFlight {
    pub(super) fn activity(&self) -> &Activity {
        &self.0
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
