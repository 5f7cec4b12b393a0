//! `Sabotaged`: the operations of a driver, each with its lies.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{
    ByteRange, Capabilities, Condition, Deadline, DirEntry, DriverError, DriverPath, ErrorKind, FileInfo,
    FileReader, FileWriter, Operation, PutMode, RedirectRequest, Result, StorageDriver, WriteHint, WriteMode,
    may_block,
};
use url::Url;

use super::Lie;
use super::late::late;
use super::memory::{Change, Memory};
use super::waiting::waiting;
use super::writer::SabotagedWriter;

/// A correct driver that breaks one clause of the contract.
#[derive(Clone, Debug)]
pub struct Sabotaged {
    pub(super) inner: Arc<dyn StorageDriver>,
    pub(super) lie: Lie,
    pub(super) memory: Arc<Memory>,
}

impl Sabotaged {
    /// Makes `inner` tell `lie`.
    pub fn new(inner: Arc<dyn StorageDriver>, lie: Lie) -> Self {
        let inner = match lie {
            Lie::ActsLate => late(inner),
            Lie::WaitsWherePolled => waiting(inner),
            _ => inner,
        };
        Self { inner, lie, memory: Arc::default() }
    }

    /// The path that the driver uses instead of `path`.
    pub(super) fn at(&self, path: &DriverPath) -> DriverPath {
        let spoilt = match self.lie {
            Lie::FoldsCase => path.as_str().to_ascii_lowercase(),
            Lie::FoldsPunctuation => path.as_str().replace(['-', '.'], "_"),
            Lie::TruncatesNames => {
                let cut = |name: &str| format!("/{}", &name[..name.len().min(100)]);
                path.components().map(cut).collect()
            }
            Lie::RootIsAFile if path.is_root() => "/the-file-that-is-root".to_owned(),
            _ => return path.clone(),
        };
        spoilt.parse().unwrap_or_else(|_| path.clone())
    }

    /// A change that may collide with another. It takes a while, so that others can arrive meanwhile.
    pub(super) async fn change(&self, path: &DriverPath) -> Result<Option<Change<'_>>> {
        if self.lie != Lie::CollidesUnderLoad {
            return Ok(None);
        }
        let change = self.memory.change();
        pause().await;
        match change {
            Some(change) => Ok(Some(change)),
            None => Err(self.error(ErrorKind::Unavailable, Operation::PutContent, path)),
        }
    }

    pub(super) fn note_publication(&self, path: &DriverPath) {
        self.memory.was_written_to.store(true, Ordering::SeqCst);
        let mut notes = self.memory.notes();
        notes.times.remove(path);
        notes.ever.insert(path.clone());
        notes.newest = Some(path.clone());
    }

    pub(super) fn spoil_info(&self, mut info: FileInfo) -> FileInfo {
        if let Some(time) = self.memory.notes().times.get(&info.path) {
            info.modified = *time;
        }
        match self.lie {
            Lie::StatMisstatesSize => info.size_bytes += 1,
            Lie::LivesInAnotherTimeZone => info.modified += Duration::from_secs(3600),
            _ => {}
        }
        info
    }

    fn spoil_error(&self, error: DriverError) -> DriverError {
        let (kind, operation) = (error.kind(), error.operation());
        match self.lie {
            Lie::ErrorsLoseThePath => self.error(kind, operation, &DriverPath::root()),
            Lie::ErrorsBlameAnotherDriver => DriverError::new(kind, "elsewhere", operation, error.path()),
            Lie::MissesAreFailures if error.is_not_found() => {
                self.error(ErrorKind::Unavailable, operation, error.path())
            }
            _ => error,
        }
    }

    pub(super) fn error(&self, kind: ErrorKind, operation: Operation, path: &DriverPath) -> DriverError {
        DriverError::new(kind, self.inner.name(), operation, path)
    }

    async fn first_file(&self) -> Result<DriverPath> {
        let first = self.inner.walk(&DriverPath::root(), None).try_next().await?;
        Ok(first.map_or(DriverPath::root(), |info| info.path))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for Sabotaged {
    sampan_driver::forward! { self => self.inner;
        name
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.inner.capabilities();
        match self.lie {
            Lie::ForgetsOnReopen => capabilities.durable = true,
            Lie::RedirectsUnasked => capabilities.redirect = false,
            _ => {}
        }
        capabilities
    }

    async fn get_content(&self, path: &DriverPath) -> Result<Bytes> {
        let path = self.at(path);
        let cached = self.memory.notes().cache.get(&path).cloned();
        if let Some(cached) = cached.filter(|_| self.lie == Lie::CachesForEver) {
            return Ok(cached);
        }
        match self.inner.get_content(&path).await {
            _ if self.lie == Lie::ForgetsOnReopen && !self.memory.was_written_to.load(Ordering::SeqCst) => {
                Err(self.error(ErrorKind::NotFound, Operation::GetContent, &path))
            }
            Ok(content) => {
                self.memory.notes().cache.insert(path, content.clone());
                Ok(content)
            }
            Err(error) if error.is_not_found() && self.lie == Lie::MissingIsEmpty => Ok(Bytes::new()),
            Err(error) => Err(self.spoil_error(error)),
        }
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        let path = self.at(path);
        let _change = self.change(&path).await?;
        self.replace_parents(&path).await?;
        self.lying_put(&path, content, mode).await.map_err(|error| self.spoil_error(error))?;
        self.note_publication(&path);
        Ok(())
    }

    async fn put_all(&self, files: &[(DriverPath, Bytes)]) -> Result<()> {
        self.lying_put_all(files).await
    }

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader> {
        if self.lie == Lie::CachesForEver {
            let content = self.get_content(path).await?;
            let size_bytes = content.len() as u64;
            if let Some(read) = range.resolve(size_bytes) {
                let part = content.slice(read.start as usize..read.end as usize);
                return Ok(FileReader::of_content(size_bytes, read, part));
            }
        }
        self.lying_reader(&self.at(path), range).await.map_err(|error| self.spoil_error(error))
    }

    async fn writer(&self, path: &DriverPath, mut mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        let path = self.at(path);
        let hint = match &mode {
            WriteMode::Create(hint) => hint.clone(),
            WriteMode::Append => WriteHint::default(),
        };
        if self.lie == Lie::CreateAppends && self.inner.writer(&path, WriteMode::Append).await.is_ok() {
            mode = WriteMode::Append;
        }
        if mode != WriteMode::Append {
            self.memory.notes().begun.insert(path.clone(), SystemTime::now());
        }
        if !self.memory.notes().unfinished.insert(path.clone()) && self.lie == Lie::DroppingLocksForEver {
            return Err(self.error(ErrorKind::Unavailable, Operation::Writer, &path));
        }
        let appends = mode == WriteMode::Append;
        let (inner, counted) =
            self.lying_writer(&path, mode).await.map_err(|error| self.spoil_error(error))?;
        self.memory.open_writers.fetch_add(1, Ordering::SeqCst);
        let held_back = Vec::new();
        Ok(Box::new(SabotagedWriter {
            inner,
            driver: self.clone(),
            path,
            hint,
            held_back,
            counted,
            writes: 0,
            appends,
            has_ended: Arc::default(),
        }))
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        let path = self.at(path);
        match self.inner.stat(&path).await {
            Ok(info) => Ok(self.spoil_info(info)),
            Err(error) if error.is_not_found() => {
                let is_prefix = self.inner.list(&path, None).next().await.is_some();
                match self.lie {
                    Lie::StatInventsFiles if !is_prefix => {}
                    Lie::StatsPrefixes if is_prefix => {}
                    _ => return Err(self.spoil_error(error)),
                }
                Ok(FileInfo { path, size_bytes: 0, modified: SystemTime::now() })
            }
            Err(error) => Err(self.spoil_error(error)),
        }
    }

    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>> {
        if self.lie == Lie::FoolsThePatient && may_block() {
            return stream::empty().boxed();
        }
        self.lying_list(self.at(path), after.map(str::to_owned))
    }

    fn list_holding(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        holding: &str,
    ) -> BoxStream<'static, Result<DirEntry>> {
        let list = self.inner.list_holding(&self.at(path), after, holding);
        match self.lie {
            Lie::HoldingLosesTheFirst => list.skip(1).boxed(),
            Lie::HoldingListsMore => {
                list.chain(stream::iter([Ok(DirEntry::Directory("~".to_owned()))])).boxed()
            }
            _ => self.list(path, after),
        }
    }

    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        self.lying_walk(self.at(path), after.cloned())
    }

    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()> {
        let (from, to) = (self.at(from), self.at(to));
        self.replace_parents(&to).await?;
        self.note_publication(&to);
        self.lying_rename(&from, &to).await.map_err(|error| self.spoil_error(error))
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        let path = self.at(path);
        let _change = self.change(&path).await?;
        self.lying_delete(&path).await
    }

    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        let path = self.at(path);
        let _change = self.change(&path).await?;
        self.lying_delete_tree(&path).await
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        let until = match self.lie {
            Lie::DeleteAllIgnoresTheDeadline => Deadline::NONE,
            Lie::DeleteAllAsksOnce if !until.has_passed() => Deadline::NONE,
            _ => until,
        };
        let answers = self.inner.delete_all(paths, until);
        match self.lie {
            Lie::DeleteAllForgetsAnswers => answers.take(1000).boxed(),
            Lie::DeleteAllInventsAnswers => {
                answers.chain(stream::once(std::future::ready((DriverPath::root(), Ok(()))))).boxed()
            }
            _ => answers,
        }
    }

    async fn sync_deletions(&self, paths: &[DriverPath]) -> Result<()> {
        let paths: Vec<_> = paths.iter().map(|path| self.at(path)).collect();
        if self.lie == Lie::SyncOfDeletionsDeletes {
            for path in &paths {
                self.inner.delete(path).await?;
            }
        }
        self.inner.sync_deletions(&paths).await
    }

    async fn check(&self) -> Result<Condition> {
        match self.lie {
            Lie::AlwaysReadOnly => Ok(Condition::ReadOnly("it says so".to_owned())),
            _ => self.inner.check().await,
        }
    }

    async fn redirect_url(&self, path: &DriverPath, request: RedirectRequest) -> Result<Option<Url>> {
        match self.lie {
            Lie::RedirectsUnasked => Ok("http://storage.invalid/file".parse().ok()),
            Lie::RedirectsToOnePlace => self.inner.redirect_url(&self.first_file().await?, request).await,
            _ => self.inner.redirect_url(&self.at(path), request).await,
        }
    }
}

/// The bytes after a lossy conversion to text.
pub(super) fn as_text(bytes: &[u8]) -> Bytes {
    String::from_utf8_lossy(bytes).into_owned().into()
}

/// Makes a lie last long enough for other operations to meet it. Nothing waits for its end.
pub(super) async fn pause() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}
