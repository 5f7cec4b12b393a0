//! `UploadStore`: uploads in progress, from their first byte to the blob.
//!
//! An upload is a staged file beside the time of its beginning. It survives the process: how far it got is asked of the
//! file and stored nowhere else; the running hash is kept beside it, and made anew from the bytes when it was lost.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{
    BoxError, ByteRange, Deadline, DriverPath, ErrorKind, FileWriter, PutMode, StorageDriver,
    StorageDriverExt, WriteHint, WriteMode,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

use crate::layout::{self, Entry};
use crate::oci::{Algorithm, Digest};
use crate::session::{Claim, Purpose, Remembered, Sessions};
use crate::staged::Staged;
use crate::upload_hash::UploadHash;
use crate::upload_id::UploadId;
use crate::{BlobInfo, Error, Happening, Repository, Result, ToldBlob};

/// The bytes that a client sends. An error means that it vanished or sent something unreadable.
pub type Body = BoxStream<'static, Result<Bytes, BoxError>>;

/// The uploads to one repository.
#[derive(Clone, Debug)]
pub struct UploadStore {
    repository: Repository,
}

/// How an upload begins.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StartUpload {
    /// The algorithm of the digest that it will end with, when the client tells; sha256 otherwise.
    /// A wrong or missing word costs one more reading of the data, nothing else.
    pub algorithm: Option<Algorithm>,
}

/// How far an upload is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UploadStatus {
    /// Which upload.
    pub id: UploadId,
    /// How many bytes are there.
    pub size_bytes: u64,
}

/// The place of a chunk in its blob, both ends inclusive (`Content-Range: <start>-<end>`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChunkRange {
    /// The offset of its first byte.
    pub start: u64,
    /// The offset of its last byte, not before the first.
    pub end: u64,
}

impl ChunkRange {
    pub(crate) fn len(self) -> u64 {
        (self.end - self.start).saturating_add(1)
    }
}

/// Below this the running hash is not written beside the upload: reading so little again costs less than a durable write.
const KEEP_HASH_FROM_BYTES: u64 = 1 << 20;

impl UploadStore {
    pub(crate) fn new(repository: Repository) -> Self {
        Self { repository }
    }

    /// Begins an upload.
    ///
    /// # Errors
    ///
    /// `ReadOnly`; whatever the store fails with.
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.upload.start", skip_all)]
    pub async fn start(&self, options: StartUpload) -> Result<UploadStatus> {
        self.repository.registry.check_writable()?;
        let id = UploadId::random();
        let algorithm = options.algorithm.unwrap_or(Algorithm::Sha256);
        let hash = UploadHash::new(algorithm);
        let mut beside = Vec::new();
        if algorithm != Algorithm::Sha256 {
            // Tells other processes which digest is to be made.
            beside = self.keep_hash(&id, &hash).await?;
        }
        let started = self.started_path(&id);
        self.driver().put_content(&started, started_now(), PutMode::Transient).await?;
        beside.push(started);
        let remembered = Remembered { hash, beside: Some(beside) };
        self.sessions().claim(&id, Purpose::Write).await?.remembered = Some(remembered);
        Ok(UploadStatus { id, size_bytes: 0 })
    }

    /// How far an upload is.
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
        let mut claim = self.sessions().claim(id, Purpose::Look).await?;
        let remembered = claim.remembered.take();
        let size_bytes = match self.open_staged(id, remembered.as_ref()).await? {
            Some(writer) => writer.close().await?,
            None => 0,
        };
        claim.remembered = remembered;
        Ok(UploadStatus { id: id.clone(), size_bytes })
    }

    /// Adds a chunk to an upload. When the body breaks off, what came of it is kept.
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
        let mut claim = self.sessions().claim(id, Purpose::Write).await?;
        let mut staged = self.open(&mut claim, id, WriteHint::default(), Algorithm::Sha256).await?;
        let received = staged.receive(chunk, body).await;
        let size_bytes = self.rest(&mut claim, id, staged).await.map_err(|error| lost(error, id))?;
        received.map_err(|error| lost(error, id))?;
        Ok(UploadStatus { id: id.clone(), size_bytes })
    }

    /// Adds the last chunk (or none) to an upload and publishes it as the blob `digest`.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append); `DigestMismatch` when the content is not what its digest says: then the upload is gone;
    /// `Collecting` when the collector is about to delete what was there under this digest, and takes too long.
    #[tracing::instrument(
        level = "trace",
        target = "sampan::traces",
        name = "engine.upload.finish",
        skip_all
    )]
    pub async fn finish(
        &self,
        id: &UploadId,
        chunk: Option<ChunkRange>,
        body: Body,
        digest: &Digest,
    ) -> Result<BlobInfo> {
        self.repository.registry.check_writable()?;
        let mut claim = self.sessions().claim(id, Purpose::Write).await?;
        let hint = WriteHint { len: chunk.map(ChunkRange::len), target: target(digest) };
        let mut staged = self.open(&mut claim, id, hint, digest.algorithm()).await?;
        if let Err(error) = staged.receive(chunk, body).await {
            self.rest(&mut claim, id, staged).await.map_err(|error| lost(error, id))?;
            return Err(lost(error, id));
        }
        let beside = staged.beside.take();
        let result = self.publish(id, staged, digest).await.map_err(|error| lost(error, id));
        if matches!(result, Ok(_) | Err(Error::DigestMismatch { .. })) {
            self.clear(id, beside).await;
        }
        result
    }

    /// Stores a whole blob in one request, without a session that a client would know of.
    ///
    /// # Errors
    ///
    /// `DigestMismatch`; `SizeMismatch` when the body is not `len` bytes; `BodyBroken`; `ReadOnly`; `Collecting` as
    /// [`finish`](Self::finish). Nothing is left then.
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.upload.put", skip_all)]
    pub async fn put(&self, digest: &Digest, len: Option<u64>, body: Body) -> Result<BlobInfo> {
        self.repository.registry.check_writable()?;
        let id = UploadId::random();
        let hint = WriteHint { len, target: target(digest) };
        let writer = self.driver().writer(&self.data_path(&id), WriteMode::Create(hint)).await?;
        let mut staged = Staged::new(writer, Some(UploadHash::new(digest.algorithm())), None);
        let chunk = len.and_then(|len| Some(ChunkRange { start: 0, end: len.checked_sub(1)? }));
        let result = match staged.receive(chunk, body).await {
            Ok(()) => self.publish(&id, staged, digest).await,
            Err(error) => {
                staged.writer.cancel().await?;
                Err(error)
            }
        };
        // Where it was published, there is nothing beside it.
        self.clear(&id, result.is_ok().then(Vec::new)).await;
        result
    }

    /// Gives an upload up.
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
        let mut claim = self.sessions().claim(id, Purpose::Write).await?;
        if let Some(writer) = self.open_staged(id, None).await? {
            writer.cancel().await?;
        }
        self.driver().delete_tree(&layout::upload(&self.repository.name, id)).await?;
        claim.remembered = None;
        Ok(())
    }

    /// Opens an upload where it ends, with its running hash if that is still known.
    async fn open(
        &self,
        claim: &mut Claim<'_>,
        id: &UploadId,
        hint: WriteHint,
        algorithm: Algorithm,
    ) -> Result<Staged> {
        // Taken out: should this request be dropped half-way, the hash is not to be trusted.
        let remembered = claim.remembered.take();
        let writer = match self.open_staged(id, remembered.as_ref()).await? {
            Some(writer) => writer,
            None => self.driver().writer(&self.data_path(id), WriteMode::Create(hint)).await?,
        };
        let size = writer.size();
        // If the upload is not where this process left it, another one went on with it.
        let (hash, beside) = match remembered.filter(|remembered| remembered.hash.offset() == size) {
            Some(remembered) => (Some(remembered.hash), remembered.beside),
            None => (self.kept_hash(id, size).await?, None),
        };
        if size > 0 {
            return Ok(Staged::new(writer, hash, beside));
        }
        let hash = hash
            .filter(|hash| hash.digest(algorithm).is_some())
            .unwrap_or_else(|| UploadHash::new(algorithm));
        Ok(Staged::new(writer, Some(hash), beside))
    }

    /// The staged file; `None` when the upload has begun but has no bytes yet.
    async fn open_staged(
        &self,
        id: &UploadId,
        remembered: Option<&Remembered>,
    ) -> Result<Option<Box<dyn FileWriter>>> {
        match self.driver().writer(&self.data_path(id), WriteMode::Append).await {
            Ok(writer) => Ok(Some(writer)),
            Err(error) if error.is_not_found() => {
                // What this process began, here, need not be asked for.
                let started = self.started_path(id);
                let begun_here = remembered
                    .filter(|remembered| remembered.hash.offset() == 0)
                    .and_then(|remembered| remembered.beside.as_ref())
                    .is_some_and(|beside| beside.contains(&started));
                if begun_here || self.driver().exists(&started).await? {
                    Ok(None)
                } else {
                    Err(Error::UploadUnknown(id.clone()))
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Closes an upload until the next request, and keeps its running hash.
    async fn rest(&self, claim: &mut Claim<'_>, id: &UploadId, staged: Staged) -> Result<u64> {
        let size = staged.writer.close().await?;
        if let Some(hash) = staged.hash.filter(|hash| hash.offset() == size) {
            let mut beside = staged.beside;
            if size >= KEEP_HASH_FROM_BYTES {
                let kept = self.keep_hash(id, &hash).await?;
                beside.iter_mut().for_each(|beside| beside.extend_from_slice(&kept));
            }
            claim.remembered = Some(Remembered { hash, beside });
        }
        Ok(size)
    }

    /// Publishes an upload as `digest`, if that is what it is: layer link, then data.
    async fn publish(&self, id: &UploadId, staged: Staged, digest: &Digest) -> Result<BlobInfo> {
        let size_bytes = staged.writer.size();
        let blobs = self.repository.blobs();
        let known =
            staged.hash.as_ref().and_then(|hash| Some((hash.canonical(), hash.digest(digest.algorithm())?)));
        let (canonical, look, before) = if let Some((canonical, actual)) = known {
            if actual != *digest {
                staged.writer.cancel().await?;
                return Err(Error::DigestMismatch { expected: digest.clone(), actual });
            }
            let look = blobs.announce(&canonical, digest).await?;
            let before = Instant::now();
            staged.writer.commit(&Entry::Blob(canonical.clone()).path()).await?;
            (canonical, look, before)
        } else {
            // Staged bytes cannot be read; committed in place, they can, and are no blob yet.
            let path = self.data_path(id);
            staged.writer.commit(&path).await?;
            let (canonical, actual) = self.hash_again(&path, digest.algorithm()).await?;
            if actual != *digest {
                self.driver().delete(&path).await?;
                return Err(Error::DigestMismatch { expected: digest.clone(), actual });
            }
            let look = blobs.announce(&canonical, digest).await?;
            let before = Instant::now();
            self.driver().rename(&path, &Entry::Blob(canonical.clone()).path()).await?;
            (canonical, look, before)
        };
        // While no run can have marked since the look, nothing can have been deleted.
        if !look.is_fresh() {
            blobs.confirm(&canonical, digest).await?;
        }
        self.repository.registry.inner.promises.note_data(&canonical, before);
        let blob = BlobInfo { digest: digest.clone(), canonical, size_bytes };
        self.repository.tell(|| Happening::BlobPushed(ToldBlob::from(&blob)));
        Ok(blob)
    }

    /// The digests of a file, canonical and in `algorithm`.
    async fn hash_again(&self, path: &DriverPath, algorithm: Algorithm) -> Result<(Digest, Digest)> {
        let mut hash = UploadHash::new(algorithm);
        let mut bytes = self.driver().reader(path, ByteRange::ALL).await?.into_stream();
        while let Some(chunk) = bytes.try_next().await? {
            hash.update(&chunk);
        }
        let canonical = hash.canonical();
        let actual = hash.digest(algorithm).unwrap_or_else(|| canonical.clone());
        Ok((canonical, actual))
    }

    /// Writes the running hash beside the upload, as Distribution does, and tells where.
    async fn keep_hash(&self, id: &UploadId, hash: &UploadHash) -> Result<Vec<DriverPath>> {
        let mut kept = Vec::new();
        for (algorithm, state) in hash.states() {
            let name = self.repository.name.clone();
            let path = Entry::UploadHashState(name, id.clone(), algorithm, hash.offset()).path();
            self.driver().put_content(&path, state.into(), PutMode::Transient).await?;
            kept.push(path);
        }
        Ok(kept)
    }

    /// The running hash after `offset` bytes, if one is beside the upload.
    async fn kept_hash(&self, id: &UploadId, offset: u64) -> Result<Option<UploadHash>> {
        let entry =
            |algorithm| Entry::UploadHashState(self.repository.name.clone(), id.clone(), algorithm, offset);
        let Some(sha256) = self.driver().get_content_if_any(&entry(Algorithm::Sha256).path()).await? else {
            return Ok(None);
        };
        for algorithm in [Algorithm::Sha512, Algorithm::Sha384] {
            if let Some(state) = self.driver().get_content_if_any(&entry(algorithm).path()).await? {
                return Ok(UploadHash::resume(offset, &sha256, Some((algorithm, &state))));
            }
        }
        Ok(UploadHash::resume(offset, &sha256, None))
    }

    /// Removes what is left of an upload: what lies beside it, if that is known, else what is found there.
    /// It has served its purpose: a failure costs space until the next purge, nothing else.
    async fn clear(&self, id: &UploadId, beside: Option<Vec<DriverPath>>) {
        let path = layout::upload(&self.repository.name, id);
        let driver = self.driver();
        // A directory goes with its last file, but one that holds directories needs more.
        let is_all = |files: &Vec<DriverPath>| {
            driver.capabilities().flat || files.iter().all(|file| file.parent().as_ref() == Some(&path))
        };
        let cleared = match beside.filter(is_all) {
            Some(files) => {
                let results = driver.delete_all(stream::iter(files).boxed(), Deadline::NONE);
                results.map(|(_, result)| result).try_collect::<()>().await
            }
            None => driver.delete_tree(&path).await,
        };
        if let Err(error) = cleared {
            tracing::warn!(%path, %error, "finished upload {id} could not be cleared away; the next purge will do it");
        }
    }

    fn started_path(&self, id: &UploadId) -> DriverPath {
        Entry::UploadStartedAt(self.repository.name.clone(), id.clone()).path()
    }

    fn data_path(&self, id: &UploadId) -> DriverPath {
        Entry::UploadData(self.repository.name.clone(), id.clone()).path()
    }

    fn sessions(&self) -> &Sessions {
        &self.repository.registry.inner.sessions
    }

    fn driver(&self) -> &Arc<dyn StorageDriver> {
        self.repository.registry.driver()
    }
}

/// A store may forget what was staged (a lifecycle rule, an administrator), or be unable to go on with it:
/// the client has to begin again, and must be told so.
fn lost(error: Error, id: &UploadId) -> Error {
    match error {
        Error::Driver(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported) => {
            tracing::warn!(upload = %id, %error, "upload {id} is lost");
            Error::UploadUnknown(id.clone())
        }
        other => other,
    }
}

/// Where a blob will be, if its digest says so.
fn target(digest: &Digest) -> Option<DriverPath> {
    digest.is_canonical().then(|| Entry::Blob(digest.clone()).path())
}

/// RFC 3339 in whole seconds of UTC, as Distribution writes and reads it.
pub(crate) fn started_now() -> Bytes {
    let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    Bytes::from(now.format(&Rfc3339).unwrap_or_default())
}
