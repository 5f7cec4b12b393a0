//! `Stream`: one request of an HTTP/2 connection, reset when its client reads the response too slowly.
//!
//! hyper polls a body only after passing on the previous bytes, so a client that does not open its window
//! leaves the body waiting. The connection must continue for other streams, so only this stream's task ends:
//! hyper spawns it, [`watched`] wraps it, and the service finds its `Stream` in a task-local variable.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Instant, Sleep, sleep_until};

use super::activity::{Activity, CutReason};
use super::pace::Pace;
use super::peer::PeerAddress;

tokio::task_local! {
    static CURRENT: Stream;
}

/// How much of the response an HTTP/2 client has read, and how fast.
///
/// Time while the whole connection's writes block does not count: the streams then share the link's speed,
/// and `Activity` checks the connection.
#[derive(Clone, Debug)]
pub(super) struct Stream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    activity: Activity,
    /// A blocking mutex: held for a few instructions, never across an await.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pace: Pace,
    /// Bytes passed to hyper since it last polled.
    handed_over: usize,
}

impl Stream {
    pub(super) fn new(activity: Activity, min_speed: u64) -> Self {
        let state = Mutex::new(State { pace: Pace::new(min_speed), handed_over: 0 });
        Self(Arc::new(Inner { activity, state }))
    }

    /// The stream of the current task.
    pub(super) fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Records that hyper got `bytes` of the response; the server now waits for the client.
    pub(super) fn handed_over(&self, bytes: usize) {
        let now = self.now();
        let mut state = self.state();
        state.handed_over = bytes;
        state.pace.wait(now);
    }

    /// Records that hyper has passed on its bytes.
    pub(super) fn taken(&self) {
        let now = self.now();
        let mut state = self.state();
        let bytes = std::mem::take(&mut state.handed_over);
        state.pace.moved(bytes, now);
    }

    /// When the client has used up `patience`; `None` while the server does not wait for it.
    fn deadline(&self, patience: Duration) -> Option<Instant> {
        let now = self.now();
        let deadline = self.state().pace.deadline(patience)?;
        Some(Instant::now() + deadline.saturating_duration_since(now))
    }

    /// The time on a clock that stops while the connection's writes block.
    fn now(&self) -> Instant {
        self.0.activity.time_unblocked()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }
}

/// Runs a stream's task until it ends or its client is too slow. Dropping the task resets the stream.
pub(super) async fn watched(
    stream: Stream,
    peer: PeerAddress,
    patience: Duration,
    task: impl Future<Output = ()>,
) {
    let mut task = pin!(CURRENT.scope(stream.clone(), task));
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if task.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        ready!(poll_overdue(&stream, patience, &mut timer, cx));
        tracing::warn!(address = %peer, "HTTP/2 stream reset: {}", CutReason::Stalled);
        Poll::Ready(())
    })
    .await;
}

/// Ready when the client is too slow. Resets the timer only when it fires before the deadline.
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
