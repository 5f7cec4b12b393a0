//! `ReaderLimit`: how much content one HTTP/2 connection may have open.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How much content may be open for one connection: an extension of requests of HTTP/2, where one client can ask for much
/// at once. A blob that is open is a file and a buffer, a document is all of it, whether the client takes it or not.
///
/// They are counted apart: a client must not wait for a manifest until its large blobs have come.
#[derive(Clone, Debug)]
pub struct ReaderLimit {
    blobs: Arc<Semaphore>,
    documents: Arc<Semaphore>,
}

/// Permission to have content open, until it is dropped.
#[derive(Debug)]
pub struct ReaderPermit {
    _permit: Option<OwnedSemaphorePermit>,
}

impl ReaderLimit {
    /// At most so many of each at a time.
    pub fn new(blobs: usize, documents: usize) -> Self {
        Self { blobs: Arc::new(Semaphore::new(blobs)), documents: Arc::new(Semaphore::new(documents)) }
    }

    /// Waits until there may be another blob, in the order of the requests.
    pub async fn blob(&self) -> ReaderPermit {
        Self::acquire(&self.blobs).await
    }

    /// Waits until there may be another document, in the order of the requests.
    pub async fn document(&self) -> ReaderPermit {
        Self::acquire(&self.documents).await
    }

    async fn acquire(semaphore: &Arc<Semaphore>) -> ReaderPermit {
        // It is never closed.
        ReaderPermit { _permit: Arc::clone(semaphore).acquire_owned().await.ok() }
    }
}
