//! `Stream`: one request of an HTTP/2 connection, which is reset when its client takes too little of the answer.
//!
//! hyper asks a body for more only when what it has was handed on, so a client that does not open its window leaves the
//! body waiting. The connection goes on for the other streams, so it is the task of the one that has to end: hyper
//! starts it, [`watched`] stays around it, and the service finds its `Stream` by a variable of the task.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::activity::Activity;
use super::pace::Pace;

tokio::task_local! {
    static CURRENT: Stream;
}

/// What the client of one HTTP/2 request takes of the answer, and how fast.
///
/// The time while the whole connection cannot be written to does not count here: then the streams share what the link
/// can do, and what the connection must take is looked at in `Activity`.
#[derive(Clone, Debug)]
pub(super) struct Stream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    activity: Activity,
    /// A std mutex: held for a few instructions, never across an await.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pace: Pace,
    /// How many bytes hyper has that it has not asked for more after.
    handed_over: usize,
}

impl Stream {
    pub(super) fn new(activity: Activity, least_speed: u64) -> Self {
        let state = Mutex::new(State { pace: Pace::new(least_speed), handed_over: 0 });
        Self(Arc::new(Inner { activity, state }))
    }

    /// The one whose task this is.
    pub(super) fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// hyper has so many bytes of the answer, and the client is waited for.
    pub(super) fn handed_over(&self, bytes: usize) {
        let now = self.now();
        let mut state = self.state();
        state.handed_over = bytes;
        state.pace.wait(now);
    }

    /// hyper has handed on what it had.
    pub(super) fn taken(&self) {
        let now = self.now();
        let mut state = self.state();
        let bytes = std::mem::take(&mut state.handed_over);
        state.pace.moved(bytes, now);
    }

    /// When the client is out of `patience`, if it is waited for.
    fn deadline(&self, patience: Duration) -> Option<Instant> {
        let now = self.now();
        let deadline = self.state().pace.deadline(patience, now)?;
        Some(Instant::now() + deadline.saturating_duration_since(now))
    }

    /// The time on a clock that stops while the connection cannot be written to.
    fn now(&self) -> Instant {
        self.0.activity.time_unblocked()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the task of a stream until it ends, or its client has taken too little for too long. Dropping the task resets
/// the stream.
pub(super) async fn watched(stream: Stream, patience: Duration, task: impl Future<Output = ()>) {
    let mut task = pin!(CURRENT.scope(stream.clone(), task));
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if task.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        ready!(poll_overdue(&stream, patience, &mut timer, cx));
        tracing::debug!("HTTP/2 stream reset: the client takes too few bytes");
        Poll::Ready(())
    })
    .await;
}

/// Ready when the client has taken too little for too long. The timer is only touched when it would be too late.
fn poll_overdue(
    stream: &Stream,
    patience: Duration,
    timer: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    loop {
        let Some(deadline) = stream.deadline(patience) else { return Poll::Pending };
        if deadline <= Instant::now() {
            return Poll::Ready(());
        }
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline || timer.is_elapsed() {
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(cx));
    }
}
