//! `StoreWriter`: the store's side of a fill: the staged file, and its publication.
//!
//! Each call of the store has a time limit, since the readers of the fill wait for it.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sampan_driver::{FileWriter, StagedView, WriteHint, WriteMode};

use super::error::StoreTimeout;
use super::{FillError, UnstoredReason};
use crate::layout;
use crate::oci::Digest;
use crate::upload::end::target;
use crate::upload::hash::UploadHash;
use crate::upload::writer::UploadWriter;
use crate::upload::{UploadId, UploadStore};
use crate::{BlobInfo, Error, Repository, Result};

/// The staged file of a fill.
#[derive(Debug)]
pub(super) struct StoreWriter {
    uploads: UploadStore,
    id: UploadId,
    writer: Box<dyn FileWriter>,
    view: Option<Arc<dyn StagedView>>,
    /// Accepted chunks that the view does not show yet, each with the offset of its end. They are needed when the store fails.
    unseen: VecDeque<(u64, Bytes)>,
    accepted_bytes: u64,
    timeout: Duration,
}

impl StoreWriter {
    /// Opens a staged file for `digest` in `repository`.
    pub(super) async fn open(
        repository: Repository,
        digest: &Digest,
        len: Option<u64>,
        timeout: Duration,
    ) -> Result<Self, FillError> {
        repository.registry.check_writable().map_err(FillError::unstored)?;
        let (uploads, id) = (repository.uploads(), UploadId::random());
        let hint = WriteHint { len, target: target(digest) };
        let path = uploads.data_path(&id);
        let writer = within(timeout, uploads.driver().writer(&path, WriteMode::Create(hint))).await?;
        let view = writer.view();
        Ok(Self { uploads, id, writer, view, unseen: VecDeque::new(), accepted_bytes: 0, timeout })
    }

    pub(super) fn view(&self) -> Option<&Arc<dyn StagedView>> {
        self.view.as_ref()
    }

    pub(super) async fn write(&mut self, chunk: Bytes) -> Result<(), FillError> {
        self.accepted_bytes += chunk.len() as u64;
        if self.view.is_some() {
            self.unseen.push_back((self.accepted_bytes, chunk.clone()));
        }
        within(self.timeout, self.writer.write(chunk)).await?;
        self.forget_seen();
        Ok(())
    }

    /// Makes all accepted bytes readable in the view.
    pub(super) async fn flush(&mut self) -> Result<(), FillError> {
        within(self.timeout, self.writer.flush()).await?;
        self.forget_seen();
        Ok(())
    }

    /// Publishes the whole file. On an error nothing is left, unless the store refuses even that.
    pub(super) async fn publish(self, hash: UploadHash, digest: &Digest) -> Result<BlobInfo> {
        let Self { uploads, id, writer, .. } = self;
        let published = uploads.publish(&id, UploadWriter::new_hashed(writer, hash), digest).await;
        if published.is_err() {
            uploads.clear(&id, false, false).await;
        }
        published
    }

    /// Gives up the staged file. Returns the chunks after the last byte that its view shows, and their offset; no chunks
    /// without a view.
    pub(super) async fn cancel(self) -> (u64, Vec<Bytes>) {
        let Self { uploads, id, writer, view, unseen, timeout, .. } = self;
        let removal = async {
            writer.cancel().await?;
            uploads.driver().delete_tree(&layout::upload(uploads.repository.name(), &id)).await
        };
        if let Err(error) = within(timeout, removal).await {
            tracing::warn!(upload = %id, error = &error as &dyn StdError, "cannot remove the staged file of upload {id}; the next purge removes it");
        }
        let Some(view) = view else { return (0, Vec::new()) };
        let readable = view.readable_bytes();
        let chunks = unseen.into_iter().filter_map(|(end, chunk)| {
            let rest = usize::try_from(end.checked_sub(readable)?).ok()?.min(chunk.len());
            (rest > 0).then(|| chunk.slice(chunk.len() - rest..))
        });
        (readable, chunks.collect())
    }

    fn forget_seen(&mut self) {
        let Some(view) = &self.view else { return };
        let readable = view.readable_bytes();
        while self.unseen.front().is_some_and(|(end, _)| *end <= readable) {
            self.unseen.pop_front();
        }
    }
}

/// Awaits a call of the store for at most `timeout`.
async fn within<T>(
    timeout: Duration,
    call: impl Future<Output = sampan_driver::Result<T>>,
) -> Result<T, FillError> {
    match tokio::time::timeout(timeout, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(FillError::unstored(Error::Driver(error))),
        Err(_elapsed) => Err(FillError::Unstored(UnstoredReason::Timeout, Arc::new(StoreTimeout(timeout)))),
    }
}
