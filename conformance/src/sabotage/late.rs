//! A driver that acknowledges a change and carries it out later: before the next operation, so that this process never notices,
//! or never, if the process ends before.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use sampan_driver::{DriverPath, FileWriter, Operation, PutMode, Result, StorageDriver, WriteMode};
use tokio::sync::Mutex;

use crate::hooked::{Hook, Hooked};

/// Makes `inner` carry out all changes of the store later.
pub(super) fn late(inner: Arc<dyn StorageDriver>) -> Arc<dyn StorageDriver> {
    let owed = Arc::new(Owed::default());
    let late = Late { inner, owed: owed.clone() };
    Arc::new(Hooked::new(Arc::new(late), owed))
}

/// Changes that are acknowledged and not yet carried out.
#[derive(Default)]
struct Owed(Mutex<Vec<BoxFuture<'static, Result<()>>>>);

impl Owed {
    async fn add(&self, change: impl Future<Output = Result<()>> + Send + 'static) {
        self.0.lock().await.push(Box::pin(change));
    }
}

impl fmt::Debug for Owed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Owed")
    }
}

#[async_trait]
impl Hook for Owed {
    const SPLITS_PUT_ALL: bool = false;

    async fn before(&self, _: Operation, _: &DriverPath) -> Result<()> {
        // Holds the lock meanwhile, so that the next operation waits for all changes.
        let mut owed = self.0.lock().await;
        for change in owed.drain(..) {
            change.await?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Late {
    inner: Arc<dyn StorageDriver>,
    owed: Arc<Owed>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for Late {
    sampan_driver::forward! { self => self.inner;
        name capabilities get_content reader stat list list_holding walk delete_all sync_deletions check
        redirect_url
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        let (inner, path) = (self.inner.clone(), path.clone());
        self.owed.add(async move { inner.put_content(&path, content, mode).await }).await;
        Ok(())
    }

    async fn put_all(&self, files: &[(DriverPath, Bytes)]) -> Result<()> {
        let (inner, files) = (self.inner.clone(), files.to_vec());
        self.owed.add(async move { inner.put_all(&files).await }).await;
        Ok(())
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        let inner = self.inner.writer(path, mode).await?;
        Ok(Box::new(LateWriter { inner, owed: self.owed.clone(), chunks: Vec::new() }))
    }

    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()> {
        let (inner, from, to) = (self.inner.clone(), from.clone(), to.clone());
        self.owed.add(async move { inner.rename(&from, &to).await }).await;
        Ok(())
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        let (inner, path) = (self.inner.clone(), path.clone());
        self.owed.add(async move { inner.delete(&path).await }).await;
        Ok(())
    }

    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        let (inner, path) = (self.inner.clone(), path.clone());
        self.owed.add(async move { inner.delete_tree(&path).await }).await;
        Ok(())
    }
}

/// A writer that keeps all bytes to itself until it ends.
#[derive(Debug)]
struct LateWriter {
    inner: Box<dyn FileWriter>,
    owed: Arc<Owed>,
    chunks: Vec<Bytes>,
}

impl LateWriter {
    /// The true writer, after the bytes were written.
    async fn written(self: Box<Self>) -> Result<Box<dyn FileWriter>> {
        let Self { mut inner, chunks, .. } = *self;
        for chunk in chunks {
            inner.write(chunk).await?;
        }
        Ok(inner)
    }
}

#[async_trait]
impl FileWriter for LateWriter {
    fn size(&self) -> u64 {
        self.inner.size() + self.chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>()
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.chunks.push(chunk);
        Ok(())
    }

    fn note(&self) -> Option<Bytes> {
        self.inner.note()
    }

    async fn close(self: Box<Self>, note: Bytes) -> Result<u64> {
        let (size, owed) = (self.size(), self.owed.clone());
        owed.add(async move { self.written().await?.close(note).await.map(drop) }).await;
        Ok(size)
    }

    async fn commit(self: Box<Self>, to: &DriverPath) -> Result<()> {
        let (owed, to) = (self.owed.clone(), to.clone());
        owed.add(async move { self.written().await?.commit(&to).await }).await;
        Ok(())
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        self.inner.cancel().await
    }

    async fn revert(self: Box<Self>) -> Result<()> {
        self.inner.revert().await
    }
}
