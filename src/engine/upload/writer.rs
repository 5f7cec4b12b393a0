//! `UploadWriter`: an upload during one request: the open file and the digest of its bytes.

use bytes::Bytes;
use futures::StreamExt;
use sampan_driver::FileWriter;

use crate::upload::hash::UploadHash;
use crate::upload::note::UploadNote;
use crate::{Body, ChunkRange, Error, Result};

/// The open file of an upload, and its running hash unless that is unknown.
#[derive(Debug)]
pub(crate) struct UploadWriter {
    pub(crate) writer: Box<dyn FileWriter>,
    pub(crate) hash: Option<UploadHash>,
    /// Whether only `startedat` lies beside the file, as far as known.
    pub(crate) is_alone: bool,
    /// How many bytes the upload had before this request.
    pub(crate) opened_bytes: u64,
}

impl UploadWriter {
    pub(crate) fn new(writer: Box<dyn FileWriter>, hash: Option<UploadHash>, is_alone: bool) -> Self {
        let opened_bytes = writer.size();
        Self { writer, hash, is_alone, opened_bytes }
    }

    /// A new file of which `hash` covers every byte.
    pub(crate) fn new_hashed(writer: Box<dyn FileWriter>, hash: UploadHash) -> Self {
        Self { writer, hash: Some(hash), is_alone: true, opened_bytes: 0 }
    }

    /// Keeps the bytes and their running hash until the next request. Returns the number of bytes.
    pub(crate) async fn close(self) -> sampan_driver::Result<u64> {
        let Self { writer, hash, is_alone, .. } = self;
        let size = writer.size();
        let hash = hash.filter(|hash| hash.offset() == size);
        let note = hash.map(|hash| UploadNote { hash, is_alone }.to_bytes());
        writer.close(note.unwrap_or_default()).await
    }

    /// Whether a request that failed leaves the upload as it was: no bytes came, or they filled the store. There they would
    /// be in the way of all other uploads until the purge, and few clients resume.
    pub(crate) fn gives_back(&self, error: &Error) -> bool {
        self.writer.size() == self.opened_bytes || error.is_storage_full()
    }

    /// Receives a body. After an error the file has the bytes before it.
    pub(crate) async fn receive(&mut self, chunk: Option<ChunkRange>, mut body: Body) -> Result<()> {
        let begin = self.writer.size();
        if let Some(chunk) = chunk.filter(|chunk| chunk.start != begin) {
            return Err(Error::UploadOutOfOrder { expected: begin, got: chunk.start });
        }
        let mut received = 0;
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(Error::BodyBroken)?;
            received += bytes.len() as u64;
            if let Some(chunk) = chunk.filter(|chunk| received > chunk.len()) {
                return Err(Error::SizeMismatch { expected: chunk.len(), actual: received });
            }
            self.take(bytes).await?;
        }
        match chunk {
            Some(chunk) if received != chunk.len() => {
                Err(Error::SizeMismatch { expected: chunk.len(), actual: received })
            }
            _ => Ok(()),
        }
    }

    /// Writes and hashes some bytes. The hash runs while the driver writes.
    async fn take(&mut self, bytes: Bytes) -> Result<()> {
        let Self { writer, hash, .. } = self;
        let hashing = async {
            if let Some(hash) = hash {
                hash.update(&bytes);
            }
        };
        let (written, ()) = futures::join!(writer.write(bytes.clone()), hashing);
        Ok(written?)
    }
}
