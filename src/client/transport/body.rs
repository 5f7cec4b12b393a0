//! `Payload`: the body of a request, and `Progress`, which watches that it moves.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

use crate::error::Problem;
use crate::upload::ByteStream;

/// The body of a request.
#[derive(Debug)]
pub(crate) enum Payload {
    Empty,
    Bytes(Bytes),
    /// A form with a login, which a redirect must not take to another origin.
    Login(Bytes),
    Stream(UploadBody),
}

/// A stream of exactly `length` bytes.
pub(crate) struct UploadBody {
    /// Never locked: the mutex makes the stream shareable, as reqwest wants it.
    stream: Mutex<ByteStream>,
    left: u64,
    progress: Arc<Progress>,
}

/// How far a body has been taken by the connection.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    taken: AtomicU64,
    /// Whether bytes are left that count as progress.
    is_moving: AtomicBool,
    source_error: Mutex<Option<io::Error>>,
}

/// The piece in which bytes in memory are handed to the connection.
const PIECE: usize = 64 << 10;

impl Payload {
    /// A stream that must have exactly `length` bytes.
    pub(crate) fn stream(stream: ByteStream, length: u64) -> Self {
        Self::Stream(UploadBody::new(stream, length))
    }

    pub(crate) fn try_clone(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Bytes(bytes) => Some(Self::Bytes(bytes.clone())),
            Self::Login(form) => Some(Self::Login(form.clone())),
            Self::Stream(_) => None,
        }
    }

    /// Whether there is a body, and it has no bytes.
    pub(super) fn is_empty_body(&self) -> bool {
        match self {
            Self::Empty => false,
            Self::Bytes(bytes) | Self::Login(bytes) => bytes.is_empty(),
            Self::Stream(body) => body.left == 0,
        }
    }

    /// The body for reqwest, and its progress.
    pub(super) fn into_body(self) -> (Option<reqwest::Body>, Arc<Progress>) {
        let body = match self {
            Self::Empty => return (None, Arc::default()),
            Self::Bytes(bytes) if bytes.is_empty() => return (None, Arc::default()),
            Self::Login(form) => return (Some(form.into()), Arc::default()),
            Self::Bytes(bytes) if bytes.len() <= PIECE => return (Some(bytes.into()), Arc::default()),
            Self::Bytes(bytes) => {
                let length = bytes.len() as u64;
                let pieces = (0..bytes.len()).step_by(PIECE);
                let pieces: Vec<_> =
                    pieces.map(|start| Ok(bytes.slice(start..bytes.len().min(start + PIECE)))).collect();
                UploadBody::new(stream::iter(pieces).boxed(), length)
            }
            Self::Stream(body) => body,
        };
        let progress = body.progress.clone();
        // A body without bytes is never polled.
        progress.is_moving.store(body.left > 0, Ordering::Relaxed);
        (Some(reqwest::Body::wrap(body)), progress)
    }
}

impl UploadBody {
    fn new(stream: ByteStream, length: u64) -> Self {
        Self { stream: Mutex::new(stream), left: length, progress: Arc::default() }
    }
}

impl Progress {
    /// Waits for `answer` as long as the body moves, `stall` between two pieces; then for `last`.
    pub(super) async fn watch<T>(
        &self,
        answer: impl Future<Output = T>,
        stall: Duration,
        last: Duration,
    ) -> Result<T, Problem> {
        tokio::pin!(answer);
        let state = || (self.taken.load(Ordering::Relaxed), self.is_moving.load(Ordering::Relaxed));
        loop {
            let before = state();
            let longest = if before.1 { stall } else { last };
            match tokio::time::timeout(longest, &mut answer).await {
                Ok(answer) => return Ok(answer),
                Err(_) if before == state() => return Err(Problem::Timeout(longest)),
                Err(_) => {}
            }
        }
    }

    /// The error of the body's source, if that is why the request failed.
    pub(super) fn source_error(&self) -> Option<io::Error> {
        self.source_error.lock().take()
    }

    fn fail(&self, error: io::Error) -> io::Error {
        let shown = io::Error::other(error.to_string());
        *self.source_error.lock() = Some(error);
        shown
    }
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let stream = this.stream.get_mut();
        let end = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        match ready!(stream.poll_next_unpin(cx)) {
            Some(Ok(bytes)) => match this.left.checked_sub(bytes.len() as u64) {
                Some(left) => {
                    this.left = left;
                    this.progress.taken.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    this.progress.is_moving.store(left > 0, Ordering::Relaxed);
                    Poll::Ready(Some(Ok(Frame::data(bytes))))
                }
                None => Poll::Ready(Some(Err(this.progress.fail(end("it is longer than announced"))))),
            },
            Some(Err(error)) => Poll::Ready(Some(Err(this.progress.fail(error)))),
            None if this.left > 0 => {
                Poll::Ready(Some(Err(this.progress.fail(end("it is shorter than announced")))))
            }
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl std::fmt::Debug for UploadBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UploadBody").field("left", &self.left).finish_non_exhaustive()
    }
}
