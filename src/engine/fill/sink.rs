//! `Sink`: where the bytes of a fill go: to the store, and to a spool when the store cannot show or take them.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::admission::Reservation;
use super::error::WriteNotStarted;
use super::progress::{BytesLocation, Part};
use super::spool::SpoolWriter;
use super::store::StoreWriter;
use super::{FillError, UnstoredReason};
use crate::oci::Digest;
use crate::upload::hash::UploadHash;
use crate::{BlobInfo, Repository};

/// The bytes of a fill.
#[derive(Debug)]
pub(super) struct Sink {
    store: Option<StoreWriter>,
    /// Why there is no store.
    unstored: Option<FillError>,
    spool: Option<SpoolWriter>,
    directory: PathBuf,
    parts: Vec<Part>,
    accepted_bytes: u64,
    /// The bytes of the store that the blob will take.
    reserved: Vec<Reservation>,
}

/// The options of a sink.
#[derive(Debug)]
pub(super) struct SinkOptions {
    pub(super) repository: Repository,
    pub(super) digest: Digest,
    pub(super) len: Option<u64>,
    pub(super) spool: PathBuf,
    pub(super) write_timeout: Duration,
    pub(super) reserved: Option<Reservation>,
    /// Why the store must not take it.
    pub(super) refused: Option<UnstoredReason>,
}

impl Sink {
    /// Opens a staged file, and a spool if that has no view. Fails if there is neither.
    pub(super) async fn open(options: SinkOptions) -> Result<Self, FillError> {
        let SinkOptions { repository, digest, len, spool, write_timeout, reserved, refused } = options;
        let opened = match refused {
            Some(reason) => Err(FillError::Unstored(reason, Arc::new(WriteNotStarted))),
            None => StoreWriter::open(repository, &digest, len, write_timeout).await,
        };
        let (store, unstored) = match opened {
            Ok(store) => (Some(store), None),
            Err(error) => (None, Some(error)),
        };
        let (directory, parts) = (spool, Vec::new());
        let reserved = Vec::from_iter(reserved);
        let mut sink = Self { store, unstored, spool: None, directory, parts, accepted_bytes: 0, reserved };
        if sink.store.is_none() {
            sink.unreserve();
        }
        match sink.store.as_ref().map(StoreWriter::view) {
            Some(Some(view)) => {
                sink.parts.push(Part { start: 0, place: BytesLocation::Staged(view.clone()) });
            }
            Some(None) => {
                if let Err(error) = sink.open_spool(0).await {
                    tracing::warn!(%digest, %error, "cannot create a spool file for blob {digest}: its readers wait until it is stored");
                }
            }
            None => sink.replace_store(0, Vec::new()).await?,
        }
        Ok(sink)
    }

    /// Where readers find the bytes.
    pub(super) fn parts(&self) -> Arc<[Part]> {
        self.parts.clone().into()
    }

    /// The bytes from the start that readers can read.
    pub(super) fn readable_bytes(&self) -> u64 {
        match self.parts.last().map(|part| &part.place) {
            Some(BytesLocation::Staged(view)) => view.readable_bytes(),
            Some(BytesLocation::Spooled(spool)) => spool.readable_end(),
            Some(BytesLocation::Stored(..)) | None => 0,
        }
    }

    /// All bytes so far.
    pub(super) fn accepted_bytes(&self) -> u64 {
        self.accepted_bytes
    }

    /// Why the blob cannot be stored any more.
    pub(super) fn unstored(&self) -> Option<&FillError> {
        self.unstored.as_ref()
    }

    /// Writes `chunk`, and hashes it meanwhile. Fails only if readers cannot get the bytes any more.
    pub(super) async fn write(&mut self, chunk: Bytes, hash: &mut UploadHash) -> Result<(), FillError> {
        self.accepted_bytes += chunk.len() as u64;
        let Self { store, spool, .. } = self;
        let storing = async {
            match store {
                Some(store) => store.write(chunk.clone()).await,
                None => Ok(()),
            }
        };
        let spooling = async {
            match spool {
                Some(spool) => spool.write(chunk.clone()).await,
                None => Ok(()),
            }
        };
        let hashing = async { hash.update(&chunk) };
        let (stored, spooled, ()) = futures::join!(storing, spooling, hashing);
        self.take_over(stored, spooled).await
    }

    /// Makes all accepted bytes readable, where they can be.
    pub(super) async fn flush(&mut self) -> Result<(), FillError> {
        let stored = match &mut self.store {
            Some(store) => store.flush().await,
            None => Ok(()),
        };
        let spooled = match &mut self.spool {
            Some(spool) => spool.flush().await,
            None => Ok(()),
        };
        self.take_over(stored, spooled).await
    }

    /// Publishes the blob. Afterwards readers find in the store what they cannot find elsewhere.
    pub(super) async fn publish(
        &mut self,
        hash: UploadHash,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<BlobInfo, FillError> {
        let Some(store) = self.store.take() else {
            return Err(self.unstored.clone().unwrap_or(FillError::Stopped));
        };
        let info = store.publish(hash, digest).await.map_err(FillError::unstored);
        match &info {
            Ok(_) => {
                let start = self.readable_bytes();
                if start < self.accepted_bytes {
                    self.parts.push(Part {
                        start,
                        place: BytesLocation::Stored(repository.clone(), digest.clone()),
                    });
                }
            }
            Err(error) => self.unstored = Some(error.clone()),
        }
        info
    }

    /// Gives up what is staged.
    pub(super) async fn cancel(&mut self) {
        if let Some(store) = self.store.take() {
            store.cancel().await;
        }
        self.unreserve();
    }

    /// Gives back the bytes that are reserved: they count as stored by now, or will not be.
    pub(super) fn unreserve(&mut self) {
        self.reserved.clear();
    }

    /// Keeps more bytes reserved.
    pub(super) fn reserve(&mut self, reserved: Option<Reservation>) {
        if self.store.is_some() {
            self.reserved.extend(reserved);
        }
    }

    /// Goes on without the store, which must not take more. Fails only if readers cannot get the bytes any more.
    pub(super) async fn refuse(&mut self, reason: UnstoredReason) -> Result<(), FillError> {
        match self.store.is_some() {
            true => self.take_over(Err(FillError::Unstored(reason, Arc::new(WriteNotStarted))), Ok(())).await,
            false => Ok(()),
        }
    }

    /// Continues without the part that failed.
    async fn take_over(
        &mut self,
        stored: Result<(), FillError>,
        spooled: io::Result<()>,
    ) -> Result<(), FillError> {
        let spool_error = spooled.err();
        if let Some(error) = &spool_error {
            tracing::warn!(%error, "cannot write a spool file: the readers of the blob wait until it is stored");
            self.spool = None;
        }
        match (stored, spool_error, &self.unstored) {
            (Ok(()), None, _) | (Ok(()), Some(_), None) => Ok(()),
            // The store had failed before, and now the spool has.
            (Ok(()), Some(_), Some(unstored)) => Err(unstored.clone()),
            (Err(error), Some(_), _) => {
                self.unstored = Some(error.clone());
                self.cancel().await;
                Err(error)
            }
            (Err(error), None, _) => {
                self.unstored = Some(error.clone());
                let had_view = self.store.as_ref().is_some_and(|store| store.view().is_some());
                let Some(store) = self.store.take() else { return Err(error) };
                let (start, chunks) = store.cancel().await;
                self.unreserve();
                match (had_view, &self.spool) {
                    (true, _) => self.replace_store(start, chunks).await,
                    (false, Some(_)) => Ok(()),
                    (false, None) => Err(error),
                }
            }
        }
    }

    /// Begins a spool in place of the store, with the bytes that the store does not show.
    async fn replace_store(&mut self, start: u64, chunks: Vec<Bytes>) -> Result<(), FillError> {
        let spooled = async {
            let spool = self.open_spool(start).await?;
            for chunk in chunks {
                spool.write(chunk).await?;
            }
            spool.flush().await
        };
        if let Err(error) = spooled.await {
            tracing::warn!(%error, "the store failed and cannot be replaced by a spool file, so the transfer of the blob ends");
            return Err(self.unstored.clone().unwrap_or(FillError::Stopped));
        }
        Ok(())
    }

    async fn open_spool(&mut self, start: u64) -> io::Result<&mut SpoolWriter> {
        let writer = SpoolWriter::open(self.directory.clone(), start).await?;
        self.parts.push(Part { start, place: BytesLocation::Spooled(writer.spool().clone()) });
        Ok(self.spool.insert(writer))
    }
}
