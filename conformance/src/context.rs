//! `Context`: the store of a clause, and shorthands for its operations.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{
    ByteRange, DirEntry, ErrorKind, FileInfo, FileReader, FileWriter, PutMode, StorageDriver, WriteHint,
    WriteMode,
};
use tokio::task::spawn_blocking;

use crate::Failed;
use crate::check::{ensure, equal, fails_with, same_bytes};
use crate::data::path;
use crate::failed::{Done, located};
use crate::faulty::Fault;
use crate::fixture::{Pace, Store};
use crate::hooked::Hooked;
use crate::last_operation::LastOperation;

/// The open store of one clause. A clone gives the same open driver to another task.
///
/// The shorthands below take paths as text, fail with [`Failed`] at the line that calls them, and do one operation of the
/// driver each, unless they say otherwise.
#[derive(Clone)]
pub struct Context {
    store: Arc<Store>,
    driver: Arc<dyn StorageDriver>,
    large_bytes: Option<u64>,
    last: Arc<LastOperation>,
}

impl Context {
    pub(crate) async fn open(
        store: Arc<Store>,
        large_bytes: Option<u64>,
        last: Arc<LastOperation>,
    ) -> Result<Self, Failed> {
        let driver = Arc::new(Hooked::new(store.open().await?, last.clone()));
        Ok(Self { store, driver, large_bytes, last })
    }

    /// The store as another process sees it while this one has it open. An exclusive store continues with the same driver.
    pub async fn reopen(&self) -> Result<Self, Failed> {
        if self.store.is_exclusive() {
            return Ok(self.clone());
        }
        Self::open(self.store.clone(), self.large_bytes, self.last.clone()).await
    }

    /// The store as a new process sees it. For an exclusive store, the context drops the driver first.
    pub async fn restart(self) -> Result<Self, Failed> {
        let Self { store, driver, large_bytes, last } = self;
        if !store.is_exclusive() {
            let next = Self::open(store, large_bytes, last).await;
            drop(driver);
            return next;
        }
        let dropped = Arc::downgrade(&driver);
        drop(driver);
        ensure(dropped.strong_count() == 0, "the clause still holds the driver that is to be dropped")?;
        Self::open(store, large_bytes, last).await
    }

    /// The store after another process has done `act` and died. The context drops the driver first.
    pub(crate) async fn after(self, act: &'static str) -> Result<Self, Failed> {
        let Self { store, driver, large_bytes, last } = self;
        drop(driver);
        let elsewhere = store.clone();
        spawn_blocking(move || elsewhere.act_elsewhere(act)).await??;
        Self::open(store, large_bytes, last).await
    }

    /// The operations, counted from 1, at which `fault` interrupts a flow, one per run, until the flow completes.
    pub(crate) fn moments(&self, fault: Fault) -> impl Iterator<Item = u64> + use<> {
        self.store.moments(fault)
    }

    /// How long an operation of the store takes.
    pub(crate) fn pace(&self) -> Pace {
        self.store.pace()
    }

    /// The driver under test.
    pub fn driver(&self) -> &Arc<dyn StorageDriver> {
        &self.driver
    }

    /// `large` if `SAMPAN_CONFORMANCE_LARGE` is set, else `usual`.
    pub(crate) fn scale<T>(&self, usual: T, large: T) -> T {
        if self.large_bytes.is_some() { large } else { usual }
    }

    /// How much a clause about large content writes; little when it only runs to show that it can fail.
    pub(crate) fn large_bytes(&self) -> u64 {
        self.large_bytes.unwrap_or(8 << 20)
    }

    #[track_caller]
    pub(crate) fn put(&self, at: &str, content: impl Into<Bytes>) -> impl Done<()> {
        let content = content.into();
        located(async move { Ok(self.driver.put_content(&path(at), content, PutMode::Overwrite).await?) })
    }

    #[track_caller]
    pub(crate) fn put_all(&self, files: &[(&str, Bytes)]) -> impl Done<()> {
        let files: Vec<_> = files.iter().map(|(at, content)| (path(at), content.clone())).collect();
        located(async move { Ok(self.driver.put_all(&files).await?) })
    }

    #[track_caller]
    pub(crate) fn put_transient(&self, at: &str, content: impl Into<Bytes>) -> impl Done<()> {
        let content = content.into();
        located(async move { Ok(self.driver.put_content(&path(at), content, PutMode::Transient).await?) })
    }

    pub(crate) async fn create(&self, at: &str, content: impl Into<Bytes>) -> sampan_driver::Result<()> {
        self.driver.put_content(&path(at), content.into(), PutMode::Create).await
    }

    /// Writes a new file at each of `paths`, which contains its own path.
    #[track_caller]
    pub(crate) fn fill(&self, paths: &[impl AsRef<str>]) -> impl Done<()> {
        let paths: Vec<String> = paths.iter().map(|path| path.as_ref().to_owned()).collect();
        // Tasks with their own context: a future that borrows from a closure's argument is not `Send`.
        let put = |file: String| {
            let ctx = self.clone();
            async move { ctx.put(&file, file.clone()).await }
        };
        let mut puts = futures::stream::iter(paths).map(put).buffer_unordered(16);
        located(async move {
            while puts.try_next().await?.is_some() {}
            Ok(())
        })
    }

    #[track_caller]
    pub(crate) fn get(&self, at: &str) -> impl Done<Bytes> {
        located(async move { Ok(self.driver.get_content(&path(at)).await?) })
    }

    #[track_caller]
    pub(crate) fn reader(&self, at: &str, range: ByteRange) -> impl Done<FileReader> {
        located(async move { Ok(self.driver.reader(&path(at), range).await?) })
    }

    #[track_caller]
    pub(crate) fn read(&self, at: &str, range: ByteRange) -> impl Done<Vec<u8>> {
        located(async move { drain(self.reader(at, range).await?).await })
    }

    #[track_caller]
    pub(crate) fn stat(&self, at: &str) -> impl Done<FileInfo> {
        located(async move { Ok(self.driver.stat(&path(at)).await?) })
    }

    #[track_caller]
    pub(crate) fn list(&self, at: &str, after: Option<&str>) -> impl Done<Vec<DirEntry>> {
        let name = |entry: &DirEntry| match entry {
            DirEntry::File(name) => name.clone(),
            DirEntry::Directory(name) => format!("{name}/"),
        };
        located(collect(self.driver.list(&path(at), after), name, format!("the listing of {at}")))
    }

    /// The names of a listing, prefixes with a trailing slash.
    #[track_caller]
    pub(crate) fn names(&self, at: &str, after: Option<&str>) -> impl Done<Vec<String>> {
        let show = |entry: DirEntry| match entry {
            DirEntry::File(name) => name,
            DirEntry::Directory(name) => name + "/",
        };
        let listing = self.list(at, after);
        located(async move { Ok(listing.await?.into_iter().map(show).collect()) })
    }

    #[track_caller]
    pub(crate) fn walk(&self, at: &str, after: Option<&str>) -> impl Done<Vec<String>> {
        let walk = self.driver.walk(&path(at), after.map(path).as_ref());
        let walk = collect(walk, |info: &FileInfo| info.path.to_string(), format!("the walk of {at}"));
        located(async move { Ok(walk.await?.into_iter().map(|info| info.path.to_string()).collect()) })
    }

    #[track_caller]
    pub(crate) fn writer(&self, at: &str) -> impl Done<Box<dyn FileWriter>> {
        let create = WriteMode::Create(WriteHint::default());
        located(async move { Ok(self.driver.writer(&path(at), create).await?) })
    }

    #[track_caller]
    pub(crate) fn appender(&self, at: &str) -> impl Done<Box<dyn FileWriter>> {
        located(async move { Ok(self.driver.writer(&path(at), WriteMode::Append).await?) })
    }

    /// Begins a staged file, writes `content` and closes it.
    #[track_caller]
    pub(crate) fn stage(&self, at: &str, content: impl Into<Bytes>) -> impl Done<u64> {
        let content = content.into();
        located(async move {
            let mut writer = self.writer(at).await?;
            writer.write(content).await?;
            Ok(writer.close(Bytes::new()).await?)
        })
    }

    /// Writes `content` through a writer at `at`, in pieces of `piece` bytes, and commits it to `to`.
    #[track_caller]
    pub(crate) fn upload(&self, at: &str, to: &str, content: &Bytes, piece: usize) -> impl Done<()> {
        located(async move {
            let mut writer = self.writer(at).await?;
            let mut rest = content.clone();
            while !rest.is_empty() {
                writer.write(rest.split_to(piece.min(rest.len()))).await?;
            }
            equal(writer.size(), content.len() as u64, format_args!("the size of the writer at {at}"))?;
            Ok(writer.commit(&path(to)).await?)
        })
    }

    #[track_caller]
    pub(crate) fn rename(&self, from: &str, to: &str) -> impl Done<()> {
        located(async move { Ok(self.driver.rename(&path(from), &path(to)).await?) })
    }

    #[track_caller]
    pub(crate) fn delete(&self, at: &str) -> impl Done<()> {
        located(async move { Ok(self.driver.delete(&path(at)).await?) })
    }

    #[track_caller]
    pub(crate) fn delete_tree(&self, at: &str) -> impl Done<()> {
        located(async move { Ok(self.driver.delete_tree(&path(at)).await?) })
    }

    /// Checks that every way of reading finds exactly `expected` at `at`.
    #[track_caller]
    pub(crate) fn holds(&self, at: &str, expected: &[u8]) -> impl Done<()> {
        located(async move {
            same_bytes(&self.get(at).await?, expected, format_args!("the content of {at}"))?;
            same_bytes(&self.read(at, ByteRange::ALL).await?, expected, format_args!("the stream of {at}"))?;
            equal(self.stat(at).await?.size_bytes, expected.len() as u64, format_args!("the size of {at}"))
        })
    }

    /// Checks that no operation finds a file at `at`.
    #[track_caller]
    pub(crate) fn lacks(&self, at: &str) -> impl Done<()> {
        located(async move {
            let (place, not_found) = (path(at), ErrorKind::NotFound);
            let content = self.driver.get_content(&place).await;
            fails_with(content, not_found, format_args!("get_content of {at}"))?;
            let reader = self.driver.reader(&place, ByteRange::ALL).await;
            fails_with(reader, not_found, format_args!("reader of {at}"))?;
            fails_with(self.driver.stat(&place).await, not_found, format_args!("stat of {at}"))?;
            let (Some(parent), Some(name)) = (place.parent(), place.name()) else { return Ok(()) };
            let listed = self.list(parent.as_str(), None).await?;
            ensure(
                !listed.contains(&DirEntry::File(name.to_owned())),
                format_args!("{at} is listed, but it should not be there"),
            )?;
            let walked = self.walk(parent.as_str(), None).await?;
            ensure(
                !walked.iter().any(|path| path == at),
                format_args!("{at} is walked, but it should not be there"),
            )
        })
    }

    /// Checks that nothing is staged at `at`.
    #[track_caller]
    pub(crate) fn lacks_staged(&self, at: &str) -> impl Done<()> {
        located(async move {
            let appended = self.driver.writer(&path(at), WriteMode::Append).await;
            fails_with(appended, ErrorKind::NotFound, format_args!("append to {at}"))?;
            Ok(())
        })
    }
}

/// Collects a stream; fails at the first repeated item, since such a stream may be endless.
async fn collect<T>(
    mut stream: BoxStream<'static, sampan_driver::Result<T>>,
    name: impl Fn(&T) -> String,
    what: String,
) -> Result<Vec<T>, Failed> {
    let (mut items, mut names) = (Vec::new(), HashSet::new());
    while let Some(item) = stream.try_next().await? {
        let name = name(&item);
        ensure(!names.contains(&name), format_args!("{what} yields `{name}` a second time"))?;
        names.insert(name);
        items.push(item);
    }
    Ok(items)
}

/// All bytes of a reader.
#[track_caller]
pub(crate) fn drain(reader: FileReader) -> impl Done<Vec<u8>> {
    located(async move {
        let (length, mut bytes) = (reader.len(), Vec::new());
        let mut stream = reader.into_stream();
        while let Some(chunk) = stream.try_next().await? {
            bytes.extend_from_slice(&chunk);
        }
        equal(bytes.len() as u64, length, "the length of the stream against that of the reader")?;
        Ok(bytes)
    })
}
