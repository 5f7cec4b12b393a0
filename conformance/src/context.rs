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
use crate::faulty::Fault;
use crate::fixture::{Pace, Store};
use crate::hooked::Hooked;
use crate::last_operation::LastOperation;

/// The open store of one clause. A clone gives the same open driver to another task.
///
/// The shorthands below take paths as text, fail with [`Failed`] and do one operation of the driver each, unless they say
/// otherwise.
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

    pub(crate) async fn put(&self, at: &str, content: impl Into<Bytes>) -> Result<(), Failed> {
        Ok(self.driver.put_content(&path(at), content.into(), PutMode::Overwrite).await?)
    }

    pub(crate) async fn put_all(&self, files: &[(&str, Bytes)]) -> Result<(), Failed> {
        let files: Vec<_> = files.iter().map(|(at, content)| (path(at), content.clone())).collect();
        Ok(self.driver.put_all(&files).await?)
    }

    pub(crate) async fn put_transient(&self, at: &str, content: impl Into<Bytes>) -> Result<(), Failed> {
        Ok(self.driver.put_content(&path(at), content.into(), PutMode::Transient).await?)
    }

    pub(crate) async fn create(&self, at: &str, content: impl Into<Bytes>) -> sampan_driver::Result<()> {
        self.driver.put_content(&path(at), content.into(), PutMode::Create).await
    }

    /// Writes a new file at each of `paths`, which contains its own path.
    pub(crate) async fn fill(&self, paths: &[impl AsRef<str>]) -> Result<(), Failed> {
        let paths: Vec<String> = paths.iter().map(|path| path.as_ref().to_owned()).collect();
        // Tasks with their own context: a future that borrows from a closure's argument is not `Send`.
        let put = |file: String| {
            let ctx = self.clone();
            async move { ctx.put(&file, file.clone()).await }
        };
        let mut puts = futures::stream::iter(paths).map(put).buffer_unordered(16);
        while puts.try_next().await?.is_some() {}
        Ok(())
    }

    pub(crate) async fn get(&self, at: &str) -> Result<Bytes, Failed> {
        Ok(self.driver.get_content(&path(at)).await?)
    }

    pub(crate) async fn reader(&self, at: &str, range: ByteRange) -> Result<FileReader, Failed> {
        Ok(self.driver.reader(&path(at), range).await?)
    }

    pub(crate) async fn read(&self, at: &str, range: ByteRange) -> Result<Vec<u8>, Failed> {
        drain(self.reader(at, range).await?).await
    }

    pub(crate) async fn stat(&self, at: &str) -> Result<FileInfo, Failed> {
        Ok(self.driver.stat(&path(at)).await?)
    }

    pub(crate) async fn list(&self, at: &str, after: Option<&str>) -> Result<Vec<DirEntry>, Failed> {
        let name = |entry: &DirEntry| match entry {
            DirEntry::File(name) => name.clone(),
            DirEntry::Directory(name) => format!("{name}/"),
        };
        collect(self.driver.list(&path(at), after), name, format!("the listing of {at}")).await
    }

    /// The names of a listing, prefixes with a trailing slash.
    pub(crate) async fn names(&self, at: &str, after: Option<&str>) -> Result<Vec<String>, Failed> {
        let show = |entry: DirEntry| match entry {
            DirEntry::File(name) => name,
            DirEntry::Directory(name) => name + "/",
        };
        Ok(self.list(at, after).await?.into_iter().map(show).collect())
    }

    pub(crate) async fn walk(&self, at: &str, after: Option<&str>) -> Result<Vec<String>, Failed> {
        let walk = self.driver.walk(&path(at), after.map(path).as_ref());
        let infos: Vec<FileInfo> =
            collect(walk, |info| info.path.to_string(), format!("the walk of {at}")).await?;
        Ok(infos.into_iter().map(|info| info.path.to_string()).collect())
    }

    pub(crate) async fn writer(&self, at: &str) -> Result<Box<dyn FileWriter>, Failed> {
        Ok(self.driver.writer(&path(at), WriteMode::Create(WriteHint::default())).await?)
    }

    pub(crate) async fn appender(&self, at: &str) -> Result<Box<dyn FileWriter>, Failed> {
        Ok(self.driver.writer(&path(at), WriteMode::Append).await?)
    }

    /// Begins a staged file, writes `content` and closes it.
    pub(crate) async fn stage(&self, at: &str, content: impl Into<Bytes>) -> Result<u64, Failed> {
        let mut writer = self.writer(at).await?;
        writer.write(content.into()).await?;
        Ok(writer.close(Bytes::new()).await?)
    }

    /// Writes `content` through a writer at `at`, in pieces of `piece` bytes, and commits it to `to`.
    pub(crate) async fn upload(
        &self,
        at: &str,
        to: &str,
        content: &Bytes,
        piece: usize,
    ) -> Result<(), Failed> {
        let mut writer = self.writer(at).await?;
        let mut rest = content.clone();
        while !rest.is_empty() {
            writer.write(rest.split_to(piece.min(rest.len()))).await?;
        }
        equal(writer.size(), content.len() as u64, format_args!("the size of the writer at {at}"))?;
        Ok(writer.commit(&path(to)).await?)
    }

    pub(crate) async fn rename(&self, from: &str, to: &str) -> Result<(), Failed> {
        Ok(self.driver.rename(&path(from), &path(to)).await?)
    }

    pub(crate) async fn delete(&self, at: &str) -> Result<(), Failed> {
        Ok(self.driver.delete(&path(at)).await?)
    }

    pub(crate) async fn delete_tree(&self, at: &str) -> Result<(), Failed> {
        Ok(self.driver.delete_tree(&path(at)).await?)
    }

    /// Checks that every way of reading finds exactly `expected` at `at`.
    pub(crate) async fn holds(&self, at: &str, expected: &[u8]) -> Result<(), Failed> {
        same_bytes(&self.get(at).await?, expected, format_args!("the content of {at}"))?;
        same_bytes(&self.read(at, ByteRange::ALL).await?, expected, format_args!("the stream of {at}"))?;
        equal(self.stat(at).await?.size_bytes, expected.len() as u64, format_args!("the size of {at}"))
    }

    /// Checks that no operation finds a file at `at`.
    pub(crate) async fn lacks(&self, at: &str) -> Result<(), Failed> {
        let place = path(at);
        let not_found = ErrorKind::NotFound;
        fails_with(self.driver.get_content(&place).await, not_found, format_args!("get_content of {at}"))?;
        fails_with(
            self.driver.reader(&place, ByteRange::ALL).await,
            not_found,
            format_args!("reader of {at}"),
        )?;
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
    }

    /// Checks that nothing is staged at `at`.
    pub(crate) async fn lacks_staged(&self, at: &str) -> Result<(), Failed> {
        let appended = self.driver.writer(&path(at), WriteMode::Append).await;
        fails_with(appended, ErrorKind::NotFound, format_args!("append to {at}"))?;
        Ok(())
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
pub(crate) async fn drain(reader: FileReader) -> Result<Vec<u8>, Failed> {
    let (length, mut bytes) = (reader.len(), Vec::new());
    let mut stream = reader.into_stream();
    while let Some(chunk) = stream.try_next().await? {
        bytes.extend_from_slice(&chunk);
    }
    equal(bytes.len() as u64, length, "the length of the stream against that of the reader")?;
    Ok(bytes)
}
