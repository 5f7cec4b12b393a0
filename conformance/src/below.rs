//! `Below`: a directory of a store as a store of its own, for clauses that need two.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{
    ByteRange, Deadline, DirEntry, DriverError, DriverPath, FileInfo, FileReader, FileWriter, PutMode,
    RedirectRequest, Result, StagedView, StorageDriver, WriteMode,
};
use url::Url;

use crate::data::path;

/// A directory of a store as a store of its own.
#[derive(Clone, Debug)]
pub(crate) struct Below {
    inner: Arc<dyn StorageDriver>,
    top: DriverPath,
}

impl Below {
    pub(crate) fn at(inner: &Arc<dyn StorageDriver>, top: &str) -> Arc<dyn StorageDriver> {
        Arc::new(Self { inner: inner.clone(), top: path(top) })
    }

    fn inside(&self, path: &DriverPath) -> DriverPath {
        inside(&self.top, path)
    }
}

fn inside(top: &DriverPath, path: &DriverPath) -> DriverPath {
    match path.is_root() {
        true => top.clone(),
        false => crate::data::path(&format!("{top}{path}")),
    }
}

fn outside(top: &DriverPath, path: &DriverPath) -> DriverPath {
    path.below(top).map_or_else(DriverPath::root, |rest| crate::data::path(&format!("/{rest}")))
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for Below {
    sampan_driver::forward! { self => self.inner;
        name capabilities check
    }

    async fn get_content(&self, path: &DriverPath) -> Result<Bytes> {
        self.inner.get_content(&self.inside(path)).await
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        self.inner.put_content(&self.inside(path), content, mode).await
    }

    async fn put_all(&self, files: &[(DriverPath, Bytes)]) -> Result<()> {
        let files: Vec<_> =
            files.iter().map(|(path, content)| (self.inside(path), content.clone())).collect();
        self.inner.put_all(&files).await
    }

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader> {
        self.inner.reader(&self.inside(path), range).await
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        let mode = match mode {
            WriteMode::Create(mut hint) => {
                hint.target = hint.target.map(|target| self.inside(&target));
                WriteMode::Create(hint)
            }
            WriteMode::Append => WriteMode::Append,
        };
        let inner = self.inner.writer(&self.inside(path), mode).await?;
        Ok(Box::new(WriterBelow { inner, top: self.top.clone() }))
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        let info = self.inner.stat(&self.inside(path)).await?;
        Ok(FileInfo { path: path.clone(), ..info })
    }

    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>> {
        self.inner.list(&self.inside(path), after)
    }

    fn list_holding(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        holding: &str,
    ) -> BoxStream<'static, Result<DirEntry>> {
        self.inner.list_holding(&self.inside(path), after, holding)
    }

    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        let (top, after) = (self.top.clone(), after.map(|after| self.inside(after)));
        let files = self.inner.walk(&self.inside(path), after.as_ref());
        files.map_ok(move |info| FileInfo { path: outside(&top, &info.path), ..info }).boxed()
    }

    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()> {
        self.inner.rename(&self.inside(from), &self.inside(to)).await
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        self.inner.delete(&self.inside(path)).await
    }

    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        self.inner.delete_tree(&self.inside(path)).await
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        let (top, back) = (self.top.clone(), self.top.clone());
        let paths = paths.map(move |path| inside(&top, &path)).boxed();
        let deleted = self.inner.delete_all(paths, until);
        deleted
            .map(move |(path, result): (_, Result<(), DriverError>)| (outside(&back, &path), result))
            .boxed()
    }

    async fn sync_deletions(&self, paths: &[DriverPath]) -> Result<()> {
        let paths: Vec<_> = paths.iter().map(|path| self.inside(path)).collect();
        self.inner.sync_deletions(&paths).await
    }

    async fn redirect_url(&self, path: &DriverPath, request: RedirectRequest) -> Result<Option<Url>> {
        self.inner.redirect_url(&self.inside(path), request).await
    }
}

#[derive(Debug)]
struct WriterBelow {
    inner: Box<dyn FileWriter>,
    top: DriverPath,
}

#[async_trait]
impl FileWriter for WriterBelow {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn note(&self) -> Option<Bytes> {
        self.inner.note()
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.inner.write(chunk).await
    }

    async fn flush(&mut self) -> Result<()> {
        self.inner.flush().await
    }

    fn view(&self) -> Option<Arc<dyn StagedView>> {
        self.inner.view()
    }

    async fn close(self: Box<Self>, note: Bytes) -> Result<u64> {
        self.inner.close(note).await
    }

    async fn commit(self: Box<Self>, to: &DriverPath) -> Result<()> {
        self.inner.commit(&inside(&self.top, to)).await
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        self.inner.cancel().await
    }

    async fn revert(self: Box<Self>) -> Result<()> {
        self.inner.revert().await
    }
}
