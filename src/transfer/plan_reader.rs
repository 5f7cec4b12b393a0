//! `PlanReader`: the content that an import stores, of a bundle or of a source that is read as it goes.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use sampan_bundle::{BoxError, ContentSource, ContentStream, Plan, Reader};
use sampan_engine::Error as EngineError;
use sampan_engine::oci::Digest;

use crate::{Error, Exported, MissingFrom, Planned, Result, Source};

/// Planned content that can be read. An index is a place in the plan's list of content.
#[async_trait]
pub trait PlanReader: Send + Sync {
    /// The images and their content.
    fn plan(&self) -> &Plan;

    /// Whether content can be read in any order, several at a time, and again.
    fn is_seekable(&self) -> bool;

    /// Where content is that the plan presumes and a target lacks.
    fn supplement(&self) -> MissingFrom;

    /// Checks what can be checked before anything is written.
    async fn check(&self) -> Result<()>;

    /// The bytes of some content: at most its planned length.
    async fn content(&self, index: usize) -> Result<ContentStream>;

    /// The bytes of a manifest, verified.
    async fn read_whole(&self, index: usize, max_bytes: u64) -> Result<Bytes>;

    /// Checks the end, after everything was read.
    async fn finish(&self) -> Result<()>;

    /// The error of content with another digest.
    fn wrong_digest(&self, index: usize, actual: &Digest) -> Error;

    /// The error of other faults of some content.
    fn fault(&self, index: usize, problem: String) -> Error;

    /// The error of an upload of some content: a damaged bundle shows as one that failed.
    fn upload_failure(&self, index: usize, error: Error) -> Error {
        match error {
            Error::Store(EngineError::DigestMismatch { actual, .. }) => self.wrong_digest(index, &actual),
            Error::Registry(refused) if refused.code() == "DIGEST_INVALID" => {
                self.fault(index, "its content does not have its digest".to_owned())
            }
            Error::Store(EngineError::BodyBroken(source)) => match Error::content(source) {
                Error::Other(source) => Error::Store(EngineError::BodyBroken(source)),
                error => error,
            },
            error => error,
        }
    }
}

#[async_trait]
impl PlanReader for Reader {
    fn plan(&self) -> &Plan {
        Reader::plan(self)
    }

    fn is_seekable(&self) -> bool {
        self.files().is_some()
    }

    fn supplement(&self) -> MissingFrom {
        MissingFrom::Export
    }

    async fn check(&self) -> Result<()> {
        Ok(self.check_framing().await?)
    }

    async fn content(&self, index: usize) -> Result<ContentStream> {
        Ok(Reader::content(self, index).await?.into_stream().map_err(BoxError::from).boxed())
    }

    async fn read_whole(&self, index: usize, max_bytes: u64) -> Result<Bytes> {
        Ok(Reader::read_whole(self, index, max_bytes).await?)
    }

    async fn finish(&self) -> Result<()> {
        Ok(Reader::finish(self).await?)
    }

    fn wrong_digest(&self, index: usize, actual: &Digest) -> Error {
        Error::Bundle(Reader::wrong_digest(self, index, actual).into())
    }

    fn fault(&self, index: usize, problem: String) -> Error {
        Error::Bundle(Reader::fault(self, index, problem).into())
    }
}

/// The content of an export, without a bundle in between.
#[derive(Debug)]
pub struct LiveExport {
    plan: Plan,
    exported: Exported,
}

impl LiveExport {
    /// The images of `planned`, read from the source that they were planned from.
    ///
    /// # Errors
    ///
    /// As [`Exported::new`].
    pub fn new(source: Arc<dyn Source>, planned: Planned) -> Result<Self> {
        let exported = Exported::new(source, &planned.plan, planned.places)?;
        Ok(Self { plan: planned.plan, exported })
    }
}

#[async_trait]
impl PlanReader for LiveExport {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn supplement(&self) -> MissingFrom {
        MissingFrom::Export
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn content(&self, index: usize) -> Result<ContentStream> {
        let planned = &self.plan.contents[index];
        let stream = self.exported.open(planned).await.map_err(Error::content)?;
        let (digest, mut left) = (planned.digest.clone(), planned.size_bytes);
        let bounded = stream.map(move |bytes| {
            let bytes = bytes?;
            left = left.checked_sub(bytes.len() as u64).ok_or_else(|| longer_than_planned(&digest))?;
            Ok(bytes)
        });
        Ok(bounded.boxed())
    }

    async fn read_whole(&self, index: usize, max_bytes: u64) -> Result<Bytes> {
        if self.plan.contents[index].size_bytes > max_bytes {
            return Err(self.fault(index, format!("it is longer than {max_bytes} bytes")));
        }
        let mut stream = self.content(index).await?;
        let mut whole = BytesMut::new();
        while let Some(bytes) = stream.try_next().await.map_err(Error::content)? {
            whole.extend_from_slice(&bytes);
        }
        Ok(whole.freeze())
    }

    async fn finish(&self) -> Result<()> {
        Ok(())
    }

    fn wrong_digest(&self, index: usize, actual: &Digest) -> Error {
        self.fault(index, format!("its content has the digest {actual}"))
    }

    fn fault(&self, index: usize, problem: String) -> Error {
        Error::Image { image: self.plan.contents[index].digest.to_string(), problem }
    }
}

fn longer_than_planned(digest: &Digest) -> Error {
    let problem =
        "the source sends more bytes than it announced: copy again, and repair the blob if that fails too";
    Error::Image { image: digest.to_string(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::SystemTime;

    use futures::stream;
    use sampan_bundle::{ContentKind, PlannedContent};
    use sampan_engine::oci::{Descriptor, Reference, RepositoryName, Tag};

    use super::*;
    use crate::FoundManifest;

    /// A source whose blobs do not end; it counts the bytes that were taken.
    #[derive(Debug, Default)]
    struct Endless(Arc<AtomicU64>);

    #[async_trait]
    impl Source for Endless {
        async fn repositories(&self) -> Result<Vec<RepositoryName>> {
            Ok(Vec::new())
        }

        fn is_partial(&self, _: &RepositoryName) -> bool {
            false
        }

        async fn tags(&self, _: &RepositoryName) -> Result<Option<Vec<Tag>>> {
            Ok(None)
        }

        async fn tag_time(&self, _: &RepositoryName, _: &Tag) -> Result<Option<SystemTime>> {
            Ok(None)
        }

        async fn manifest(&self, _: &RepositoryName, _: &Reference) -> Result<Option<FoundManifest>> {
            Ok(None)
        }

        async fn referrers(&self, _: &RepositoryName, _: &Digest) -> Result<Vec<Descriptor>> {
            Ok(Vec::new())
        }

        async fn blob_size(&self, _: &RepositoryName, _: &Digest) -> Result<Option<u64>> {
            Ok(Some(100))
        }

        async fn blob(&self, _: &RepositoryName, _: &Digest) -> Result<ContentStream> {
            let taken = self.0.clone();
            let pieces = stream::repeat(Bytes::from_static(&[0; 64])).take(1 << 20);
            let counted = pieces.inspect(move |piece| {
                taken.fetch_add(piece.len() as u64, Ordering::Relaxed);
            });
            Ok(counted.map(Ok).boxed())
        }
    }

    #[tokio::test]
    async fn a_source_that_sends_more_than_it_announced_is_stopped() {
        let (digest, taken) = (Digest::sha256_of(b"x"), Arc::new(AtomicU64::new(0)));
        let planned = Planned {
            plan: Plan {
                contents: vec![PlannedContent {
                    digest: digest.clone(),
                    size_bytes: 100,
                    kind: ContentKind::Blob,
                }],
                ..Plan::default()
            },
            places: HashMap::from([(digest.clone(), "a".parse().unwrap())]),
            ..Planned::default()
        };
        let live = LiveExport::new(Arc::new(Endless(taken.clone())), planned).unwrap();
        let error = live.read_whole(0, 1000).await.unwrap_err().to_string();
        assert!(error.contains(&digest.to_string()) && error.contains("more bytes than"), "{error}");
        assert_eq!(taken.load(Ordering::Relaxed), 128);
    }
}
