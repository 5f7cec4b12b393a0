//! `FilesystemDriver`: delegates each operation to its module.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{
    ByteRange, Capabilities, Condition, Deadline, DirEntry, DriverPath, FileInfo, FileReader, FileWriter,
    Operation, PutMode, RedirectRequest, Result, StorageDriver, WriteMode,
};
use url::Url;

use crate::error::{Failure, NAME};
use crate::root::PATH_ONLY;
use crate::store::Store;
use crate::writer::FilesystemWriter;
use crate::{file, list, page_cache, publish, read, remove, walk};

/// The number of files to delete in one blocking call.
const DELETE_BATCH: usize = 256;

/// The number of such calls to run concurrently.
const DELETE_CALLS: usize = 4;

/// Stores files in a local directory, as the crate's documentation describes.
#[derive(Clone, Debug)]
pub struct FilesystemDriver {
    store: Arc<Store>,
}

impl FilesystemDriver {
    fn listing(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        holding: Option<String>,
    ) -> BoxStream<'static, Result<DirEntry>> {
        let (driver, path, after) = (self.clone(), path.clone(), after.map(str::to_owned));
        let listing = async move {
            let target = path.clone();
            let entries = driver.run(Operation::List, &path, move |store| {
                list::list(store, target.as_key(), after.as_deref(), holding.as_deref())
            });
            Ok(stream::iter(entries.await?).map(Ok))
        };
        stream::once(listing).try_flatten().boxed()
    }

    pub(crate) fn new(store: Store) -> Self {
        Self { store: Arc::new(store) }
    }

    #[cfg(test)]
    pub(crate) fn over(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Runs `job` on the pool.
    async fn run<T: Send + 'static>(
        &self,
        operation: Operation,
        path: &DriverPath,
        job: impl FnOnce(&Store) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let store = Arc::clone(&self.store);
        let result = self.store.pool.run(move || job(&store)).await;
        result.map_err(|failure| self.store.error(operation, path, failure))
    }

    /// Runs `job`, which writes, if the store accepts writes.
    async fn change<T: Send + 'static>(
        &self,
        operation: Operation,
        path: &DriverPath,
        job: impl FnOnce(&Store) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        self.run(operation, path, move |store| {
            store.check_writable()?;
            job(store)
        })
        .await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for FilesystemDriver {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { atomic_rename: true, durable: true, flat: false, redirect: false, read_only: None }
    }

    async fn get_content(&self, path: &DriverPath) -> Result<Bytes> {
        let content = read::read_whole(&self.store, path).await;
        content.map_err(|failure| self.store.error(Operation::GetContent, path, failure))
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        let target = path.clone();
        self.change(Operation::PutContent, path, move |store| {
            publish::put(store, target.as_key(), &content, mode)
        })
        .await
    }

    async fn put_all(&self, files: &[(DriverPath, Bytes)]) -> Result<()> {
        let Some((first, _)) = files.first() else { return Ok(()) };
        let files = files.to_vec();
        let publish_all = move |store: &Store| {
            let unpublished = files.into_iter().find_map(|(path, content)| {
                let published = publish::put(store, path.as_key(), &content, PutMode::Overwrite);
                published.err().map(|failure| (path, failure))
            });
            Ok(unpublished)
        };
        match self.change(Operation::PutAll, first, publish_all).await? {
            None => Ok(()),
            Some((path, failure)) => Err(self.store.error(Operation::PutAll, &path, failure)),
        }
    }

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader> {
        let reader = read::reader(&self.store, path, range).await;
        reader.map_err(|failure| self.store.error(Operation::Reader, path, failure))
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        match FilesystemWriter::open(Arc::clone(&self.store), path, mode).await {
            Ok(writer) => Ok(Box::new(writer)),
            Err(failure) => Err(self.store.error(Operation::Writer, path, failure)),
        }
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        let found = page_cache::open(&self.store.root, path.as_key(), PATH_ONLY);
        let found = found.map_err(|failure| self.store.error(Operation::Stat, path, failure))?;
        let stat = match found {
            Some((_, stat)) => stat,
            None => {
                let target = path.clone();
                let waited = self
                    .run(Operation::Stat, path, move |store| {
                        read::open(&store.root, target.as_key(), PATH_ONLY)
                    })
                    .await;
                waited?.1
            }
        };
        Ok(file::info(path.clone(), &stat))
    }

    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>> {
        self.listing(path, after, None)
    }

    fn list_holding(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        holding: &str,
    ) -> BoxStream<'static, Result<DirEntry>> {
        self.listing(path, after, Some(holding.to_owned()))
    }

    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        walk::walk(Arc::clone(&self.store), path, after)
    }

    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()> {
        let (source, target) = (from.clone(), to.clone());
        self.change(Operation::Rename, from, move |store| {
            publish::rename(store, source.as_key(), target.as_key())
        })
        .await
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        let target = path.clone();
        self.change(Operation::Delete, path, move |store| remove::file(store, target.as_key())).await
    }

    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        let target = path.clone();
        self.change(Operation::DeleteTree, path, move |store| remove::tree(store, target.as_key())).await
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        let store = Arc::clone(&self.store);
        paths
            .ready_chunks(DELETE_BATCH)
            .map(move |batch| delete_batch(Arc::clone(&store), batch, until.clone()))
            .buffered(DELETE_CALLS)
            .flat_map(stream::iter)
            .boxed()
    }

    async fn sync_deletions(&self, paths: &[DriverPath]) -> Result<()> {
        let Some(first) = paths.first().cloned() else { return Ok(()) };
        let paths = paths.to_vec();
        self.change(Operation::SyncDeletions, &first, move |store| remove::sync_deletions(store, &paths))
            .await
    }

    async fn check(&self) -> Result<Condition> {
        let reason = self
            .run(Operation::Check, &DriverPath::root(), |store| {
                store.root.check()?;
                store.root.directory("")?;
                Ok(store.trouble.probe_if_due(&store.root))
            })
            .await?;
        Ok(reason.map_or(Condition::Writable, Condition::ReadOnly))
    }

    async fn redirect_url(&self, _path: &DriverPath, _request: RedirectRequest) -> Result<Option<Url>> {
        Ok(None)
    }
}

async fn delete_batch(
    store: Arc<Store>,
    batch: Vec<DriverPath>,
    until: Deadline,
) -> Vec<(DriverPath, Result<()>)> {
    let (running, paths) = (Arc::clone(&store), batch.clone());
    let removing = move || {
        running.check_writable()?;
        Ok(remove::files(&running, paths, &until))
    };
    let results = match store.pool.run(removing).await {
        Ok(results) => results,
        Err(failure) => {
            let same = || match &failure {
                Failure::Unwritable(reason) => Failure::Unwritable(reason.clone()),
                _not_run => Failure::ShuttingDown,
            };
            batch.into_iter().map(|path| (path, Err(same()))).collect()
        }
    };
    results
        .into_iter()
        .map(|(path, result)| {
            let result = result.map_err(|failure| store.error(Operation::DeleteAll, &path, failure));
            (path, result)
        })
        .collect()
}
