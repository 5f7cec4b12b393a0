//! `StorageDriver`, the trait. The crate's documentation has its rules.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use url::Url;

use crate::{
    ByteRange, Capabilities, Condition, Deadline, DirEntry, DriverPath, FileInfo, FileReader, FileWriter,
    PutMode, RedirectRequest, Result, WriteMode,
};

/// Stores bytes under paths. Object-safe; shared as `Arc<dyn StorageDriver>`.
///
/// A path is never both a file and a prefix of other files; a driver may refuse to create such a path.
#[async_trait]
pub trait StorageDriver: fmt::Debug + Send + Sync + 'static {
    /// The name of the kind of store, such as `filesystem`; constant.
    fn name(&self) -> &'static str;

    /// The store's guarantees beyond the contract.
    fn capabilities(&self) -> Capabilities;

    /// Reads a small file. `NotFound` if it does not exist.
    async fn get_content(&self, path: &DriverPath) -> Result<Bytes>;

    /// Publishes a small file atomically (C1, C2) and, unless the mode is [`PutMode::Transient`], durably.
    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()>;

    /// Publishes small files durably, in their order, each as `put_content` does with [`PutMode::Overwrite`] (C20).
    ///
    /// A reader that finds a file of the list, also after a crash, finds all files before it. A store with transactions
    /// publishes all of them in one; any other may use [`put_one_by_one`](crate::put_one_by_one). An error names the
    /// first file that was not published; those before it may be.
    async fn put_all(&self, files: &[(DriverPath, Bytes)]) -> Result<()>;

    /// Opens a file for reading. `NotFound` if it does not exist, `RangeInvalid` for an offset beyond its end
    /// (C10).
    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader>;

    /// Opens a staged file for writing. The path names it until it is committed to another path (or the
    /// same).
    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>>;

    /// The size and time of a file. `NotFound` for anything else, including a prefix (C7).
    async fn stat(&self, path: &DriverPath) -> Result<FileInfo>;

    /// Lists one level, in byte order of the names, starting after the name `after`: a page of tags is
    /// `take(n)` (C6).
    ///
    /// A dangling name, such as a link to an unmounted disk, is listed as a file, for which `stat` returns
    /// `NotFound`.
    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>>;

    /// As [`list`](Self::list), but a driver with real directories omits those without the file `holding`,
    /// such as `current/link` (C19). A crash leaves such directories.
    fn list_holding(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        holding: &str,
    ) -> BoxStream<'static, Result<DirEntry>> {
        let _ = holding;
        self.list(path, after)
    }

    /// Walks all files below `path`, in byte order of the whole paths (`/a.b/x` before `/a/x`), starting
    /// after the path `after` (C6).
    ///
    /// A file that appears or vanishes meanwhile may or may not be yielded. An unreadable place yields an
    /// error of the kind [`Unseen`](crate::ErrorKind::Unseen) with its path, after which the walk continues;
    /// any other error ends it. A staged file may be yielded, at its path, with the time of the last
    /// [`close`](FileWriter::close) or later: the purge of uploads reads that time as the last activity.
    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>>;

    /// Moves a file (C11), durably.
    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()>;

    /// Deletes a file, also a staged one if [`walk`](Self::walk) yields it; succeeds if it does not exist (C8).
    async fn delete(&self, path: &DriverPath) -> Result<()>;

    /// Deletes everything below `path`, including staged files, and a file at `path` itself; succeeds if
    /// there is nothing (C8, C9).
    async fn delete_tree(&self, path: &DriverPath) -> Result<()>;

    /// Deletes many files, in as few requests as the store allows; yields each path with its own result.
    ///
    /// No deletion starts after `until`: such a path gets `TooLate`. A file that yields `Ok` is deleted, and
    /// no request for it is still running; after an error that is not
    /// [settled](crate::DriverError::is_settled) the store may still delete it at any later time (C18).
    ///
    /// A power failure may undo some deletions until [`sync_deletions`](Self::sync_deletions) is called for
    /// them. A driver with real directories also deletes those that become empty.
    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)>;

    /// Makes the deletion of `paths` durable: no power failure restores them afterwards (C17).
    ///
    /// It is the barrier between deleting references and deleting their targets. It deletes nothing itself; a
    /// path that has a file again keeps it.
    async fn sync_deletions(&self, paths: &[DriverPath]) -> Result<()>;

    /// Checks whether the store responds, is still the one that was opened, and accepts writes, as far as the
    /// driver knows.
    ///
    /// Health checks call it every few seconds, so it must be cheap. An error means that nothing works.
    async fn check(&self) -> Result<Condition>;

    /// A URL from which a client may fetch the file itself for a while; `None` if the registry must serve it.
    async fn redirect_url(&self, path: &DriverPath, request: RedirectRequest) -> Result<Option<Url>>;
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<D: StorageDriver + ?Sized> StorageDriver for Arc<D> {
    crate::forward! { self => (**self);
        name capabilities get_content put_content put_all reader writer stat list list_holding walk rename delete
        delete_tree delete_all sync_deletions check redirect_url
    }
}

/// Convenience methods for every driver.
#[async_trait]
pub trait StorageDriverExt: StorageDriver {
    /// Whether `path` is a file.
    async fn exists(&self, path: &DriverPath) -> Result<bool> {
        Ok(if_any(self.stat(path).await)?.is_some())
    }

    /// Reads a small file; `None` if it does not exist.
    async fn get_content_if_any(&self, path: &DriverPath) -> Result<Option<Bytes>> {
        if_any(self.get_content(path).await)
    }

    /// The size and time of a file; `None` if it does not exist.
    async fn stat_if_any(&self, path: &DriverPath) -> Result<Option<FileInfo>> {
        if_any(self.stat(path).await)
    }
}

impl<D: StorageDriver + ?Sized> StorageDriverExt for D {}

fn if_any<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
