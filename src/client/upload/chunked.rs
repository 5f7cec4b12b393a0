//! `ChunkedUpload`: an upload from a stream that cannot be read again.

use bytes::{Bytes, BytesMut};
use sampan_engine::oci::{Digest, RepositoryName};

use super::session::{Mount, Session};
use crate::error::{ClientError, Problem};
use crate::repository::RepositoryClient;
use crate::retry::Attempts;
use crate::transport::Payload;

/// An upload that keeps each chunk until the registry has acknowledged it, so that a broken connection costs nothing.
///
/// Dropped before [`finish`](Self::finish) it leaves an upload that the registry purges in its own time.
#[derive(Debug)]
pub struct ChunkedUpload {
    repository: RepositoryClient,
    session: Session,
    /// The bytes that the registry does not have yet.
    buffer: BytesMut,
    chunk_bytes: usize,
}

/// The length of a chunk, unless the registry wants longer ones.
const CHUNK_BYTES: usize = 16 << 20;
/// The longest chunk to keep in memory.
const MAX_CHUNK_BYTES: u64 = 256 << 20;
/// The shortest chunk to try when a server in between refuses longer ones.
const MIN_CHUNK_BYTES: usize = 1 << 20;

impl RepositoryClient {
    /// Begins an upload in chunks; `None` if the registry mounted the blob instead, from `from`, which is a digest and the
    /// repository that has it.
    ///
    /// # Errors
    ///
    /// As every request.
    pub async fn upload_in_chunks(
        &self,
        from: Option<(&Digest, &RepositoryName)>,
    ) -> Result<Option<ChunkedUpload>, ClientError> {
        let session = match from {
            Some((digest, repository)) => match self.mount(digest, Some(repository)).await? {
                Mount::Mounted => return Ok(None),
                Mount::Upload(session) => session,
            },
            None => self.start_upload().await?,
        };
        ChunkedUpload::over(self.clone(), session).map(Some)
    }
}

impl ChunkedUpload {
    pub(super) fn over(repository: RepositoryClient, session: Session) -> Result<Self, ClientError> {
        if session.min_chunk_bytes > MAX_CHUNK_BYTES {
            let problem = Problem::TooLarge {
                what: "the shortest chunk that the registry takes, in bytes,",
                limit: MAX_CHUNK_BYTES,
            };
            return Err(ClientError::at(repository.connection().transport.registry().as_str(), problem));
        }
        let chunk_bytes = CHUNK_BYTES.max(session.min_chunk_bytes as usize);
        Ok(Self { repository, session, buffer: BytesMut::new(), chunk_bytes })
    }

    /// Sends further bytes, in chunks of 16 MiB or what the registry wants.
    ///
    /// # Errors
    ///
    /// As every request; also if the registry lost the upload.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), ClientError> {
        while !bytes.is_empty() {
            // In one piece: a buffer that doubles is copied, and there twice meanwhile.
            self.buffer.reserve(self.chunk_bytes.saturating_sub(self.buffer.len()));
            let room = self.chunk_bytes.saturating_sub(self.buffer.len()).min(bytes.len());
            self.buffer.extend_from_slice(&bytes.split_to(room));
            if self.buffer.len() >= self.chunk_bytes {
                let chunk = self.buffer.split().freeze();
                self.send(chunk).await?;
            }
        }
        Ok(())
    }

    /// Sends the rest and ends the upload.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write); also if the content does not have this digest.
    pub async fn finish(mut self, digest: &Digest) -> Result<(), ClientError> {
        let rest = self.buffer.split().freeze();
        self.send(rest).await?;
        let mut attempts = self.repository.attempts();
        let length = self.session.offset;
        loop {
            let empty = Payload::Bytes(Bytes::new());
            let Err(error) = self.repository.finish_upload(&self.session, digest, empty).await else {
                return Ok(());
            };
            let is_unknown = error.status() == Some(404);
            if !is_unknown {
                self.repository.connection().wait(&mut attempts, error).await?;
            }
            // The registry may have stored the blob, and its answer was lost.
            if self.repository.blob_info(digest).await?.is_some() {
                return Ok(());
            }
            let known = self.repository.upload_status(&mut self.session).await?;
            // One byte and no byte look the same.
            self.session.offset = length;
            if is_unknown || known != Some(length) && (known, length) != (Some(0), 1) {
                return Err(self.lost());
            }
        }
    }

    /// Gives the upload up.
    pub async fn cancel(self) {
        self.repository.cancel_upload(&self.session).await;
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Sends a chunk until the registry has acknowledged all of it.
    async fn send(&mut self, chunk: Bytes) -> Result<(), ClientError> {
        let (start, end) = (self.session.offset, self.session.offset + chunk.len() as u64);
        let mut attempts = self.repository.attempts();
        let mut piece_bytes = chunk.len().max(1);
        let mut furthest = start;
        while self.session.offset < end {
            let rest = chunk.slice((self.session.offset - start) as usize..);
            let piece = rest.slice(..rest.len().min(piece_bytes));
            let before = self.session.offset;
            let mut is_out_of_order = false;
            match self.repository.patch(&mut self.session, piece).await {
                Ok(()) if self.session.offset > before => {
                    self.note_progress(&mut furthest, &mut attempts);
                    continue;
                }
                Ok(()) => {
                    let problem = Problem::Broken("the registry acknowledged nothing of a chunk".to_owned());
                    let error =
                        ClientError::at(self.repository.connection().transport.registry().as_str(), problem);
                    self.repository.connection().wait(&mut attempts, error).await?;
                }
                Err(error) if error.status() == Some(416) => {
                    // The registry has less or more than it acknowledged.
                    is_out_of_order = true;
                    let problem =
                        Problem::Broken("the registry and the client disagree about the length".to_owned());
                    let error = ClientError::at(error.url(), problem);
                    self.repository.connection().wait(&mut attempts, error).await?;
                }
                Err(error)
                    if error.status() == Some(413)
                        && piece_bytes / 2 >= MIN_CHUNK_BYTES.max(self.session.min_chunk_bytes as usize) =>
                {
                    piece_bytes /= 2;
                    self.chunk_bytes = piece_bytes;
                    // Nothing of it was taken, but the URL may have changed.
                }
                Err(error) if error.status() == Some(404) => return Err(self.lost()),
                Err(error) => self.repository.connection().wait(&mut attempts, error).await?,
            }
            match self.repository.upload_status(&mut self.session).await? {
                // One byte and no byte look the same: it is the one that the registry does not refuse.
                Some(0) if before <= 1 && end > 0 => {
                    self.session.offset = if is_out_of_order { 1 - before } else { before };
                }
                Some(offset) if (start..=end).contains(&offset) => {}
                _ => return Err(self.lost()),
            }
            self.note_progress(&mut furthest, &mut attempts);
        }
        Ok(())
    }

    /// Bytes that the registry had before and lost are no progress.
    fn note_progress(&self, furthest: &mut u64, attempts: &mut Attempts) {
        if self.session.offset > *furthest {
            *furthest = self.session.offset;
            attempts.progressed();
        }
    }

    fn lost(&self) -> ClientError {
        ClientError::at(self.repository.connection().transport.registry().as_str(), Problem::UploadLost)
    }
}
