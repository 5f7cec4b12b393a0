//! `Sabotaged`: the operations of a driver, each with its lies.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use sampan_driver::{
    ByteRange, Capabilities, DirEntry, DriverError, DriverPath, ErrorKind, FileInfo, FileReader, FileWriter,
    LocalFile, Operation, PutMode, RedirectRequest, Result, StorageDriver, StorageDriverExt, WriteHint,
    WriteMode,
};
use url::Url;

use super::Lie;
use super::memory::{Change, Memory};
use super::writer::SabotagedWriter;

/// A good driver that breaks one promise.
#[derive(Clone, Debug)]
pub struct Sabotaged {
    pub(super) inner: Arc<dyn StorageDriver>,
    pub(super) lie: Lie,
    pub(super) memory: Arc<Memory>,
}

impl Sabotaged {
    /// Lets `inner` tell `lie`.
    pub fn new(inner: Arc<dyn StorageDriver>, lie: Lie) -> Self {
        Self { inner, lie, memory: Arc::default() }
    }

    /// The path that is used instead of `path`.
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

    /// A change that may be one too many. It takes its time, so that others can come.
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

    fn error(&self, kind: ErrorKind, operation: Operation, path: &DriverPath) -> DriverError {
        DriverError::new(kind, self.inner.name(), operation, path)
    }

    async fn first_file(&self) -> Result<DriverPath> {
        let first = self.inner.walk(&DriverPath::root(), None).try_next().await?;
        Ok(first.map_or(DriverPath::root(), |info| info.path))
    }

    async fn replace_parents(&self, path: &DriverPath) -> Result<()> {
        let mut above = path.parent();
        while let Some(parent) =
            above.filter(|parent| self.lie == Lie::WritesReplaceParents && !parent.is_root())
        {
            self.inner.delete(&parent).await?;
            above = parent.parent();
        }
        Ok(())
    }

    async fn lying_put(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        let (inner, exists) = (&self.inner, self.inner.exists(path).await?);
        let creates = mode == PutMode::Create;
        match self.lie {
            Lie::HidesDotNames if path.name().is_some_and(|name| name.starts_with('.')) => Ok(()),
            Lie::CutsLargeContent => {
                inner.put_content(path, content.slice(..content.len().min(1 << 20)), mode).await
            }
            Lie::TextOnly => inner.put_content(path, as_text(&content), mode).await,
            Lie::IgnoresEmptyContent if content.is_empty() => Ok(()),
            Lie::OverwriteKeepsTail => {
                let old = inner.get_content_if_any(path).await?.unwrap_or_default();
                let tail = &old[content.len().min(old.len())..];
                inner.put_content(path, [&content, tail].concat().into(), mode).await
            }
            Lie::TearsOverwrites if exists => {
                inner.put_content(path, content.slice(..content.len() / 2), mode).await?;
                pause().await;
                inner.put_content(path, content, mode).await
            }
            Lie::CreateDoesNothing if creates && !exists => Ok(()),
            Lie::CreateOverwrites => inner.put_content(path, content, PutMode::Overwrite).await,
            Lie::CreateRemembersTheDead if creates && self.memory.notes().ever.contains(path) => {
                Err(self.error(ErrorKind::AlreadyExists, Operation::PutContent, path))
            }
            Lie::CreateChecksThenWrites if creates && !exists => {
                pause().await;
                inner.put_content(path, content, PutMode::Overwrite).await
            }
            _ => inner.put_content(path, content, mode).await,
        }
    }

    async fn lying_reader(&self, path: &DriverPath, mut range: ByteRange) -> Result<FileReader> {
        let Some(info) = self.inner.stat_if_any(path).await? else {
            return match self.lie {
                Lie::MissingIsEmpty => Ok(FileReader::new(0, 0..0, stream::empty().boxed())),
                _ => self.inner.reader(path, range).await,
            };
        };
        let size = info.size_bytes;
        match self.lie {
            Lie::BeyondTheEndIsEmpty => range.offset = range.offset.min(size),
            Lie::OffsetIsOneTooSmall if range.offset < size => range.offset = range.offset.saturating_sub(1),
            Lie::ReaderIgnoresLength => range.len = None,
            _ => {}
        }
        let reader = self.inner.reader(path, range).await?;
        let (true_range, path) = (reader.range(), path.clone());
        match self.lie {
            Lie::ReaderMisstatesSize => Ok(FileReader::new(size + 1, true_range, reader.into_stream())),
            Lie::ReadsLate => {
                let inner = self.inner.clone();
                let late = async move { inner.reader(&path, range).await.map(FileReader::into_stream) };
                Ok(FileReader::new(size, true_range, late.into_stream().try_flatten().boxed()))
            }
            Lie::OffersAnotherFile => {
                let file = another_file(size).map_err(|error| {
                    self.error(ErrorKind::Other, Operation::Reader, &path).with_source(error)
                })?;
                let windows = stream::iter([Ok(true_range)]).boxed();
                Ok(reader.with_file(LocalFile { file: Arc::new(file), windows }))
            }
            Lie::ReadersShareAPosition => {
                let disturbed = self.memory.open_readers.fetch_add(1, Ordering::SeqCst) > 0;
                let memory = self.memory.clone();
                let end = async move {
                    memory.open_readers.fetch_sub(1, Ordering::SeqCst);
                    None
                };
                let spoil =
                    move |chunk: Bytes| if disturbed { Bytes::from(vec![0; chunk.len()]) } else { chunk };
                let chunks = reader.into_stream().map_ok(spoil);
                let chunks = chunks.chain(end.into_stream().filter_map(std::future::ready));
                Ok(FileReader::new(size, true_range, chunks.boxed()))
            }
            _ => Ok(reader),
        }
    }

    async fn lying_rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()> {
        let inner = &self.inner;
        match self.lie {
            Lie::RenameLeavesTheSource => {
                let content = inner.get_content(from).await?;
                inner.put_content(to, content, PutMode::Overwrite).await
            }
            Lie::RenameKeepsTheTarget if inner.exists(from).await? && inner.exists(to).await? => {
                inner.delete(from).await
            }
            Lie::RenameRemovesTheTargetFirst => {
                inner.delete(to).await?;
                pause().await;
                inner.rename(from, to).await
            }
            Lie::RenameCopiesThenDeletes if from == to => inner.delete(from).await,
            Lie::RenamesByStringPrefix => {
                for neighbour in self.neighbours(from).await? {
                    let suffix = &neighbour.as_str()[from.as_str().len()..];
                    if let Ok(target) = format!("{to}{suffix}").parse() {
                        inner.rename(&neighbour, &target).await?;
                    }
                }
                inner.rename(from, to).await
            }
            Lie::RenameKeepsTheTime => {
                let born = inner.stat(from).await?.modified;
                inner.rename(from, to).await?;
                self.memory.notes().times.insert(to.clone(), born);
                Ok(())
            }
            _ => inner.rename(from, to).await,
        }
    }

    async fn lying_delete(&self, path: &DriverPath) -> Result<()> {
        match self.lie {
            Lie::DeleteDoesNothing => Ok(()),
            Lie::DeletingNothingIsNotFound if !self.inner.exists(path).await? => {
                Err(self.error(ErrorKind::NotFound, Operation::Delete, path))
            }
            Lie::DeletesByStringPrefix => {
                for neighbour in self.neighbours(path).await? {
                    self.inner.delete(&neighbour).await?;
                }
                self.inner.delete(path).await
            }
            Lie::DeleteIsRecursive => self.inner.delete_tree(path).await,
            _ => self.inner.delete(path).await,
        }
    }

    async fn lying_delete_tree(&self, path: &DriverPath) -> Result<()> {
        match self.lie {
            Lie::DeletesTreeByStringPrefix => {
                for neighbour in self.neighbours(path).await? {
                    self.inner.delete_tree(&neighbour).await?;
                }
                self.inner.delete_tree(path).await
            }
            Lie::DeleteTreeDoesNothing => Ok(()),
            Lie::DeleteTreeMissesStaged | Lie::DeleteTreeKeepsItsTop => {
                let below: Vec<FileInfo> = self.inner.walk(path, None).try_collect().await?;
                for info in below {
                    self.inner.delete(&info.path).await?;
                }
                match self.lie {
                    Lie::DeleteTreeMissesStaged => self.inner.delete(path).await,
                    _ => Ok(()),
                }
            }
            _ => self.inner.delete_tree(path).await,
        }
    }

    async fn lying_writer(&self, path: &DriverPath, mode: WriteMode) -> Result<(Box<dyn FileWriter>, u64)> {
        let (inner, fresh) = (&self.inner, || WriteMode::Create(WriteHint::default()));
        let appends = mode == WriteMode::Append;
        let opened = inner.writer(path, mode).await;
        match self.lie {
            Lie::AppendCreates if opened.as_ref().is_err_and(DriverError::is_not_found) => {
                Ok((inner.writer(path, fresh()).await?, 0))
            }
            Lie::AppendStartsOver if appends => {
                let counted = opened?.size();
                Ok((inner.writer(path, fresh()).await?, counted))
            }
            Lie::AppendCountsWhatWasLost if appends => {
                let opened = opened?;
                let counted = self.memory.notes().sizes.get(path).copied().unwrap_or(0);
                let lost = counted.saturating_sub(opened.size());
                Ok((opened, lost))
            }
            _ => Ok((opened?, 0)),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for Sabotaged {
    fn name(&self) -> &'static str {
        self.inner.name()
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

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader> {
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
        self.lying_list(self.at(path), after.map(str::to_owned))
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
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        let answers = self.inner.delete_all(paths);
        match self.lie {
            Lie::DeleteAllForgetsAnswers => answers.take(1000).boxed(),
            Lie::DeleteAllInventsAnswers => {
                answers.chain(stream::once(std::future::ready((DriverPath::root(), Ok(()))))).boxed()
            }
            _ => answers,
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

/// What is left of bytes that are taken for text.
pub(super) fn as_text(bytes: &[u8]) -> Bytes {
    String::from_utf8_lossy(bytes).into_owned().into()
}

/// Makes a lie last long enough for others to come upon it. Nothing waits for this to be over.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}

/// A file of the right length and of nothing but zeros.
fn another_file(size_bytes: u64) -> std::io::Result<std::fs::File> {
    let mut file = tempfile::tempfile()?;
    file.set_len(size_bytes)?;
    file.flush()?;
    Ok(file)
}
