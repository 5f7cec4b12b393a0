//! `multipart/byteranges`: several ranges of a blob in one response (RFC 9110, 14.6).

use std::ops::Range;

use axum::body::Body;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use http::HeaderValue;
use sampan_driver::{BoxError, ByteRange};
use sampan_engine::RepositoryBlobs;
use sampan_engine::oci::Digest;
use uuid::Uuid;

use super::body::exact;
use super::headers::visible;

/// Several ranges of a blob, sent in order.
pub(super) struct Multipart {
    boundary: String,
    parts: Vec<(Bytes, Range<u64>)>,
}

impl Multipart {
    /// A response with `ranges` of content of `size_bytes`, in this order.
    pub(super) fn new(ranges: Vec<Range<u64>>, size_bytes: u64) -> Self {
        // Random, so that the content does not contain it.
        let boundary = Uuid::new_v4().simple().to_string();
        let head = |range: &Range<u64>| {
            let content_range = format!("bytes {}-{}/{size_bytes}", range.start, range.end - 1);
            Bytes::from(format!(
                "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: {content_range}\r\n\r\n"
            ))
        };
        let parts = ranges.into_iter().map(|range| (head(&range), range)).collect();
        Self { boundary, parts }
    }

    /// The `Content-Type`.
    pub(super) fn content_type(&self) -> HeaderValue {
        visible(format!("multipart/byteranges; boundary={}", self.boundary))
    }

    /// The body. Opens each part when the previous one is sent.
    pub(super) fn into_body(self, blobs: RepositoryBlobs, digest: Digest) -> Body {
        let tail = Bytes::from(format!("\r\n--{}--\r\n", self.boundary));
        let sizes = self.parts.iter().map(|(head, range)| head.len() as u64 + range.end - range.start);
        let len = sizes.sum::<u64>() + tail.len() as u64;
        let parts = stream::iter(self.parts).then(move |(head, range)| {
            let (blobs, digest) = (blobs.clone(), digest.clone());
            async move {
                let range = ByteRange::new(range.start, range.end - range.start);
                let (_, reader) = blobs.read(&digest, range).await?;
                let content = reader.into_stream().map_err(BoxError::from);
                Ok::<_, BoxError>(stream::iter([Ok(head)]).chain(content))
            }
        });
        exact(len, parts.try_flatten().chain(stream::iter([Ok(tail)])).boxed())
    }
}
