//! `Exported`: the content of a planned export, for the writer of the bundle.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::{StreamExt, stream};
use sampan_bundle::{BoxError, ContentKind, ContentSource, ContentStream, Output, Plan, PlannedContent};
use sampan_engine::oci::{Digest, RepositoryName};

use crate::rewrite::Rewrites;
use crate::{Progress, Result, Source};

/// Reads content of a source, each from the repository where the plan found it.
#[derive(Debug)]
pub struct Exported {
    source: Arc<dyn Source>,
    places: HashMap<Digest, RepositoryName>,
    rewrites: Rewrites,
}

impl Exported {
    /// The content of `plan` in `source`, where `places` says a repository of each.
    ///
    /// # Errors
    ///
    /// `Image` when the plan has indexes that were rewritten for an invalid platform.
    pub fn new(
        source: Arc<dyn Source>,
        plan: &Plan,
        places: HashMap<Digest, RepositoryName>,
    ) -> Result<Self> {
        Ok(Self { source, places, rewrites: Rewrites::of(plan)? })
    }
}

impl ContentSource for Exported {
    async fn open(&self, content: &PlannedContent) -> Result<ContentStream, BoxError> {
        let missing = || format!("{} is no longer there: export again", content.digest);
        let repository = self.places.get(&content.digest).ok_or_else(missing)?;
        match content.kind {
            ContentKind::Blob => Ok(self.source.blob(repository, &content.digest).await?),
            ContentKind::Manifest => {
                let found = self.rewrites.manifest(&*self.source, repository, &content.digest).await?;
                Ok(stream::iter([Ok(found.ok_or_else(missing)?)]).boxed())
            }
        }
    }
}

/// An output that counts the bytes that pass.
#[derive(Debug)]
pub struct CountingOutput<O> {
    inner: O,
    progress: Arc<Progress>,
}

impl<O> CountingOutput<O> {
    /// Counts the bytes that `inner` takes.
    pub fn new(inner: O, progress: Arc<Progress>) -> Self {
        Self { inner, progress }
    }

    /// The output itself.
    pub fn into_inner(self) -> O {
        self.inner
    }
}

impl<O: Output> Output for CountingOutput<O> {
    async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        let len = bytes.len() as u64;
        self.inner.write(bytes).await?;
        self.progress.bytes.fetch_add(len, Ordering::Relaxed);
        Ok(())
    }
}
