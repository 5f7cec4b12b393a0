//! The bodies of requests and responses, under watch.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::activity::InFlight;

/// The client sent nothing more of a request's body for too long. The source of the error a handler reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the client sent nothing more of the request's body for {} seconds", .after.as_secs())]
pub struct BodyStalled {
    after: Duration,
}

/// The body of a request, which errs when the client sends nothing for too long while somebody waits for it.
pub(super) struct RequestBody {
    inner: Incoming,
    stall_timeout: Duration,
    /// Made when it is first needed: most requests have no body.
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
}

/// The body of a response, which knows when the request is done with, and whether the client is waited for.
pub(super) struct ResponseBody {
    inner: axum::body::Body,
    in_flight: InFlight,
    is_handed_over: bool,
}

impl RequestBody {
    pub(super) fn new(inner: Incoming, stall_timeout: Duration) -> Self {
        Self { inner, stall_timeout, timer: None, is_waiting: false }
    }

    /// Ready when the client has been waited for too long.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_waiting {
            self.is_waiting = true;
            let deadline = Instant::now() + self.stall_timeout;
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(deadline),
                None => self.timer = Some(Box::pin(sleep_until(deadline))),
            }
        }
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.is_waiting = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        this.poll_stalled(cx).map(|()| Some(Err(BodyStalled { after: this.stall_timeout }.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl ResponseBody {
    pub(super) fn new(inner: axum::body::Body, in_flight: InFlight) -> Self {
        Self { inner, in_flight, is_handed_over: false }
    }

    fn taken(&mut self) {
        if std::mem::take(&mut self.is_handed_over) {
            self.in_flight.activity().frame_taken();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        // Whoever asks for more has passed on what it was given.
        this.taken();
        let frame = Pin::new(&mut this.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(_))) = &frame {
            this.is_handed_over = true;
            this.in_flight.activity().frame_handed_over();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.taken();
    }
}
