//! Pushing a blob from a source that can be read again.

use futures::StreamExt;
use sampan_engine::oci::{Digest, RepositoryName};

use super::chunked::ChunkedUpload;
use super::session::{Mount, Session};
use super::source::BlobSource;
use crate::error::{ClientError, Problem};
use crate::repository::RepositoryClient;
use crate::transport::Payload;

/// How a blob got into the repository.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pushed {
    /// The registry linked it from another repository.
    Mounted,
    /// Its bytes were sent.
    Uploaded,
}

/// How the bytes are sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum UploadMode {
    /// In one `PUT`.
    Whole,
    /// In chunks: the registry has a part already, or a server in between refuses long requests.
    Chunks,
}

impl RepositoryClient {
    /// Mounts a blob from a repository of the same registry; `false` if the registry cannot, or does not have it.
    ///
    /// # Errors
    ///
    /// As every request.
    pub async fn mount_blob(&self, digest: &Digest, from: &RepositoryName) -> Result<bool, ClientError> {
        match self.mount(digest, Some(from)).await? {
            Mount::Mounted => Ok(true),
            Mount::Upload(session) => {
                self.cancel_upload(&session).await;
                Ok(false)
            }
        }
    }

    /// Pushes a blob of `size_bytes`: mounts it from `from` if that succeeds, else sends it in one request; after a broken
    /// connection sends what the registry lacks, and chunks where a long request is refused (413).
    ///
    /// Does not ask whether the registry has the blob: [`blob_info`](Self::blob_info) does.
    ///
    /// # Errors
    ///
    /// As every request; also if the source fails, or its content does not have the digest or the length.
    pub async fn push_blob(
        &self,
        digest: &Digest,
        size_bytes: u64,
        source: &dyn BlobSource,
        from: Option<&RepositoryName>,
    ) -> Result<Pushed, ClientError> {
        let mut session = match from {
            Some(from) => match self.mount(digest, Some(from)).await? {
                Mount::Mounted => return Ok(Pushed::Mounted),
                Mount::Upload(session) => session,
            },
            None => self.start_upload().await?,
        };
        let mut attempts = self.attempts();
        let mut manner = UploadMode::Whole;
        // A registry that kept wrong bytes of a broken request gets one more chance, from the beginning.
        let (mut is_fresh, mut may_restart) = (true, true);
        // What a lost upload had is no progress for the one after it.
        let mut furthest = 0;
        loop {
            let sent = match manner {
                UploadMode::Whole => self.send_whole(&session, digest, size_bytes, source).await,
                UploadMode::Chunks => self.send_chunks(&mut session, digest, size_bytes, source).await,
            };
            let Err(error) = sent else { return Ok(Pushed::Uploaded) };
            let is_lost = error.status() == Some(404) || matches!(error.problem(), Problem::UploadLost);
            if error.status() == Some(413) && manner == UploadMode::Whole {
                (manner, is_fresh) = (UploadMode::Chunks, true);
                session = self.start_upload().await?;
                continue;
            }
            if error.status() == Some(400) && !is_fresh && may_restart {
                (manner, is_fresh, may_restart) = (UploadMode::Whole, true, false);
                session = self.start_upload().await?;
                continue;
            }
            is_fresh = false;
            if session.offset > furthest {
                furthest = session.offset;
                attempts.progressed();
            }
            if is_lost {
                let broken = Problem::Broken("the registry lost the upload".to_owned());
                self.connection().wait(&mut attempts, ClientError::at(error.url(), broken)).await?;
            } else if let Err(error) = self.connection().wait(&mut attempts, error).await {
                self.cancel_upload(&session).await;
                return Err(error);
            }
            // The registry may have stored the blob, and its answer was lost.
            if self.blob_info(digest).await?.is_some() {
                return Ok(Pushed::Uploaded);
            }
            match self.upload_status(&mut session).await? {
                Some(offset) if offset > 0 && offset <= size_bytes => manner = UploadMode::Chunks,
                Some(0) => {}
                _ => {
                    session = self.start_upload().await?;
                    (manner, is_fresh) = (UploadMode::Whole, true);
                }
            }
        }
    }

    async fn send_whole(
        &self,
        session: &Session,
        digest: &Digest,
        size_bytes: u64,
        source: &dyn BlobSource,
    ) -> Result<(), ClientError> {
        let stream = source.open(0).await.map_err(|error| self.source_failed(error))?;
        self.finish_upload(session, digest, Payload::stream(stream, size_bytes)).await
    }

    async fn send_chunks(
        &self,
        session: &mut Session,
        digest: &Digest,
        size_bytes: u64,
        source: &dyn BlobSource,
    ) -> Result<(), ClientError> {
        let mut left = size_bytes - session.offset;
        let mut stream = source.open(session.offset).await.map_err(|error| self.source_failed(error))?;
        let mut upload = ChunkedUpload::over(self.clone(), session.clone())?;
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(|error| self.source_failed(error))?;
            let length = bytes.len() as u64;
            left =
                left.checked_sub(length).ok_or_else(|| self.wrong_length(size_bytes, size_bytes + length))?;
            let written = upload.write(bytes).await;
            *session = upload.session().clone();
            written?;
        }
        if left > 0 {
            return Err(self.wrong_length(size_bytes, size_bytes - left));
        }
        upload.finish(digest).await
    }

    fn source_failed(&self, error: std::io::Error) -> ClientError {
        ClientError::at(self.connection().transport.registry().as_str(), Problem::Source(error))
    }

    fn wrong_length(&self, expected: u64, actual: u64) -> ClientError {
        ClientError::at(self.connection().transport.registry().as_str(), Problem::Length { expected, actual })
    }
}
