//! `MyDriver`: files in [redb](https://www.redb.org), a store with transactions that one process alone can open.
//!
//! Reads have a snapshot and run where they may block. Changes go to one thread, which commits all that wait in one
//! transaction (`changes.rs`). It is an example: it deletes, lists and walks in memory, and never compacts its file.

mod changes;
mod config;
mod store;
mod tables;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{
    ByteRange, Capabilities, Condition, Deadline, DirEntry, DriverPath, ErrorKind, FileInfo, FileReader,
    FileWriter, Operation, PutMode, RedirectRequest, Result, StorageDriver, WriteMode,
};
use url::Url;

pub(crate) use config::MyConfig;
use store::{NAME, Store};
use writer::MyWriter;

/// How many entries one snapshot lists or walks.
const PAGE: usize = 1000;

/// How many deletions wait for the same transaction.
const DELETIONS: usize = 256;

/// Files in a redb database.
#[derive(Clone, Debug)]
pub(crate) struct MyDriver {
    store: Arc<Store>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for MyDriver {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { atomic_rename: true, durable: true, flat: true, redirect: false, read_only: None }
    }

    async fn get_content(&self, path: &DriverPath) -> Result<Bytes> {
        let key = path.to_string();
        self.store.read(Operation::GetContent, path, move |snapshot| snapshot.content(&key)).await
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        let (target, id) = (path.clone(), self.store.next_id());
        let put = move |tables: &mut tables::Tables<'_>| tables.put(&target, id, &content, mode);
        self.store.change(Operation::PutContent, path, put).await
    }

    async fn put_all(&self, files: &[(DriverPath, Bytes)]) -> Result<()> {
        let Some((first, _)) = files.first() else { return Ok(()) };
        if let Some((root, _)) = files.iter().find(|(path, _)| path.is_root()) {
            return Err(store::error(ErrorKind::Unsupported, Operation::PutAll, root));
        }
        let files: Vec<_> = files
            .iter()
            .map(|(path, content)| (path.clone(), self.store.next_id(), content.clone()))
            .collect();
        let put_all = move |tables: &mut tables::Tables<'_>| {
            for (path, id, content) in &files {
                if let Err(refused) = tables.put(path, *id, content, PutMode::Overwrite)? {
                    return Ok(Err(refused));
                }
            }
            Ok(Ok(()))
        };
        self.store.change(Operation::PutAll, first, put_all).await
    }

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader> {
        let key = path.to_string();
        let opened =
            self.store.read(Operation::Reader, path, move |snapshot| snapshot.open(&key, range)).await?;
        let (size, range) = (opened.size, opened.range.clone());
        let (store, path) = (self.store.clone(), path.clone());
        let pieces = stream::try_unfold(opened, move |mut opened| {
            let (store, path) = (store.clone(), path.clone());
            async move {
                let next = move || Ok(Ok(opened.next()?.map(|piece| (piece, opened))));
                store.run(Operation::Read, &path, next).await
            }
        });
        Ok(FileReader::new(size, range, pieces.boxed()))
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        Ok(Box::new(MyWriter::open(self.store.clone(), path, mode).await?))
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        let target = path.clone();
        self.store.read(Operation::Stat, path, move |snapshot| snapshot.stat(&target)).await
    }

    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>> {
        let (store, path) = (self.store.clone(), path.clone());
        let pages = stream::try_unfold(after.map(str::to_owned), move |after| {
            let (store, path) = (store.clone(), path.clone());
            async move {
                let (level, last) = (path.clone(), after.clone());
                let list = move |snapshot: store::Snapshot| snapshot.list(&level, last.as_deref(), PAGE);
                let page = store.read(Operation::List, &path, list).await?;
                let next = page.last().map(|entry| Some(entry.name().to_owned()));
                Ok(next.map(|next| (stream::iter(page).map(Ok), next)))
            }
        });
        pages.try_flatten().boxed()
    }

    fn list_holding(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        _: &str,
    ) -> BoxStream<'static, Result<DirEntry>> {
        self.list(path, after) // No directory is empty here.
    }

    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        let (store, path) = (self.store.clone(), path.clone());
        let pages = stream::try_unfold(after.cloned(), move |after| {
            let (store, path) = (store.clone(), path.clone());
            async move {
                let (top, last) = (path.clone(), after.clone());
                let walk = move |snapshot: store::Snapshot| snapshot.walk(&top, last.as_ref(), PAGE);
                let page = store.read(Operation::Walk, &path, walk).await?;
                let next = page.last().map(|info| Some(info.path.clone()));
                Ok(next.map(|next| (stream::iter(page).map(Ok), next)))
            }
        });
        pages.try_flatten().boxed()
    }

    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()> {
        let (source, target) = (from.clone(), to.clone());
        let rename = move |tables: &mut tables::Tables<'_>| tables.rename(&source, &target);
        self.store.change(Operation::Rename, from, rename).await
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        let target = path.clone();
        let delete = move |tables: &mut tables::Tables<'_>| tables.delete(target.as_str());
        self.store.change(Operation::Delete, path, delete).await
    }

    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        let top = path.clone();
        let delete = move |tables: &mut tables::Tables<'_>| tables.delete_tree(&top);
        self.store.change(Operation::DeleteTree, path, delete).await
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        let store = self.store.clone();
        let delete = move |path: DriverPath| {
            let (store, until, target) = (store.clone(), until.clone(), path.clone());
            async move {
                // Asks for the deadline in its transaction, after it has waited for its turn.
                let delete = move |tables: &mut tables::Tables<'_>| match until.has_passed() {
                    true => Ok(Err(ErrorKind::TooLate)),
                    false => tables.delete(target.as_str()),
                };
                let result = store.change(Operation::DeleteAll, &path, delete).await;
                (path, result)
            }
        };
        paths.map(delete).buffered(DELETIONS).boxed()
    }

    async fn sync_deletions(&self, _: &[DriverPath]) -> Result<()> {
        Ok(()) // Each transaction is durable.
    }

    async fn check(&self) -> Result<Condition> {
        let root = DriverPath::root();
        self.store.read(Operation::Check, &root, |_| Ok(Ok(Condition::Writable))).await
    }

    async fn redirect_url(&self, _: &DriverPath, _: RedirectRequest) -> Result<Option<Url>> {
        Ok(None)
    }
}
