//! `Carried`: the content that an import stores, of a bundle or of a source that is read as it goes.

use std::future::Future;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use sampan_bundle::{BoxError, ContentSource, ContentStream, Fault, Plan, Reader};
use sampan_engine::oci::Digest;

use crate::{Error, Exported, Planned, Result, Source};

/// Planned content that can be read. An index is a place in the plan's list of content.
pub trait Carried: Send + Sync {
    /// The images and their content.
    fn plan(&self) -> &Plan;

    /// Whether content can be read in any order, several at a time, and again.
    fn is_seekable(&self) -> bool;

    /// Checks what can be checked before anything is written.
    fn check(&self) -> impl Future<Output = Result<()>> + Send;

    /// The bytes of some content.
    fn content(&self, index: usize) -> impl Future<Output = Result<ContentStream>> + Send;

    /// The bytes of a manifest, verified.
    fn whole(&self, index: usize, max_bytes: u64) -> impl Future<Output = Result<Bytes>> + Send;

    /// Checks the end, after everything was read.
    fn finish(&self) -> impl Future<Output = Result<()>> + Send;

    /// The error of content with another digest.
    fn wrong_digest(&self, index: usize, actual: &Digest) -> Error;

    /// The error of other faults of some content.
    fn fault(&self, index: usize, problem: String) -> Error;
}

impl Carried for Reader {
    fn plan(&self) -> &Plan {
        Reader::plan(self)
    }

    fn is_seekable(&self) -> bool {
        self.files().is_some()
    }

    async fn check(&self) -> Result<()> {
        Ok(self.check_framing().await?)
    }

    async fn content(&self, index: usize) -> Result<ContentStream> {
        Ok(Reader::content(self, index).await?.into_stream().map_err(BoxError::from).boxed())
    }

    async fn whole(&self, index: usize, max_bytes: u64) -> Result<Bytes> {
        Ok(Reader::whole(self, index, max_bytes).await?)
    }

    async fn finish(&self) -> Result<()> {
        Ok(Reader::finish(self).await?)
    }

    fn wrong_digest(&self, index: usize, actual: &Digest) -> Error {
        Error::Bundle(Reader::wrong_digest(self, index, actual).into())
    }

    fn fault(&self, index: usize, problem: String) -> Error {
        let entry = self.plan().contents[index].digest.to_string();
        let offset = self.layout().header(index);
        Error::Bundle(Fault { entry, offset, part: None, problem }.into())
    }
}

/// The content of an export, without a bundle in between.
#[derive(Clone, Debug)]
pub struct Live<S> {
    plan: Plan,
    exported: Exported<S>,
}

impl<S: Source> Live<S> {
    /// The images of `planned`, read from the source that they were planned from.
    pub fn new(source: S, planned: Planned) -> Self {
        Self { plan: planned.plan, exported: Exported::new(source, planned.places) }
    }
}

impl<S: Source> Carried for Live<S> {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn is_seekable(&self) -> bool {
        true
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn content(&self, index: usize) -> Result<ContentStream> {
        self.exported.open(&self.plan.contents[index]).await.map_err(Error::content)
    }

    async fn whole(&self, index: usize, max_bytes: u64) -> Result<Bytes> {
        let mut stream = self.content(index).await?;
        let mut whole = BytesMut::new();
        while let Some(bytes) = stream.try_next().await.map_err(Error::content)? {
            whole.extend_from_slice(&bytes);
            if whole.len() as u64 > max_bytes {
                return Err(self.fault(index, format!("it is longer than {max_bytes} bytes")));
            }
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
