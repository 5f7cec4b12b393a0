//! The bodies of requests and responses, under watch.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::activity::InFlight;
use super::options::ServeOptions;
use super::pace::Pace;
use super::stream::Stream;

/// The most bytes of an answer that HTTP/2 gets at once: what is asked for next shows how far the client has come.
const PIECE_BYTES: usize = 16 * 1024;

/// The client sent nothing more of a request's body for too long, or too little. The source of the error a handler reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BodyStalled {
    /// Nothing.
    #[error("the client sent nothing more of the request's body for {} seconds", .0.as_secs())]
    Stopped(Duration),
    /// Too little.
    #[error("the client sent the request's body slower than {0} bytes a second")]
    TooSlow(u64),
}

/// The body of a request, which errs when the client sends too little for too long while it is waited for.
pub(super) struct RequestBody {
    inner: Incoming,
    stall_timeout: Duration,
    least_speed: u64,
    pace: Pace,
    waiting_since: Option<Instant>,
    /// Made when it is first needed: most requests have no body.
    timer: Option<Pin<Box<Sleep>>>,
}

/// The body of a response, which knows when the request is done with, and whether the client is waited for.
pub(super) struct ResponseBody {
    inner: axum::body::Body,
    /// Held until the answer is complete.
    _in_flight: InFlight,
    /// Of HTTP/2, where what the client takes is not seen at the socket.
    stream: Option<Stream>,
    /// What is left of a frame that is handed over in pieces.
    rest: Bytes,
}

impl RequestBody {
    pub(super) fn new(inner: Incoming, options: &ServeOptions) -> Self {
        let (stall_timeout, least_speed) = (options.stall_timeout, options.min_body_speed);
        let pace = Pace::new(least_speed);
        Self { inner, stall_timeout, least_speed, pace, waiting_since: None, timer: None }
    }

    /// Ready when the client has been waited for too long.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<BodyStalled> {
        let now = Instant::now();
        let since = *self.waiting_since.get_or_insert(now);
        self.pace.wait(now);
        let Some(deadline) = self.pace.deadline(self.stall_timeout, now) else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(match since + self.stall_timeout <= deadline {
            true => BodyStalled::Stopped(self.stall_timeout),
            false => BodyStalled::TooSlow(self.least_speed),
        })
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
            this.waiting_since = None;
            if this.pace.counts() {
                let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
                this.pace.moved(data.map_or(0, Bytes::len), Instant::now());
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        this.poll_stalled(cx).map(|stalled| Some(Err(stalled.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl ResponseBody {
    pub(super) fn new(inner: axum::body::Body, in_flight: InFlight, stream: Option<Stream>) -> Self {
        Self { inner, _in_flight: in_flight, stream, rest: Bytes::new() }
    }

    /// The next of the frames, which HTTP/2 gets in pieces.
    fn poll_piece(
        inner: &mut axum::body::Body,
        rest: &mut Bytes,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if rest.is_empty() {
            match ready!(Pin::new(inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => *rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let piece = rest.split_to(rest.len().min(PIECE_BYTES));
        Poll::Ready(Some(Ok(Frame::data(piece))))
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
        let Some(stream) = &this.stream else { return Pin::new(&mut this.inner).poll_frame(cx) };
        // hyper asks for more when it has handed on what it had.
        stream.taken();
        let piece = ready!(Self::poll_piece(&mut this.inner, &mut this.rest, cx));
        if let Some(Ok(frame)) = &piece {
            stream.handed_over(frame.data_ref().map_or(0, Bytes::len));
        }
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.inner.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper().and_then(|upper| upper.checked_add(rest)) {
            hint.set_upper(upper);
        }
        hint
    }
}
