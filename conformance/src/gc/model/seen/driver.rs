//! The driver of one actor; it hands each operation to [`ObservedDriver`].

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{
    ByteRange, Capabilities, Condition, Deadline, DirEntry, DriverPath, FileInfo, FileReader, FileWriter,
    Operation, PutMode, RedirectRequest, Result, StorageDriver, WriteMode, put_one_by_one,
};
use sampan_engine::layout;
use url::Url;

use super::super::sabotage::Sabotage;
use super::{ObservedDriver, Observer, Role};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for ObservedDriver {
    fn name(&self) -> &'static str {
        "model"
    }

    fn capabilities(&self) -> Capabilities {
        self.0.world.inner.capabilities()
    }

    async fn get_content(&self, path: &DriverPath) -> Result<Bytes> {
        self.0.act(Operation::GetContent, path, self.get(path)).await
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        self.0.act(Operation::PutContent, path, self.put(path, content, mode)).await
    }

    async fn put_all(&self, files: &[(DriverPath, Bytes)]) -> Result<()> {
        put_one_by_one(self, files).await
    }

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader> {
        self.0.act(Operation::Reader, path, self.0.world.inner.reader(path, range)).await
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        let inner = self.0.act(Operation::Writer, path, self.0.world.inner.writer(path, mode)).await?;
        Ok(Box::new(SeenWriter { inner, eyes: self.0.clone() }))
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        self.0.act(Operation::Stat, path, self.info(path)).await
    }

    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>> {
        self.listed(path, self.0.world.inner.list(path, after))
    }

    fn list_holding(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        holding: &str,
    ) -> BoxStream<'static, Result<DirEntry>> {
        self.listed(path, self.0.world.inner.list_holding(path, after, holding))
    }

    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        let eyes = self.0.clone();
        let remembers = eyes.role == Role::Collector && eyes.breaks(Sabotage::CollectorDoesNotLookAgain);
        let old = remembers.then(|| eyes.memory().walked.get(path).cloned()).flatten();
        if let Some(old) = old {
            return stream::iter(old.into_iter().map(Ok)).boxed();
        }
        let is_removal = path.as_str().ends_with("/_sampan/removals");
        if is_removal && eyes.role == Role::Client && eyes.breaks(Sabotage::ClientsDoNotSeeRemovals) {
            return stream::empty().boxed();
        }
        if *path == layout::collection_root() {
            let (driver, path) = (self.clone(), path.clone());
            let listing = async move {
                let signs = driver.0.act(Operation::Walk, &path, driver.signs(&path)).await?;
                Ok(stream::iter(signs.into_iter().map(Ok)))
            };
            return stream::once(listing).try_flatten().boxed();
        }
        let root = path.clone();
        // The walk asks for one file after the other, so it may miss what is written meanwhile.
        let next = move |(eyes, after): (Arc<Observer>, Option<DriverPath>)| {
            let root = root.clone();
            async move {
                let at = after.as_ref().unwrap_or(&root);
                let next = async { eyes.world.inner.walk(&root, after.as_ref()).try_next().await };
                let Some(info) = eyes.act(Operation::Walk, at, next).await? else { return Ok(None) };
                let info = eyes.aged(info);
                if remembers {
                    eyes.memory().walked.entry(root).or_default().push(info.clone());
                }
                let after = Some(info.path.clone());
                Ok(Some((info, (eyes, after))))
            }
        };
        stream::try_unfold((eyes, after.cloned()), next).boxed()
    }

    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()> {
        let rename = async {
            self.0.world.inner.rename(from, to).await?;
            self.0.world.touch(to);
            Ok(())
        };
        self.0.act(Operation::Rename, from, rename).await
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        let shared = self.0.shared(path);
        self.delete_by_and_by(shared.as_ref().unwrap_or(path), Deadline::NONE).await
    }

    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        self.0.world.lock().deletions += 1;
        let fate = self.0.machine.arrive_at_deletion().await;
        self.0.act_by(fate, Operation::DeleteTree, path, self.0.world.inner.delete_tree(path)).await
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        let driver = self.clone();
        let delete = move |path: DriverPath| {
            let (driver, until) = (driver.clone(), until.clone());
            async move {
                let result = driver.delete_by_and_by(&path, until).await;
                (path, result)
            }
        };
        paths.then(delete).boxed()
    }

    async fn sync_deletions(&self, paths: &[DriverPath]) -> Result<()> {
        self.0.world.inner.sync_deletions(paths).await
    }

    async fn check(&self) -> Result<Condition> {
        self.0.world.inner.check().await
    }

    async fn redirect_url(&self, path: &DriverPath, request: RedirectRequest) -> Result<Option<Url>> {
        self.0.world.inner.redirect_url(path, request).await
    }
}

#[derive(Debug)]
struct SeenWriter {
    inner: Box<dyn FileWriter>,
    eyes: Arc<Observer>,
}

#[async_trait]
impl FileWriter for SeenWriter {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.inner.write(chunk).await
    }

    fn note(&self) -> Option<Bytes> {
        self.inner.note()
    }

    async fn close(self: Box<Self>, note: Bytes) -> Result<u64> {
        self.eyes.act(Operation::Close, &DriverPath::root(), self.inner.close(note)).await
    }

    async fn commit(self: Box<Self>, to: &DriverPath) -> Result<()> {
        let Self { inner, eyes } = *self;
        let commit = async {
            inner.commit(to).await?;
            eyes.world.touch(to);
            Ok(())
        };
        eyes.act(Operation::Commit, to, commit).await
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        self.eyes.act(Operation::Cancel, &DriverPath::root(), self.inner.cancel()).await
    }

    async fn revert(self: Box<Self>) -> Result<()> {
        self.eyes.act(Operation::Revert, &DriverPath::root(), self.inner.revert()).await
    }
}
