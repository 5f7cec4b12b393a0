//! `UploadStore`: uploads in progress, from their first byte to the blob.
//!
//! An upload is a staged file beside a `startedat` file. It survives the process: the staged file alone defines its length;
//! the running hash is a note of that file, and is recomputed from the bytes when the note is missing. `end.rs` ends an
//! upload.

pub(crate) mod end;
pub(crate) mod hash;
mod id;
pub(crate) mod locks;
mod note;
pub(crate) mod writer;

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use sampan_driver::{
    BoxError, DriverError, DriverPath, ErrorKind, FileWriter, PutMode, StorageDriver, StorageDriverExt,
    WriteHint, WriteMode,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::layout::{self, Entry};
use crate::oci::Algorithm;
use crate::{Error, Repository, Result};
use hash::UploadHash;
pub use id::{InvalidUploadId, UploadId};
use locks::{LockMode, UploadGuard, UploadLocks};
use note::UploadNote;
use writer::UploadWriter;

/// The bytes of a client. An error means that the client disconnected or sent something unreadable.
pub type Body = BoxStream<'static, Result<Bytes, BoxError>>;

/// The uploads to one repository.
#[derive(Clone, Debug)]
pub struct UploadStore {
    pub(crate) repository: Repository,
}

/// How an upload begins.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StartUpload {
    /// The algorithm of the final digest, if the client names one; sha256 otherwise.
    /// A wrong or missing value only costs one more read of the data.
    pub algorithm: Option<Algorithm>,
}

/// The state of an upload.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UploadStatus {
    /// The upload.
    pub id: UploadId,
    /// How many bytes the upload has.
    pub size_bytes: u64,
}

/// The range of a chunk in its blob, both ends inclusive (`Content-Range: <start>-<end>`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChunkRange {
    /// The offset of its first byte.
    pub start: u64,
    /// The offset of its last byte, not less than `start`.
    pub end: u64,
}

impl ChunkRange {
    pub(crate) fn len(self) -> u64 {
        (self.end - self.start).saturating_add(1)
    }
}

impl UploadStore {
    pub(crate) fn new(repository: Repository) -> Self {
        Self { repository }
    }

    /// Begins an upload.
    ///
    /// # Errors
    ///
    /// `ReadOnly`; any error of the store.
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.upload.start", skip_all)]
    pub async fn start(&self, options: StartUpload) -> Result<UploadStatus> {
        self.repository.registry.check_writable()?;
        let id = UploadId::random();
        let algorithm = options.algorithm.unwrap_or(Algorithm::Sha256);
        if algorithm != Algorithm::Sha256 {
            // The note tells other processes which digest to compute.
            let mode = WriteMode::Create(WriteHint::default());
            let writer = self.driver().writer(&self.data_path(&id), mode).await?;
            UploadWriter::new(writer, Some(UploadHash::new(algorithm)), true).close().await?;
        }
        let started = self.started_path(&id);
        self.driver().put_content(&started, started_now(), PutMode::Transient).await?;
        self.locks().claim(&id, LockMode::Write).await?.note_begun(started);
        Ok(UploadStatus { id, size_bytes: 0 })
    }

    /// The state of an upload.
    ///
    /// # Errors
    ///
    /// `UploadUnknown`; `UploadBusy` while a request is writing it.
    #[tracing::instrument(
        level = "trace",
        target = "sampan::traces",
        name = "engine.upload.status",
        skip_all
    )]
    pub async fn status(&self, id: &UploadId) -> Result<UploadStatus> {
        let claim = self.locks().claim(id, LockMode::Read).await?;
        let size_bytes = match self.open_staged(&claim, id).await? {
            Some(writer) => {
                let note = writer.note().unwrap_or_default();
                writer.close(note).await?
            }
            None => 0,
        };
        Ok(UploadStatus { id: id.clone(), size_bytes })
    }

    /// Adds a chunk to an upload. When the body breaks off, the received part stays; when it fills the
    /// store, nothing of it does.
    ///
    /// # Errors
    ///
    /// `UploadUnknown`; `UploadBusy` while another request is writing it; `UploadOutOfOrder` when the chunk does not begin
    /// where the upload ends; `SizeMismatch` when the body is not as long as the chunk; `BodyBroken`; `ReadOnly`.
    #[tracing::instrument(
        level = "trace",
        target = "sampan::traces",
        name = "engine.upload.append",
        skip_all
    )]
    pub async fn append(&self, id: &UploadId, chunk: Option<ChunkRange>, body: Body) -> Result<UploadStatus> {
        self.repository.registry.check_writable()?;
        let mut claim = self.locks().claim(id, LockMode::Write).await?;
        let mut staged = self.open(&claim, id, Algorithm::Sha256).await?;
        if staged.opened_bytes > 0 {
            claim.forget_begun();
        }
        let received = staged.receive(chunk, body).await;
        let closed = if received.as_ref().is_err_and(|error| staged.gives_back(error)) {
            staged.writer.revert().await.map(|()| staged.opened_bytes)
        } else {
            claim.forget_begun();
            staged.close().await
        };
        match (received, closed) {
            (Ok(()), Ok(size_bytes)) => Ok(UploadStatus { id: id.clone(), size_bytes }),
            (Err(error), _) => Err(self.lost(id, error).await),
            (Ok(()), Err(error)) => Err(self.lost(id, error.into()).await),
        }
    }

    /// Cancels an upload.
    ///
    /// # Errors
    ///
    /// `UploadUnknown`; `UploadBusy` while a request is writing it; `ReadOnly`.
    #[tracing::instrument(
        level = "trace",
        target = "sampan::traces",
        name = "engine.upload.cancel",
        skip_all
    )]
    pub async fn cancel(&self, id: &UploadId) -> Result<()> {
        self.repository.registry.check_writable()?;
        let mut claim = self.locks().claim(id, LockMode::Write).await?;
        let writer = self.open_staged(&claim, id).await?;
        claim.forget_begun();
        // Delete `startedat` first, so that an upload without its bytes is unknown and not empty.
        self.driver().delete(&self.started_path(id)).await?;
        if let Some(writer) = writer {
            writer.cancel().await?;
        }
        Ok(self.driver().delete_tree(&layout::upload(&self.repository.name, id)).await?)
    }

    /// Opens an upload at its end, with its running hash if that is known.
    async fn open(
        &self,
        claim: &UploadGuard<'_>,
        id: &UploadId,
        algorithm: Algorithm,
    ) -> Result<UploadWriter> {
        match self.open_staged(claim, id).await? {
            Some(writer) => Ok(Self::reopen(writer, algorithm)),
            None => {
                let mode = WriteMode::Create(WriteHint::default());
                let writer = self.driver().writer(&self.data_path(id), mode).await;
                let writer = writer.map_err(|error| unless_busy(id, error))?;
                Ok(UploadWriter::new(
                    writer,
                    Some(UploadHash::new(algorithm)),
                    claim.is_fresh(&self.started_path(id)),
                ))
            }
        }
    }

    /// Wraps an open upload, with its running hash if the note has one.
    pub(crate) fn reopen(writer: Box<dyn FileWriter>, algorithm: Algorithm) -> UploadWriter {
        let size = writer.size();
        let note = writer.note().and_then(|note| UploadNote::parse(&note, size));
        let (mut hash, is_alone) = match note {
            Some(note) => (Some(note.hash), note.is_alone),
            None => (None, false),
        };
        if size == 0 && hash.as_ref().is_none_or(|hash| hash.digest(algorithm).is_none()) {
            hash = Some(UploadHash::new(algorithm));
        }
        UploadWriter::new(writer, hash, is_alone)
    }

    /// The staged file; `None` when the upload has begun but has no bytes yet.
    pub(crate) async fn open_staged(
        &self,
        claim: &UploadGuard<'_>,
        id: &UploadId,
    ) -> Result<Option<Box<dyn FileWriter>>> {
        match self.driver().writer(&self.data_path(id), WriteMode::Append).await {
            Ok(writer) => Ok(Some(writer)),
            Err(error) if error.is_not_found() => {
                // An upload that this process began recently needs no request to the store.
                if claim.is_fresh(&self.started_path(id))
                    || self.driver().exists(&self.started_path(id)).await?
                {
                    Ok(None)
                } else {
                    Err(Error::UploadUnknown(id.clone()))
                }
            }
            Err(error) => Err(unless_busy(id, error)),
        }
    }

    /// Translates a failure of an upload. If the store has lost the upload or cannot continue it, the upload stays lost: from
    /// now on the client gets `UploadUnknown` and must start over.
    pub(crate) async fn lost(&self, id: &UploadId, error: Error) -> Error {
        match error {
            Error::Driver(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported) => {
                tracing::warn!(upload = %id, %error, "upload {id} is lost; the client must start again");
                self.forget(id).await;
                Error::UploadUnknown(id.clone())
            }
            other => other,
        }
    }

    /// Removes the files that make an upload known. `startedat` goes first, so that the upload never looks empty.
    pub(crate) async fn forget(&self, id: &UploadId) {
        let forgotten = async {
            self.driver().delete(&self.started_path(id)).await?;
            match self.driver().writer(&self.data_path(id), WriteMode::Append).await {
                Ok(writer) => writer.cancel().await,
                Err(error) if error.is_not_found() => Ok(()),
                Err(error) => Err(error),
            }
        };
        if let Err(error) = forgotten.await {
            tracing::warn!(upload = %id, %error, "upload {id} is lost, and cannot be removed; the next purge removes it");
        }
    }

    pub(crate) fn started_path(&self, id: &UploadId) -> DriverPath {
        Entry::UploadStartedAt(self.repository.name.clone(), id.clone()).path()
    }

    pub(crate) fn data_path(&self, id: &UploadId) -> DriverPath {
        Entry::UploadData(self.repository.name.clone(), id.clone()).path()
    }

    pub(crate) fn locks(&self) -> &UploadLocks {
        &self.repository.registry.inner.locks
    }

    pub(crate) fn driver(&self) -> &Arc<dyn StorageDriver> {
        self.repository.registry.driver()
    }
}

/// Translates an error of opening an upload: another registry over the same store may be writing it.
fn unless_busy(id: &UploadId, error: DriverError) -> Error {
    match error.kind() {
        ErrorKind::Busy => Error::UploadBusy(id.clone()),
        _ => error.into(),
    }
}

/// RFC 3339 in whole seconds of UTC, as Distribution writes and reads it.
pub(crate) fn started_now() -> Bytes {
    let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    Bytes::from(now.format(&Rfc3339).unwrap_or_default())
}
