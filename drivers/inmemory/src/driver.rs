//! `InMemoryDriver`: the operations of the contract over a [`Store`].

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use sampan_driver::{
    ByteRange, Capabilities, Condition, Deadline, DirEntry, DriverPath, FileInfo, FileReader, FileWriter,
    Operation, PutMode, RedirectRequest, Result, StorageDriver, WriteMode,
};

use crate::content::Content;
use crate::error::Error;
use crate::store::Store;
use crate::writer::InMemoryWriter;

/// The name of the driver and of its section.
pub(crate) const NAME: &str = "inmemory";

/// A store in this process's memory. Clones share it.
#[derive(Clone, Debug)]
pub struct InMemoryDriver {
    store: Arc<Store>,
}

impl InMemoryDriver {
    /// An empty store without a limit.
    pub fn new() -> Self {
        Self::with_limit(u64::MAX)
    }

    /// An empty store for at most `limit_bytes`: content, staged or not, and what each file takes besides.
    pub fn with_limit(limit_bytes: u64) -> Self {
        Self { store: Arc::new(Store::new(limit_bytes)) }
    }
}

impl Default for InMemoryDriver {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl StorageDriver for InMemoryDriver {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { atomic_rename: true, durable: false, flat: true, redirect: false, read_only: None }
    }

    async fn get_content(&self, path: &DriverPath) -> Result<Bytes> {
        let file = self.store.read().get(path);
        Ok(file.map_err(|error| error.at(Operation::GetContent, path))?.content.to_bytes())
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        let put = || {
            let content = Content::whole(content, &self.store.budget).ok_or_else(|| self.store.full())?;
            let mut files = self.store.write();
            if mode == PutMode::Create && files.get(path).is_ok() {
                return Err(Error::AlreadyExists);
            }
            files.publish(path, Arc::new(content))
        };
        put().map_err(|error| error.at(Operation::PutContent, path))
    }

    async fn put_all(&self, files: &[(DriverPath, Bytes)]) -> Result<()> {
        let failed = |path: &DriverPath, error: Error| error.at(Operation::PutAll, path);
        let mut contents = Vec::with_capacity(files.len());
        for (path, content) in files {
            let content = Content::whole(content.clone(), &self.store.budget);
            contents.push((path, Arc::new(content.ok_or_else(|| failed(path, self.store.full()))?)));
        }
        let mut files = self.store.write();
        for (path, content) in contents {
            files.publish(path, content).map_err(|error| failed(path, error))?;
        }
        Ok(())
    }

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader> {
        let file = self.store.read().get(path).map_err(|error| error.at(Operation::Reader, path))?;
        let size_bytes = file.content.size_bytes();
        let Some(range) = range.resolve(size_bytes) else {
            return Err(Error::RangeInvalid { size_bytes }.at(Operation::Reader, path));
        };
        let first = file.content.piece(range.clone());
        if first.len() as u64 == range.end - range.start {
            return Ok(FileReader::of_content(size_bytes, range, first));
        }
        Ok(FileReader::new(size_bytes, range.clone(), pieces(file.content, range)))
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        let added = Content::empty(&self.store.budget);
        let is_new = mode != WriteMode::Append;
        let staged = match mode {
            WriteMode::Create(_) => self.store.write().stage(path).map(|id| (id, 0, None)),
            WriteMode::Append => self.store.read().staged(path),
        };
        let (id, staged_bytes, note) = staged.map_err(|error| error.at(Operation::Writer, path))?;
        Ok(Box::new(InMemoryWriter {
            store: self.store.clone(),
            path: path.clone(),
            id,
            staged_bytes,
            note,
            added,
            is_new,
            view: OnceLock::new(),
        }))
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        let file = self.store.read().get(path).map_err(|error| error.at(Operation::Stat, path))?;
        Ok(file.info(path.clone()))
    }

    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>> {
        let (store, path) = (self.store.clone(), path.clone());
        let page = move |after: Option<&String>| store.read().names(&path, after.map(String::as_str), PAGE);
        paged(after.map(str::to_owned), page, |entry| entry.name().to_owned())
    }

    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        let (store, path) = (self.store.clone(), path.clone());
        let page = move |after: Option<&DriverPath>| store.read().page(&path, after, PAGE);
        paged(after.cloned(), page, |info| info.path.clone())
    }

    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()> {
        let renamed = self.store.write().rename(from, to);
        renamed.map_err(|error| error.at(Operation::Rename, from))
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        self.store.write().delete(path);
        Ok(())
    }

    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        self.store.write().delete_tree(path);
        Ok(())
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        let store = self.store.clone();
        let delete = move |path| {
            if until.has_passed() {
                let late = Error::TooLate.at(Operation::DeleteAll, &path);
                return (path, Err(late));
            }
            store.write().delete(&path);
            (path, Ok(()))
        };
        paths.map(delete).boxed()
    }

    async fn sync_deletions(&self, paths: &[DriverPath]) -> Result<()> {
        _ = paths; // Memory survives no power failure, so there is nothing to sync.
        Ok(())
    }

    async fn check(&self) -> Result<Condition> {
        Ok(Condition::Writable)
    }

    async fn redirect_url(&self, _path: &DriverPath, _request: RedirectRequest) -> Result<Option<url::Url>> {
        Ok(None)
    }
}

/// The bytes of `range` in pieces, without copying.
fn pieces(content: Arc<Content>, range: std::ops::Range<u64>) -> BoxStream<'static, Result<Bytes>> {
    let next = move |start: u64| {
        let piece = content.piece(start..range.end);
        let end = start + piece.len() as u64;
        std::future::ready((!piece.is_empty()).then_some((Ok(piece), end)))
    };
    stream::unfold(range.start, next).boxed()
}

/// A stream of the pages of `page`, each starting after the last item of the previous one, so that no lock is
/// held in between.
fn paged<T, K>(
    after: Option<K>,
    page: impl Fn(Option<&K>) -> Vec<T> + Send + 'static,
    key: impl Fn(&T) -> K + Send + 'static,
) -> BoxStream<'static, Result<T>>
where
    T: Send + 'static,
    K: Send + 'static,
{
    let next = move |(mut after, mut items): (Option<K>, VecDeque<T>)| {
        if items.is_empty() {
            items = page(after.as_ref()).into();
            after = items.back().map(&key);
        }
        std::future::ready(items.pop_front().map(|item| (Ok(item), (after, items))))
    };
    stream::unfold((after, VecDeque::new()), next).boxed()
}

/// The most entries per page.
const PAGE: usize = 256;
