//! The blobs of a repository: whether they are there, their content, their deletion.

use http::Method;
use http::header::{CONTENT_RANGE, RANGE};
use sampan_engine::oci::Digest;

use crate::blob_stream::BlobStream;
use crate::error::ClientError;
use crate::repository::RepositoryClient;
use crate::transport::Answer;

/// A blob without its content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BlobInfo {
    /// The length in bytes, if the registry says it.
    pub size_bytes: Option<u64>,
}

impl RepositoryClient {
    /// Asks whether a blob exists; `None` if not. Where a `HEAD` is refused (public.ecr.aws answers 401) or has no length,
    /// reads one byte instead.
    ///
    /// # Errors
    ///
    /// As every request.
    pub async fn blob_info(&self, digest: &Digest) -> Result<Option<BlobInfo>, ClientError> {
        let path = format!("blobs/{digest}");
        let head = self.connection().call(&self.read(Method::HEAD, &path)).await;
        match head {
            Ok(answer) if answer.status() == 200 => {
                if let Some(size) = answer.content_length() {
                    return Ok(Some(BlobInfo { size_bytes: Some(size) }));
                }
            }
            Ok(answer) if answer.status() == 404 => return Ok(None),
            Ok(answer) if !matches!(answer.status(), 401 | 403 | 405 | 501) => {
                return Err(self.connection().error(answer).await);
            }
            Ok(_) => {}
            Err(error) if error.status() == Some(401) => {}
            Err(error) => return Err(error),
        }
        let answer =
            self.connection().call(&self.read(Method::GET, &path).header(RANGE, "bytes=0-0")).await?;
        match answer.status() {
            200 => Ok(Some(BlobInfo { size_bytes: answer.content_length() })),
            206 => Ok(Some(BlobInfo { size_bytes: content_range(&answer).and_then(|range| range.total) })),
            // A blob without bytes has no first one.
            416 => Ok(Some(BlobInfo { size_bytes: content_range(&answer).and_then(|range| range.total) })),
            404 => Ok(None),
            _ => Err(self.connection().error(answer).await),
        }
    }

    /// Reads a blob; `None` if it does not exist. The stream compares the content with its digest, and resumes after a
    /// broken connection. `size_bytes` is the length in the descriptor, if there is one.
    ///
    /// # Errors
    ///
    /// As every request; also another length than `size_bytes`.
    pub async fn blob(
        &self,
        digest: &Digest,
        size_bytes: Option<u64>,
    ) -> Result<Option<BlobStream>, ClientError> {
        BlobStream::open(self.clone(), digest.clone(), size_bytes, 0).await
    }

    /// Reads the rest of a blob from `offset`; `None` if it does not exist. Nothing compares the bytes with the digest: the
    /// caller has the first ones.
    ///
    /// # Errors
    ///
    /// As [`blob`](Self::blob).
    pub async fn blob_from(
        &self,
        digest: &Digest,
        size_bytes: u64,
        offset: u64,
    ) -> Result<Option<BlobStream>, ClientError> {
        BlobStream::open(self.clone(), digest.clone(), Some(size_bytes), offset).await
    }

    /// Deletes a blob from the repository; `false` if it does not exist (OCI distribution-spec, "Deleting Blobs").
    ///
    /// # Errors
    ///
    /// As every request; registries may refuse deletions.
    pub async fn delete_blob(&self, digest: &Digest) -> Result<bool, ClientError> {
        self.delete_at(&format!("blobs/{digest}")).await
    }
}

/// The values of a `Content-Range` (RFC 9110, 14.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ContentRange {
    /// The first and the last byte; `None` for an unsatisfied range.
    pub(crate) bytes: Option<(u64, u64)>,
    pub(crate) total: Option<u64>,
}

pub(crate) fn content_range(answer: &Answer) -> Option<ContentRange> {
    parse_content_range(answer.header(CONTENT_RANGE)?)
}

fn parse_content_range(text: &str) -> Option<ContentRange> {
    let (bytes, total) = text.trim().strip_prefix("bytes ")?.trim().split_once('/')?;
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    let bytes = match bytes.trim() {
        "*" => None,
        range => {
            let (first, last) = range.split_once('-')?;
            let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (first <= last && total.is_none_or(|total| last < total)).then_some((first, last))?;
            Some((first, last))
        }
    };
    Some(ContentRange { bytes, total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_parsed() {
        for (text, expected) in [
            ("bytes 0-0/10", Some((Some((0, 0)), Some(10)))),
            ("bytes 5-9/10", Some((Some((5, 9)), Some(10)))),
            ("bytes 5-9/*", Some((Some((5, 9)), None))),
            ("bytes */10", Some((None, Some(10)))),
            ("bytes 5-10/10", None),
            ("bytes 9-5/10", None),
            ("5-9/10", None),
            ("bytes 5-9", None),
            ("bytes -9/10", None),
            ("bytes 5-99999999999999999999/*", None),
            ("", None),
        ] {
            let expected = expected.map(|(bytes, total)| ContentRange { bytes, total });
            assert_eq!(parse_content_range(text), expected, "{text}");
        }
    }
}
