//! Request and response bodies.
//!
//! Both stream, and both enforce the announced length: a body that is shorter or longer fails and never ends
//! as a short success.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body as _, Frame, SizeHint};
use sampan_driver::{BoxError, FileReader, LocalFile};
use sampan_engine::Error;

use super::error::ApiError;
use crate::serve::{FileSender, ReaderPermit};

/// A body whose length differs from the announced one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the body was announced with {announced} bytes, but has {received}")]
pub struct LengthMismatch {
    /// The announced length, in bytes.
    pub announced: u64,
    /// The bytes read before the difference showed.
    pub received: u64,
}

/// The request's `Content-Length`; `None` for a chunked body or an unreadable header.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The request's body as the engine's stream; it fails when its length differs from `Content-Length`.
pub(super) fn request_stream(request: Request) -> sampan_engine::Body {
    let announced = content_length(request.headers());
    let stream = request.into_body().into_data_stream();
    match announced {
        Some(announced) => LengthChecked { stream, announced, received: 0 }.boxed(),
        None => stream.map_err(BoxError::from).boxed(),
    }
}

/// Reads a body of at most `limit` bytes into memory.
///
/// Of a larger body it reads at most `limit` bytes more and discards them: a client slightly over the limit
/// can still read the error, and the connection of any other is closed.
pub(super) async fn read_limited(request: Request, limit: u64) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::from(Error::TooLarge { what: "manifest", limit });
    let announced = content_length(request.headers());
    if announced.is_some_and(|announced| announced > limit.saturating_mul(2)) {
        return Err(too_large());
    }
    let mut stream = request_stream(request);
    let mut kept = BytesMut::with_capacity(usize::try_from(announced.unwrap_or(0).min(limit)).unwrap_or(0));
    let mut received = 0_u64;
    while let Some(chunk) = stream.try_next().await.map_err(Error::BodyBroken)? {
        received += chunk.len() as u64;
        if received > limit.saturating_mul(2) {
            return Err(too_large());
        }
        if received <= limit {
            kept.extend_from_slice(&chunk);
        }
    }
    if received > limit { Err(too_large()) } else { Ok(kept.freeze()) }
}

/// A response body that sends the content of `reader`, through `files` if the connection can send files.
pub(super) fn from_reader(reader: FileReader, files: Option<FileSender>) -> Body {
    let len = reader.len();
    let reader = match reader.into_content() {
        Ok(content) if content.len() as u64 == len => return Body::from(content),
        Ok(content) => return exact(len, stream::iter([Ok::<_, BoxError>(content)]).boxed()),
        Err(reader) => reader,
    };
    let Some(files) = files else { return exact(len, reader.into_stream()) };
    match reader.into_file() {
        Ok(file) => exact(len, placeholders(file, files)),
        Err(reader) => exact(len, reader.into_stream()),
    }
}

/// Zero bytes in place of the windows of a file that the connection sends itself, and then what follows the windows.
fn placeholders(local: LocalFile, files: FileSender) -> BoxStream<'static, sampan_driver::Result<Bytes>> {
    let LocalFile { file, mut windows, rest } = local;
    let mut left = 0..0;
    let of_file = stream::poll_fn(move |cx| {
        while left.is_empty() {
            match std::task::ready!(windows.poll_next_unpin(cx)) {
                Some(Ok(window)) => left = window,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        Poll::Ready(Some(Ok(files.announce(&file, &mut left))))
    });
    of_file.chain(rest).boxed()
}

/// A response body that sends `stream`, which must yield `len` bytes.
pub(super) fn exact<E: Into<BoxError> + 'static>(
    len: u64,
    stream: BoxStream<'static, Result<Bytes, E>>,
) -> Body {
    Body::new(ExactBody { stream, announced: len, remaining: len })
}

/// A body that holds `permit` until it is sent or dropped.
pub(super) fn permitted(inner: Body, permit: ReaderPermit) -> Body {
    if inner.is_end_stream() { inner } else { Body::new(Permitted { inner, _permit: permit }) }
}

struct Permitted {
    inner: Body,
    _permit: ReaderPermit,
}

impl http_body::Body for Permitted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

struct LengthChecked {
    stream: BodyDataStream,
    announced: u64,
    received: u64,
}

impl Stream for LengthChecked {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = std::task::ready!(self.stream.poll_next_unpin(cx));
        let mismatch = |this: &Self| LengthMismatch { announced: this.announced, received: this.received };
        Poll::Ready(match next {
            Some(Ok(chunk)) => {
                self.received += chunk.len() as u64;
                if self.received > self.announced {
                    Some(Err(mismatch(&self).into()))
                } else {
                    Some(Ok(chunk))
                }
            }
            Some(Err(error)) => Some(Err(error.into())),
            None if self.received < self.announced => {
                let error = mismatch(&self);
                self.received = self.announced; // Report the mismatch once, then end.
                Some(Err(error.into()))
            }
            None => None,
        })
    }
}

/// A body of announced length; a stream of any other length breaks the connection.
struct ExactBody<E> {
    stream: BoxStream<'static, Result<Bytes, E>>,
    announced: u64,
    remaining: u64,
}

impl<E: Into<BoxError>> http_body::Body for ExactBody<E> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let next = std::task::ready!(self.stream.poll_next_unpin(cx));
        let (announced, sent) = (self.announced, self.announced - self.remaining);
        Poll::Ready(match next {
            Some(Ok(chunk)) if chunk.len() as u64 > self.remaining => {
                let received = sent + chunk.len() as u64;
                Some(Err(LengthMismatch { announced, received }.into()))
            }
            Some(Ok(chunk)) => {
                self.remaining -= chunk.len() as u64;
                Some(Ok(Frame::data(chunk)))
            }
            Some(Err(error)) => Some(Err(error.into())),
            None if self.remaining > 0 => Some(Err(LengthMismatch { announced, received: sent }.into())),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;

    use super::*;

    fn chunks(sizes: &'static [usize]) -> BoxStream<'static, Result<Bytes, BoxError>> {
        stream::iter(sizes.iter().map(|size| Ok(Bytes::from(vec![7; *size])))).boxed()
    }

    async fn outgoing(len: u64, sizes: &'static [usize]) -> Result<usize, String> {
        let collected = exact(len, chunks(sizes)).collect().await;
        collected.map(|body| body.to_bytes().len()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_response_of_another_length_than_announced_breaks() {
        assert_eq!(outgoing(5, &[2, 3]).await, Ok(5));
        assert!(outgoing(6, &[2, 3]).await.unwrap_err().contains("6 bytes, but has 5"));
        assert!(outgoing(4, &[2, 3]).await.unwrap_err().contains("4 bytes, but has 5"));
    }

    /// A response over a connection that sends files, from a reader with two windows.
    async fn sent_as_file(len: u64) -> Result<Vec<usize>, String> {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let windows = stream::iter([Ok(5..10), Ok(10..3_000_010)]).boxed();
        let local = LocalFile::new(file, windows);
        let reader = FileReader::of_file(9 << 20, 5..5 + len, stream::pending().boxed(), local);
        let mut body = from_reader(reader, Some(FileSender::default())).into_data_stream();
        let mut frames = Vec::new();
        while let Some(frame) = body.try_next().await.map_err(|error| error.to_string())? {
            assert!(frame.iter().all(|byte| *byte == 0), "a placeholder is all zeros");
            frames.push(frame.len());
        }
        Ok(frames)
    }

    #[tokio::test]
    async fn a_connection_that_sends_files_gets_placeholders_and_does_not_read_the_stream() {
        assert_eq!(sent_as_file(3_000_005).await.unwrap(), [5, 1 << 20, 1 << 20, 902_848]);
        assert!(sent_as_file(3_000_006).await.unwrap_err().contains("has 3000005"));
        assert!(sent_as_file(4).await.unwrap_err().contains("4 bytes, but has 5"));
    }

    #[tokio::test]
    async fn windows_may_be_anywhere_in_the_file() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let windows = stream::iter([Ok(700..705), Ok(100..110)]).boxed();
        let local = LocalFile::new(file, windows);
        let reader = FileReader::of_file(20, 5..20, stream::pending().boxed(), local);
        let sender = FileSender::default();
        let mut body = from_reader(reader, Some(sender.clone())).into_data_stream();
        for expected in [700..705, 100..110] {
            let placeholder = body.try_next().await.unwrap().unwrap();
            assert_eq!(placeholder.len() as u64, expected.end - expected.start);
            assert_eq!(sender.take_announced(), Some(expected));
        }
        assert!(body.try_next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_is_not_in_the_file_follows_its_windows() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let windows = stream::iter([Ok(0..10)]).boxed();
        let rest = stream::iter([Ok(Bytes::from_static(b"rest"))]).boxed();
        let reader =
            FileReader::of_file(14, 0..14, stream::pending().boxed(), LocalFile { file, windows, rest });
        let sender = FileSender::default();
        let mut body = from_reader(reader, Some(sender.clone())).into_data_stream();
        assert_eq!(body.try_next().await.unwrap().unwrap().len(), 10);
        assert_eq!(sender.take_announced(), Some(0..10));
        assert_eq!(body.try_next().await.unwrap().unwrap(), "rest");
        assert_eq!(sender.take_announced(), None);
        assert!(body.try_next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn content_in_memory_is_sent_and_its_length_checked() {
        let sent = |range| async move {
            let reader = FileReader::of_content(9, range, Bytes::from_static(b"abc"));
            let sent = from_reader(reader, Some(FileSender::default())).collect().await;
            sent.map(|body| body.to_bytes()).map_err(|error| error.to_string())
        };
        assert_eq!(sent(2..5).await.unwrap(), "abc");
        assert!(sent(2..6).await.unwrap_err().contains("4 bytes, but has 3"));
        assert!(sent(2..4).await.unwrap_err().contains("2 bytes, but has 3"));
    }

    async fn received(len: &'static str, sizes: &'static [usize]) -> Result<usize, String> {
        let mut request = Request::new(Body::from_stream(chunks(sizes)));
        request.headers_mut().insert(CONTENT_LENGTH, len.parse().unwrap());
        let body = request_stream(request);
        let chunks: Vec<Bytes> = body.try_collect().await.map_err(|error| error.to_string())?;
        Ok(chunks.iter().map(Bytes::len).sum())
    }

    #[tokio::test]
    async fn a_request_body_must_match_its_content_length() {
        assert_eq!(received("5", &[2, 3]).await, Ok(5));
        assert!(received("6", &[2, 3]).await.unwrap_err().contains("6 bytes, but has 5"));
        assert!(received("4", &[2, 3]).await.unwrap_err().contains("4 bytes, but has 5"));
    }

    #[tokio::test]
    async fn at_most_twice_the_limit_is_read() {
        let read = |sizes| read_limited_of(sizes, 10);
        assert_eq!(read(&[4, 6]).await, Ok(10));
        assert_eq!(read(&[4, 7]).await, Err(413));
        let endless = stream::repeat_with(|| Ok::<_, BoxError>(Bytes::from_static(b"abc")));
        let error = read_limited(Request::new(Body::from_stream(endless)), 10).await.unwrap_err();
        assert_eq!(error.status(), 413);
    }

    async fn read_limited_of(sizes: &'static [usize], limit: u64) -> Result<usize, u16> {
        let read = read_limited(Request::new(Body::from_stream(chunks(sizes))), limit).await;
        read.map(|bytes| bytes.len()).map_err(|error| error.status().as_u16())
    }
}
