//! `TimedStream`: a stream that measures the waits for its items.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures::Stream;
use futures::stream::BoxStream;
use sampan_driver::{DriverPath, ErrorKind, Result};

use super::action::Action;
use super::metrics::DriverMetrics;

/// A stream of a driver's results. At its end, the total time spent waiting for it counts as one call; its
/// consumer's time between items does not count.
pub(super) struct TimedStream<T> {
    action: Action,
    inner: BoxStream<'static, T>,
    metrics: Arc<DriverMetrics>,
    waiting_since: Option<Instant>,
    waited: Duration,
}

/// An item that may be a failure.
pub(super) trait Outcome {
    /// The kind of failure, if it is one.
    fn failure(&self) -> Option<ErrorKind>;
}

impl<T> Outcome for Result<T> {
    fn failure(&self) -> Option<ErrorKind> {
        self.as_ref().err().map(|error| error.kind())
    }
}

impl<T> Outcome for (DriverPath, Result<T>) {
    fn failure(&self) -> Option<ErrorKind> {
        self.1.failure()
    }
}

impl<T> TimedStream<T> {
    pub(super) fn new(action: Action, inner: BoxStream<'static, T>, metrics: Arc<DriverMetrics>) -> Self {
        Self { action, inner, metrics, waiting_since: None, waited: Duration::ZERO }
    }
}

impl<T: Outcome> Stream for TimedStream<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let item = ready!(self.inner.as_mut().poll_next(cx));
        self.waiting_since = None;
        self.waited += since.elapsed();
        if let Some(kind) = item.as_ref().and_then(Outcome::failure) {
            self.metrics.failed(self.action, kind);
        }
        Poll::Ready(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl<T> Drop for TimedStream<T> {
    fn drop(&mut self) {
        self.metrics.took_so_long(self.action, self.waited);
    }
}
