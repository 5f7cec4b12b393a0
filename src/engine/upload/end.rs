//! The end of an upload: it becomes a blob, or fails.
//!
//! The registry writes the layer link, then publishes the data, then removes the rest of the upload. A failed request leaves
//! the upload as long as it was, so that the client may repeat the request; or it leaves an unknown upload. An upload without
//! bytes is known by its `startedat`. So an upload with bytes loses that file before its bytes: a process that dies in
//! between leaves no upload that looks empty.

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{ByteRange, Deadline, DriverPath, StorageDriver, WriteHint, WriteMode};
use tokio::time::Instant;

use crate::layout::{self, Entry};
use crate::oci::{Algorithm, Digest};
use crate::upload::UploadId;
use crate::upload::hash::UploadHash;
use crate::upload::locks::LockMode;
use crate::upload::writer::UploadWriter;
use crate::upload::{Body, ChunkRange, UploadStore};
use crate::{BlobEvent, BlobInfo, Error, EventKind, Result};

impl UploadStore {
    /// Adds the last chunk (or none) to an upload and publishes it as the blob `digest`.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append); `DigestMismatch` when the content does not match its digest: the upload is then gone;
    /// `Collecting` when the collector is about to delete an old blob of this digest and takes too long.
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
        let mut claim = self.locks().claim(id, LockMode::Write).await?;
        let (mut staged, is_new) = match self.open_staged(&claim, id).await? {
            Some(writer) => (Self::reopen(writer, digest.algorithm()), false),
            None => {
                // Write to a separate path: a request that breaks off or dies leaves nothing for its repetition to append to.
                let hint = WriteHint { len: chunk.map(ChunkRange::len), target: target(digest) };
                let apart = self.data_path(&UploadId::random());
                let writer = self.driver().writer(&apart, WriteMode::Create(hint)).await?;
                let hash = UploadHash::new(digest.algorithm());
                (UploadWriter::new(writer, Some(hash), claim.is_fresh(&self.started_path(id))), true)
            }
        };
        let (is_alone, had_bytes) = (staged.is_alone, staged.opened_bytes > 0);
        if had_bytes {
            claim.forget_begun();
        }
        if let Err(error) = staged.receive(chunk, body).await {
            if is_new || staged.gives_back(&error) {
                revert(staged).await;
            } else {
                claim.forget_begun();
                if let Err(error) = staged.close().await {
                    return Err(self.lost(id, error.into()).await);
                }
            }
            return Err(self.lost(id, error).await);
        }
        let result = self.publish(id, staged, digest).await;
        match &result {
            Ok(_) => {
                claim.forget_begun();
                self.clear(id, is_alone, had_bytes).await;
            }
            Err(Error::DigestMismatch { .. } | Error::UploadUnknown(_)) => {
                claim.forget_begun();
                self.clear(id, false, false).await;
            }
            Err(_) => {}
        }
        result
    }

    /// Stores a whole blob in one request, without an upload session that a client could see.
    ///
    /// # Errors
    ///
    /// `DigestMismatch`; `SizeMismatch` when the body is not `len` bytes; `BodyBroken`; `ReadOnly`; `Collecting` as
    /// [`finish`](Self::finish). An error leaves nothing behind.
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.upload.put", skip_all)]
    pub async fn put(&self, digest: &Digest, len: Option<u64>, body: Body) -> Result<BlobInfo> {
        self.repository.registry.check_writable()?;
        let id = UploadId::random();
        let hint = WriteHint { len, target: target(digest) };
        let writer = self.driver().writer(&self.data_path(&id), WriteMode::Create(hint)).await?;
        let mut staged = UploadWriter::new(writer, Some(UploadHash::new(digest.algorithm())), true);
        let chunk = len.and_then(|len| Some(ChunkRange { start: 0, end: len.checked_sub(1)? }));
        let result = match staged.receive(chunk, body).await {
            Ok(()) => self.publish(&id, staged, digest).await,
            Err(error) => {
                revert(staged).await;
                Err(error)
            }
        };
        if result.is_err() {
            self.clear(&id, false, false).await;
        }
        result
    }

    /// Publishes an upload as `digest`, if it matches: layer link, then data.
    pub(crate) async fn publish(
        &self,
        id: &UploadId,
        staged: UploadWriter,
        digest: &Digest,
    ) -> Result<BlobInfo> {
        // The registry may have become read-only since the upload began.
        let _write = match self.repository.registry.begin_write() {
            Ok(write) => write,
            Err(error) => {
                revert(staged).await;
                return Err(error);
            }
        };
        let size_bytes = staged.writer.size();
        let known =
            staged.hash.as_ref().and_then(|hash| Some((hash.canonical(), hash.digest(digest.algorithm())?)));
        let canonical = match known {
            Some((_, actual)) if actual != *digest => {
                return Err(self.refuse(id, staged, digest, actual).await);
            }
            Some((canonical, _)) => {
                self.publish_known(id, staged, &canonical, digest).await?;
                canonical
            }
            None => self.publish_unknown(id, staged, digest).await?,
        };
        let blob = BlobInfo { digest: digest.clone(), canonical, size_bytes };
        self.repository.emit(|| EventKind::BlobPushed(BlobEvent::from(&blob)));
        Ok(blob)
    }

    /// Discards an upload that hashes to something else.
    async fn refuse(&self, id: &UploadId, staged: UploadWriter, digest: &Digest, actual: Digest) -> Error {
        let is_empty = staged.writer.size() == 0;
        if let Err(error) = self.driver().delete(&self.started_path(id)).await {
            tracing::debug!(upload = %id, %error, "the beginning of a refused upload is left");
        }
        if let Err(error) = staged.writer.cancel().await {
            tracing::warn!(upload = %id, %error, "cannot remove refused upload {id}; the next purge removes it");
        }
        match is_empty {
            // The client sent each byte, but the store lost some, so the client's digest may be right.
            true => Error::UploadUnknown(id.clone()),
            false => Error::DigestMismatch { expected: digest.clone(), actual },
        }
    }

    /// Publishes bytes whose hash is known.
    async fn publish_known(
        &self,
        id: &UploadId,
        staged: UploadWriter,
        canonical: &Digest,
        digest: &Digest,
    ) -> Result<()> {
        let blobs = self.repository.blobs();
        let prepared = async {
            let look = blobs.link_before_commit(canonical, digest).await?;
            if staged.opened_bytes > 0 {
                self.driver().delete(&self.started_path(id)).await?;
            }
            Ok(look)
        };
        let look = match prepared.await {
            Ok(look) => look,
            Err(error) => {
                revert(staged).await;
                return Err(error);
            }
        };
        let (before, size_bytes) = (Instant::now(), staged.writer.size());
        if let Err(error) = staged.writer.commit(&Entry::Blob(canonical.clone()).path()).await {
            return Err(self.lost(id, error.into()).await);
        }
        // If no run can have marked since the check, no run can have deleted anything.
        if !look.is_fresh() {
            blobs.relink_if_collected(canonical, digest).await?;
        }
        self.note_data(canonical, before, size_bytes);
        Ok(())
    }

    /// Publishes bytes without a running hash. Staged bytes are not readable; committed ones are.
    ///
    /// It commits them at a path unknown to any other request, where they cannot change after hashing.
    async fn publish_unknown(&self, id: &UploadId, staged: UploadWriter, digest: &Digest) -> Result<Digest> {
        let apart = self.data_path(&UploadId::random());
        // In another algorithm.
        let is_hashed = staged.hash.is_some();
        if let Err(error) = self.driver().delete(&self.started_path(id)).await {
            revert(staged).await;
            return Err(error.into());
        }
        if let Err(error) = staged.writer.commit(&apart).await {
            return Err(self.lost(id, error.into()).await);
        }
        let error = match self.publish_apart(&apart, digest).await {
            Ok(canonical) => return Ok(canonical),
            Err(error) => error,
        };
        if let Err(error) = self.driver().delete(&apart).await {
            tracing::warn!(path = %apart, %error, "cannot remove the upload at {apart}, which was not published; the next purge removes it");
        }
        match error {
            error @ Error::DigestMismatch { .. } if is_hashed => return Err(error),
            // The upload may hold more bytes than its client knows of: another process received a request, died before its
            // end, and the client repeated it. The client's digest may be right.
            Error::DigestMismatch { actual, .. } => {
                tracing::info!(
                    upload = %id, %digest, %actual,
                    "upload {id} does not match its digest; another process received its beginning, so the client must send it again"
                );
            }
            error => {
                // Committed bytes cannot be staged again, so the client must start over.
                tracing::warn!(upload = %id, %error, "cannot read and publish upload {id}; the client must start again");
            }
        }
        Err(Error::UploadUnknown(id.clone()))
    }

    /// Hashes and publishes a file that only this request knows.
    async fn publish_apart(&self, apart: &DriverPath, digest: &Digest) -> Result<Digest> {
        let (canonical, actual, size_bytes) = self.hash_again(apart, digest.algorithm()).await?;
        if actual != *digest {
            return Err(Error::DigestMismatch { expected: digest.clone(), actual });
        }
        let blobs = self.repository.blobs();
        let look = blobs.link_before_commit(&canonical, digest).await?;
        let before = Instant::now();
        self.driver().rename(apart, &Entry::Blob(canonical.clone()).path()).await?;
        if !look.is_fresh() {
            blobs.relink_if_collected(&canonical, digest).await?;
        }
        self.note_data(&canonical, before, size_bytes);
        Ok(canonical)
    }

    /// Notes that the data of a blob were published after `before`.
    fn note_data(&self, canonical: &Digest, before: Instant, size_bytes: u64) {
        let known = &self.repository.registry.inner;
        known.wrong_lengths.forget(canonical);
        known.leases.note_data(canonical, before, size_bytes);
    }

    /// The digests of a file, canonical and in `algorithm`, and its length in bytes.
    async fn hash_again(&self, path: &DriverPath, algorithm: Algorithm) -> Result<(Digest, Digest, u64)> {
        let mut hash = UploadHash::new(algorithm);
        let mut bytes = self.driver().reader(path, ByteRange::ALL).await?.into_stream();
        while let Some(chunk) = bytes.try_next().await? {
            hash.update(&chunk);
        }
        let canonical = hash.canonical();
        let actual = hash.digest(algorithm).unwrap_or_else(|| canonical.clone());
        Ok((canonical, actual, hash.offset()))
    }

    /// Removes the rest of an upload: its `startedat`, unless the upload `had_bytes` and that file is already gone; and any
    /// other file, unless `is_alone` excludes one. The upload has ended, so a failure only costs space until the next purge.
    pub(crate) async fn clear(&self, id: &UploadId, is_alone: bool, had_bytes: bool) {
        let path = layout::upload(&self.repository.name, id);
        let driver = self.driver();
        let cleared = match (is_alone, had_bytes) {
            (true, true) => return,
            (true, false) => {
                let started = stream::iter([self.started_path(id)]).boxed();
                driver.delete_all(started, Deadline::NONE).map(|(_, result)| result).try_collect::<()>().await
            }
            (false, _) => driver.delete_tree(&path).await,
        };
        if let Err(error) = cleared {
            tracing::warn!(%path, %error, "cannot remove the files of finished upload {id}; the next purge removes them");
        }
    }
}

/// Restores the upload to its state before the request. Logs a failure, since the request already has its error.
async fn revert(staged: UploadWriter) {
    if let Err(error) = staged.writer.revert().await {
        tracing::warn!(%error, "cannot revert the upload to its state before a failed request");
    }
}

/// The path of the blob, if its digest is canonical.
pub(crate) fn target(digest: &Digest) -> Option<DriverPath> {
    digest.is_canonical().then(|| Entry::Blob(digest.clone()).path())
}
