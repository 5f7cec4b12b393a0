//! `World`: the store that all share, with times of its own; and `Seen`, the store as one actor sees it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{
    ByteRange, Capabilities, Condition, DirEntry, DriverError, DriverPath, ErrorKind, FileInfo, FileReader,
    FileWriter, Operation, PutMode, RedirectRequest, Result, StorageDriver, WriteMode,
};
use sampan_engine::layout::Entry;
use tokio::time::Instant;
use url::Url;

use super::sabotage::Sabotage;
use super::turns::{Turn, Turns};
use crate::one_by_one::one_by_one;

/// The store, and what time it is there.
#[derive(Debug)]
pub(super) struct World {
    pub(super) inner: Arc<dyn StorageDriver>,
    pub(super) turns: Turns,
    sabotage: Sabotage,
    epoch: SystemTime,
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When files were published; those from before the beginning are old.
    times: HashMap<DriverPath, SystemTime>,
    /// A notice that is yet to come up.
    late_notice: Option<(usize, Bytes)>,
    /// How often something was deleted.
    deletions: u64,
}

impl World {
    pub(super) fn new(inner: Arc<dyn StorageDriver>, turns: Turns, sabotage: Sabotage) -> Arc<Self> {
        let (epoch, begun) = (SystemTime::now(), Instant::now());
        Arc::new(Self { inner, turns, sabotage, epoch, begun, state: Mutex::default() })
    }

    pub(super) fn now(&self) -> SystemTime {
        self.epoch + self.begun.elapsed()
    }

    /// How often something was deleted.
    pub(super) fn deletions(&self) -> u64 {
        self.lock().deletions
    }

    /// The store as an actor sees it.
    pub(super) fn seen_by(self: &Arc<Self>, actor: usize, role: Role) -> Arc<dyn StorageDriver> {
        Arc::new(Seen(Arc::new(Eyes { world: self.clone(), actor, role, memory: Mutex::default() })))
    }

    fn touch(&self, path: &DriverPath) {
        let now = self.now();
        self.lock().times.insert(path.clone(), now);
    }

    fn dated(&self, mut info: FileInfo) -> FileInfo {
        let old = self.epoch - Duration::from_secs(365 * 24 * 60 * 60);
        info.modified = self.lock().times.get(&info.path).copied().unwrap_or(old);
        info
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// On which side of the protocol an actor is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    Client,
    Collector,
}

#[derive(Clone, Debug)]
struct Seen(Arc<Eyes>);

struct Eyes {
    world: Arc<World>,
    actor: usize,
    role: Role,
    memory: Mutex<Memory>,
}

/// What an actor remembers who should not.
#[derive(Default)]
struct Memory {
    links: HashMap<DriverPath, Bytes>,
    files: HashMap<DriverPath, FileInfo>,
    walked: HashMap<DriverPath, Vec<FileInfo>>,
    run: Option<Bytes>,
}

impl fmt::Debug for Eyes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Eyes({})", self.actor)
    }
}

impl Eyes {
    async fn turn(&self, operation: Operation, path: &DriverPath) -> Option<Turn> {
        let what = || {
            let text = path.as_str().trim_start_matches("/docker/registry/").to_owned();
            format!("{operation} {text} at {:?}", self.world.begun.elapsed())
        };
        self.world.turns.wait(self.actor, what).await
    }

    fn breaks(&self, sabotage: Sabotage) -> bool {
        self.world.sabotage == sabotage
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn missing<T>(&self, operation: Operation, path: &DriverPath) -> Result<T> {
        Err(DriverError::new(ErrorKind::NotFound, "model", operation, path))
    }

    /// The ages that this actor sees.
    fn aged(&self, info: FileInfo) -> FileInfo {
        let mut info = self.world.dated(info);
        let entry = Entry::parse(&info.path);
        let ignored = self.role == Role::Collector
            && match entry {
                Some(Entry::LayerLink(..)) => self.breaks(Sabotage::CollectorIgnoresLinks),
                Some(Entry::Blob(_)) => self.breaks(Sabotage::CollectorIgnoresData),
                _ => false,
            };
        if ignored {
            info.modified = SystemTime::UNIX_EPOCH;
        }
        info
    }

    /// Whether a renewal is to be forgotten: what is written is there already.
    async fn forgets(&self, path: &DriverPath) -> bool {
        let token = matches!(Entry::parse(path), Some(Entry::LayerLink(..) | Entry::Blob(_)));
        self.role == Role::Client
            && token
            && self.breaks(Sabotage::ClientsDoNotRenew)
            && self.world.inner.stat(path).await.is_ok()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for Seen {
    fn name(&self) -> &'static str {
        "model"
    }

    fn capabilities(&self) -> Capabilities {
        self.0.world.inner.capabilities()
    }

    async fn get_content(&self, path: &DriverPath) -> Result<Bytes> {
        let eyes = &self.0;
        let _turn = eyes.turn(Operation::GetContent, path).await;
        let (run, doomed) = (Entry::CollectionRun.path(), Entry::CollectionDoomed.path());
        if eyes.role == Role::Client
            && eyes.breaks(Sabotage::ClientsDoNotLook)
            && (*path == run || *path == doomed)
        {
            return eyes.missing(Operation::GetContent, path);
        }
        if eyes.role == Role::Collector && *path == run {
            let late = eyes.world.lock().late_notice.take_if(|(actor, _)| *actor == eyes.actor);
            if let Some((_, notice)) = late {
                eyes.world.inner.put_content(path, notice, PutMode::Overwrite).await?;
            }
            if let Some(own) = eyes.memory().run.clone() {
                return Ok(own);
            }
        }
        let content = eyes.world.inner.get_content(path).await;
        if eyes.role == Role::Client
            && eyes.breaks(Sabotage::ClientsTrustTheirMemory)
            && matches!(Entry::parse(path), Some(Entry::LayerLink(..)))
        {
            let mut memory = eyes.memory();
            return match content {
                Ok(content) => {
                    memory.links.insert(path.clone(), content.clone());
                    Ok(content)
                }
                Err(error) => memory.links.get(path).cloned().ok_or(error),
            };
        }
        content
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        let eyes = &self.0;
        let _turn = eyes.turn(Operation::PutContent, path).await;
        if eyes.forgets(path).await {
            return Ok(());
        }
        if eyes.role == Role::Collector {
            let entry = Entry::parse(path);
            if entry == Some(Entry::CollectionDoomed) && eyes.breaks(Sabotage::CollectorDoesNotPublish) {
                return Ok(());
            }
            if entry == Some(Entry::CollectionRun) && mode == PutMode::Create {
                if eyes.breaks(Sabotage::CollectorIsNotNoticed) && eyes.world.inner.stat(path).await.is_err()
                {
                    eyes.world.lock().late_notice = Some((eyes.actor, content));
                    return Ok(());
                }
                if eyes.breaks(Sabotage::CollectorsDoNotWait) {
                    eyes.memory().run = Some(content.clone());
                    return eyes.world.inner.put_content(path, content, PutMode::Overwrite).await;
                }
            }
        }
        eyes.world.inner.put_content(path, content, mode).await?;
        eyes.world.touch(path);
        Ok(())
    }

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader> {
        let _turn = self.0.turn(Operation::Reader, path).await;
        self.0.world.inner.reader(path, range).await
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        let _turn = self.0.turn(Operation::Writer, path).await;
        let inner = self.0.world.inner.writer(path, mode).await?;
        Ok(Box::new(SeenWriter { inner, eyes: self.0.clone() }))
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        let _turn = self.0.turn(Operation::Stat, path).await;
        let info = self.0.world.inner.stat(path).await.map(|info| self.0.aged(info));
        if self.0.role == Role::Client && self.0.breaks(Sabotage::ClientsTrustTheirMemory) {
            let mut memory = self.0.memory();
            if let Ok(info) = &info {
                memory.files.insert(path.clone(), info.clone());
            }
            return info.or_else(|error| memory.files.get(path).cloned().ok_or(error));
        }
        info
    }

    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>> {
        let (eyes, path, after) = (self.0.clone(), path.clone(), after.map(str::to_owned));
        let listing = async move {
            let _turn = eyes.turn(Operation::List, &path).await;
            eyes.world.inner.list(&path, after.as_deref())
        };
        stream::once(listing).flatten().boxed()
    }

    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        let eyes = self.0.clone();
        let remembers = eyes.role == Role::Collector && eyes.breaks(Sabotage::CollectorDoesNotLookAgain);
        let old = remembers.then(|| eyes.memory().walked.get(path).cloned()).flatten();
        if let Some(old) = old {
            return stream::iter(old.into_iter().map(Ok)).boxed();
        }
        let root = path.clone();
        // Each file is asked for by itself, after the one before it: what is written meanwhile may be missed or not.
        let next = move |(eyes, after): (Arc<Eyes>, Option<DriverPath>)| {
            let root = root.clone();
            async move {
                let _turn = eyes.turn(Operation::Walk, after.as_ref().unwrap_or(&root)).await;
                let Some(info) = eyes.world.inner.walk(&root, after.as_ref()).try_next().await? else {
                    return Ok(None);
                };
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
        let _turn = self.0.turn(Operation::Rename, from).await;
        self.0.world.inner.rename(from, to).await?;
        self.0.world.touch(to);
        Ok(())
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        let _turn = self.0.turn(Operation::Delete, path).await;
        self.0.world.lock().deletions += 1;
        self.0.world.inner.delete(path).await
    }

    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        let _turn = self.0.turn(Operation::DeleteTree, path).await;
        self.0.world.lock().deletions += 1;
        self.0.world.inner.delete_tree(path).await
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        let driver = self.clone();
        one_by_one(paths, move |path| {
            let driver = driver.clone();
            async move { driver.delete(&path).await }
        })
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
    eyes: Arc<Eyes>,
}

#[async_trait]
impl FileWriter for SeenWriter {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.inner.write(chunk).await
    }

    async fn close(self: Box<Self>) -> Result<u64> {
        let _turn = self.eyes.turn(Operation::Close, &DriverPath::root()).await;
        self.inner.close().await
    }

    async fn commit(self: Box<Self>, to: &DriverPath) -> Result<()> {
        let _turn = self.eyes.turn(Operation::Commit, to).await;
        self.inner.commit(to).await?;
        self.eyes.world.touch(to);
        Ok(())
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        let _turn = self.eyes.turn(Operation::Cancel, &DriverPath::root()).await;
        self.inner.cancel().await
    }
}
