//! Request and response bodies with timeouts.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::activity::{Activity, InFlight};
use super::options::ServeOptions;
use super::pace::Pace;
use super::stream::Stream;

/// The most bytes of a response that HTTP/2 gets at once: each request for more shows how far the client has
/// read.
const PIECE_BYTES: usize = 16 * 1024;

/// The client sent the request's body too slowly. The source of the error that a handler sees.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BodyStalled {
    /// No bytes arrived.
    #[error("the client sent no more of the request's body for {} seconds", .0.as_secs())]
    Stopped(Duration),
    /// Too few bytes arrived.
    #[error("the client sent the request's body slower than {0} bytes per second")]
    TooSlow(u64),
}

/// A request's body; fails when the client sends too slowly while the server waits for it.
pub(super) struct RequestBody {
    inner: Incoming,
    activity: Activity,
    stall_timeout: Duration,
    min_speed: u64,
    pace: Pace,
    waiting_since: Option<Instant>,
    /// Created when first needed: most requests have no body.
    timer: Option<Pin<Box<Sleep>>>,
}

/// A response's body; tracks when the request ends and whether the server waits for the client.
pub(super) struct ResponseBody {
    inner: axum::body::Body,
    /// Held until the response is complete.
    _in_flight: InFlight,
    /// Set for HTTP/2, where the socket does not show how much the client has read.
    stream: Option<Stream>,
    /// The rest of a frame that goes to HTTP/2 in pieces.
    rest: Bytes,
}

impl RequestBody {
    pub(super) fn new(inner: Incoming, activity: Activity, options: &ServeOptions) -> Self {
        let (stall_timeout, min_speed) = (options.stall_timeout, options.min_body_speed);
        let pace = Pace::new(min_speed);
        Self { inner, activity, stall_timeout, min_speed, pace, waiting_since: None, timer: None }
    }

    /// Ready when the client is too slow.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<BodyStalled> {
        let (since, deadline) = loop {
            let now = self.activity.now();
            let since = *self.waiting_since.get_or_insert(now);
            self.pace.wait(now);
            let Some(deadline) = self.pace.deadline(self.stall_timeout) else { return Poll::Pending };
            if deadline <= now {
                break (since, deadline);
            }
            // Later, if the process was stopped since.
            let at = self.activity.system_time(deadline);
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if timer.deadline() != at {
                timer.as_mut().reset(at);
            }
            ready!(timer.as_mut().poll(cx));
        };
        Poll::Ready(match since + self.stall_timeout <= deadline {
            true => BodyStalled::Stopped(self.stall_timeout),
            false => BodyStalled::TooSlow(self.min_speed),
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
                this.pace.moved(data.map_or(0, Bytes::len), this.activity.now());
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

    /// The next frame; HTTP/2 gets it in pieces.
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
        // hyper asks for more when it has passed on the previous bytes.
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
