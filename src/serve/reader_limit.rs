//! `ReaderLimit`: limits the content that one HTTP/2 connection holds open.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Limits the content open for one connection: an extension of HTTP/2 requests, where one client can send
/// many requests at once. An open blob holds a file and a buffer, a document all its bytes, whether or not
/// the client reads.
///
/// Blobs and documents count separately: a manifest must not wait for large blobs.
#[derive(Clone, Debug)]
pub struct ReaderLimit {
    blobs: Arc<Semaphore>,
    documents: Arc<Semaphore>,
}

/// A permit to hold content open until it is dropped.
#[derive(Debug)]
pub struct ReaderPermit {
    _permit: Option<OwnedSemaphorePermit>,
}

impl ReaderLimit {
    /// Allows this many of each at a time.
    pub fn new(blobs: usize, documents: usize) -> Self {
        Self { blobs: Arc::new(Semaphore::new(blobs)), documents: Arc::new(Semaphore::new(documents)) }
    }

    /// Waits for a permit for a blob, in request order.
    pub async fn blob(&self) -> ReaderPermit {
        Self::acquire(&self.blobs).await
    }

    /// Waits for a permit for a document, in request order.
    pub async fn document(&self) -> ReaderPermit {
        Self::acquire(&self.documents).await
    }

    async fn acquire(semaphore: &Arc<Semaphore>) -> ReaderPermit {
        // The semaphore is never closed.
        ReaderPermit { _permit: Arc::clone(semaphore).acquire_owned().await.ok() }
    }
}
