//! `Fill`: a client's handle on a transfer.

use std::sync::Arc;

use sampan_driver::{ByteRange, FileReader};
use tokio::sync::watch;

use super::progress::Progress;
use super::table::{Inner, Key};
use super::{FillError, reader};
use crate::oci::Digest;
use crate::{BlobInfo, Repository};

/// A handle on a transfer. Without any handle or reader the transfer continues, but may be given up.
#[derive(Clone, Debug)]
pub struct Fill {
    client: Arc<Client>,
    progress: watch::Receiver<Progress>,
    repository: Repository,
}

/// The id of no transfer.
pub(super) const NO_TRANSFER: u64 = 0;

/// One request that waits for a transfer; shared by its handles and readers.
#[derive(Debug)]
pub(super) struct Client {
    fills: Arc<Inner>,
    key: Key,
    id: u64,
}

impl Client {
    pub(super) fn new(fills: Arc<Inner>, key: Key, id: u64) -> Self {
        Self { fills, key, id }
    }

    pub(super) fn digest(&self) -> &Digest {
        &self.key.1
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.fills.leave(&self.key, self.id);
    }
}

impl Fill {
    pub(super) fn new(client: Client, progress: watch::Receiver<Progress>, repository: Repository) -> Self {
        Self { client: Arc::new(client), progress, repository }
    }

    /// Why no transfer was begun or joined: the upstream sent other content a short while ago, or the registry is shutting down.
    pub fn refusal(&self) -> Option<FillError> {
        let has_transfer = self.client.id != NO_TRANSFER;
        if has_transfer { None } else { self.progress.borrow().failed.clone() }
    }

    /// Waits until the upstream has answered. Returns the length of the blob in bytes, if it is known.
    ///
    /// # Errors
    ///
    /// The upstream's; any other that ends the transfer.
    pub async fn opened(&self) -> Result<Option<u64>, FillError> {
        let progress = self.when(|progress| progress.opened.is_some()).await?;
        Ok(progress.size_bytes())
    }

    /// Opens `range` of the blob, whose bytes come as they arrive. Waits until its length is known, at the latest until the
    /// end of the transfer.
    ///
    /// The reader's stream fails if the transfer does, and before it has yielded the whole of a blob whose digest is wrong.
    ///
    /// # Errors
    ///
    /// `RangeInvalid` if the range begins beyond the end; any that ended the transfer.
    pub async fn reader(&self, range: ByteRange) -> Result<FileReader, FillError> {
        let is_ready = |progress: &Progress| progress.parts.is_some() && progress.size_bytes().is_some();
        let progress = self.when(is_ready).await?;
        let size_bytes = progress.size_bytes().unwrap_or_default();
        let Some(range) = range.resolve(size_bytes) else {
            return Err(FillError::RangeInvalid { size_bytes });
        };
        if range.is_empty() {
            // Nothing of it can be withheld.
            self.when(|progress| progress.verified.is_some()).await?;
        }
        Ok(reader::open(self.client.clone(), self.progress.clone(), size_bytes, range))
    }

    /// Waits until the blob is in the store and visible in this repository.
    ///
    /// # Errors
    ///
    /// `Unstored` if the store does not take it, which readers need not notice; any that ended the transfer.
    pub async fn stored(&self) -> Result<BlobInfo, FillError> {
        let name = self.repository.name();
        let is_known =
            |progress: &Progress| progress.unstored.is_some() || progress.stored.contains_key(name);
        let progress = self.when(is_known).await?;
        let stored = progress.stored.get(name).cloned();
        stored.unwrap_or_else(|| Err(progress.unstored.unwrap_or(FillError::Stopped)))
    }

    /// Waits until `is_so`. Fails if the transfer has failed or ended before.
    async fn when(&self, is_so: impl Fn(&Progress) -> bool) -> Result<Progress, FillError> {
        let mut receiver = self.progress.clone();
        let progress = receiver.wait_for(|progress| progress.failed.is_some() || is_so(progress)).await;
        let progress = progress.map_err(|_ended| FillError::Stopped)?.clone();
        match progress.failed {
            Some(error) => Err(error),
            None => Ok(progress),
        }
    }
}
