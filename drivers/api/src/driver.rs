//! `StorageDriver`, the trait itself. Its rules stand in the crate's documentation.

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

/// A place to keep bytes under paths. Object-safe; shared as `Arc<dyn StorageDriver>`.
///
/// A path is never both a file and a prefix of other files; a driver may refuse to make it so.
#[async_trait]
pub trait StorageDriver: fmt::Debug + Send + Sync + 'static {
    /// The name of the kind of store, such as `filesystem`; a constant.
    fn name(&self) -> &'static str;

    /// What this store can promise beyond the contract.
    fn capabilities(&self) -> Capabilities;

    /// The whole of a small file. `NotFound` when there is none.
    async fn get_content(&self, path: &DriverPath) -> Result<Bytes>;

    /// Publishes a small file atomically (C1, C2) and, unless it is [`PutMode::Transient`], durably.
    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()>;

    /// Opens a file for reading. `NotFound` when there is none, `RangeInvalid` for an offset beyond its end (C10).
    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader>;

    /// Opens a staged file for writing. The path names it until it is committed somewhere else (or there).
    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>>;

    /// Size and time of a file. `NotFound` for anything else, a prefix too (C7).
    async fn stat(&self, path: &DriverPath) -> Result<FileInfo>;

    /// One level, in byte order of the names, beginning after the name `after`: a page of tags is `take(n)` (C6).
    ///
    /// A name that leads nowhere, such as a link to a disk that is not mounted, is listed as a file, which `stat` does not find.
    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>>;

    /// As [`list`](Self::list), but a driver that has directories apart from their files leaves out each in which there is no file
    /// `holding`, such as `current/link` (C19). A crash leaves such directories.
    fn list_holding(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        holding: &str,
    ) -> BoxStream<'static, Result<DirEntry>> {
        let _ = holding;
        self.list(path, after)
    }

    /// Every file below, in byte order of the whole paths (`/a.b/x` before `/a/x`), beginning after the path `after` (C6).
    ///
    /// A file that appears or vanishes meanwhile may or may not be yielded. A place that cannot be seen is an error of the kind
    /// [`Unseen`](crate::ErrorKind::Unseen) with its path, after which the walk goes on; any other error ends it.
    /// A staged file may be yielded, at its path, with the time of the last [`close`](FileWriter::close) or later: the purge of
    /// uploads takes that for a sign of life.
    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>>;

    /// Moves one file (C11), durably.
    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()>;

    /// Removes one file; succeeds when there is none (C8).
    async fn delete(&self, path: &DriverPath) -> Result<()>;

    /// Removes everything below `path`, staged files too, and a file at `path` itself; succeeds when there is nothing (C8, C9).
    async fn delete_tree(&self, path: &DriverPath) -> Result<()>;

    /// Removes many files, in as few requests as the store allows; each path comes back with its own result.
    ///
    /// Nothing is removed that begins after `until`: such a path gets `TooLate`. A file that comes back with `Ok` is gone, and no
    /// request for it is under way any more; after an error that is not [settled](crate::DriverError::is_settled) the store may
    /// still remove it, at any later moment (C18).
    ///
    /// A power failure may bring some of them back, until [`sync_deletions`](Self::sync_deletions) has been told of them.
    /// Where there are directories, one that holds nothing then goes, too.
    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)>;

    /// Makes durable that the files `paths` are gone: no power failure brings them back afterwards (C17).
    ///
    /// It is the barrier between deleting what refers and deleting what it refers to. It removes nothing; a path that
    /// has a file again keeps it.
    async fn sync_deletions(&self, paths: &[DriverPath]) -> Result<()>;

    /// Whether the store answers, is the one that was opened, and takes writes, as far as it knows.
    ///
    /// Health checks call it every few seconds, so it costs little. An error means that nothing works.
    async fn check(&self) -> Result<Condition>;

    /// A URL from which a client may fetch the file itself for a while; `None` when the registry is to serve it.
    async fn redirect_url(&self, path: &DriverPath, request: RedirectRequest) -> Result<Option<Url>>;
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<D: StorageDriver + ?Sized> StorageDriver for Arc<D> {
    crate::forward! { self => (**self);
        name capabilities get_content put_content reader writer stat list list_holding walk rename delete
        delete_tree delete_all sync_deletions check redirect_url
    }
}

/// What every driver can do by doing the above.
#[async_trait]
pub trait StorageDriverExt: StorageDriver {
    /// Whether there is a file at `path`.
    async fn exists(&self, path: &DriverPath) -> Result<bool> {
        Ok(if_any(self.stat(path).await)?.is_some())
    }

    /// The content of a small file, or `None` when there is none.
    async fn get_content_if_any(&self, path: &DriverPath) -> Result<Option<Bytes>> {
        if_any(self.get_content(path).await)
    }

    /// Size and time of a file, or `None` when there is none.
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
