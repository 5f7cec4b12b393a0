//! `World`: the store that all share, with times of its own; and `Seen`, the store as one actor sees it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{
    ByteRange, Capabilities, Condition, Deadline, DirEntry, DriverError, DriverPath, ErrorKind, FileInfo,
    FileReader, FileWriter, Operation, PutMode, RedirectRequest, Result, StorageDriver, WriteMode,
};
use sampan_engine::RunId;
use sampan_engine::gc;
use sampan_engine::layout::{self, Entry};
use sampan_engine::oci::{Digest, RepositoryName};
use tokio::time::Instant;
use url::Url;

use super::check::{is_indexed, is_whole};
use super::faults::Faults;
use super::machine::{Fate, Machine};
use super::sabotage::Sabotage;
use super::turns::{Turn, Turns};
use crate::Failed;
use crate::gc::collector::paths;

/// The store, and what time it is there.
#[derive(Debug)]
pub(super) struct World {
    pub(super) inner: Arc<dyn StorageDriver>,
    pub(super) turns: Turns,
    sabotage: Sabotage,
    faults: Faults,
    epoch: SystemTime,
    begun: Instant,
    /// The run whose files are those of all, if they share them.
    shared: RunId,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When files were published; those from before the beginning are old.
    times: HashMap<DriverPath, SystemTime>,
    /// A notice that is yet to come up.
    late_notice: Option<(usize, DriverPath, Bytes)>,
    /// How often something was deleted.
    deletions: u64,
    /// What the store was asked to delete and has not yet: it does so late.
    late: Vec<DriverPath>,
    /// Manifests that were acknowledged, or here from the beginning, and not collected since.
    acknowledged: HashSet<(RepositoryName, Digest)>,
    /// Repository, subject and digest of manifests that a client has attached, and that no client has deleted.
    attached: HashSet<(RepositoryName, Digest, Digest)>,
}

impl World {
    pub(super) fn new(
        inner: Arc<dyn StorageDriver>,
        turns: Turns,
        faults: Faults,
        sabotage: Sabotage,
    ) -> Arc<Self> {
        let (epoch, begun) = (SystemTime::now(), Instant::now());
        Arc::new(Self {
            inner,
            turns,
            sabotage,
            faults,
            epoch,
            begun,
            shared: RunId::random(),
            state: Mutex::default(),
        })
    }

    pub(super) fn now(&self) -> SystemTime {
        self.epoch + self.begun.elapsed()
    }

    pub(super) fn breaks(&self, sabotage: Sabotage) -> bool {
        self.sabotage == sabotage
    }

    pub(super) fn epoch(&self) -> SystemTime {
        self.epoch
    }

    /// Sees whether everything that is to be whole is so (I1). Where an operation takes any time, a manifest that is being
    /// pushed may be linked for a moment before the registry sees that it must begin again.
    pub(super) async fn check(&self) -> Result<(), Failed> {
        let faults = self.faults;
        is_whole(&self.inner, |name, digest| !faults.any() || self.is_acknowledged(name, digest)).await?;
        let attached: Vec<_> = self.lock().attached.iter().cloned().collect();
        is_indexed(&self.inner, attached).await
    }

    /// Notes that a manifest is attached to `subject`, and that clients find it there while it is linked.
    pub(super) fn acknowledge_attached(&self, name: &RepositoryName, subject: &Digest, digest: &Digest) {
        self.lock().attached.insert((name.clone(), subject.clone(), digest.clone()));
    }

    /// Notes that a client deletes a manifest. Of a push at the same time it may die between two steps of that.
    pub(super) fn give_up(&self, name: &RepositoryName, digest: &Digest) {
        self.lock().attached.retain(|(of, _, attached)| of != name || attached != digest);
    }

    /// Notes that every manifest of the store is promised to stay whole.
    pub(super) async fn acknowledge_all(&self) -> Result<(), Failed> {
        for path in paths(&self.inner).await? {
            if let Some(Entry::RevisionLink(name, digest)) = Entry::parse(&path) {
                self.acknowledge(&name, &digest);
            }
        }
        Ok(())
    }

    /// How often something was deleted.
    pub(super) fn deletions(&self) -> u64 {
        self.lock().deletions
    }

    /// The store as an actor sees it.
    pub(super) fn seen_by(
        self: &Arc<Self>,
        actor: usize,
        role: Role,
        machine: Machine,
        is_blind: bool,
    ) -> Arc<dyn StorageDriver> {
        let memory = Mutex::default();
        Arc::new(Seen(Arc::new(Eyes { world: self.clone(), actor, role, machine, is_blind, memory })))
    }

    /// Notes that a manifest is promised to stay whole while it is linked.
    pub(super) fn acknowledge(&self, name: &RepositoryName, digest: &Digest) {
        self.lock().acknowledged.insert((name.clone(), digest.clone()));
    }

    pub(super) fn is_acknowledged(&self, name: &RepositoryName, digest: &Digest) -> bool {
        self.lock().acknowledged.contains(&(name.clone(), digest.clone()))
    }

    /// Carries out what the store is still to delete.
    pub(super) async fn catch_up(&self) -> Result<()> {
        let late = std::mem::take(&mut self.lock().late);
        for path in late {
            self.inner.delete(&path).await?;
        }
        Ok(())
    }

    /// Deletes `path` late, if that was not done since.
    async fn delete_late(&self, path: DriverPath) -> Result<()> {
        let position = self.lock().late.iter().position(|late| *late == path);
        if let Some(position) = position {
            self.lock().late.swap_remove(position);
            self.delete(&path).await?;
        }
        Ok(())
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        {
            let mut state = self.lock();
            state.deletions += 1;
            if let Some(Entry::RevisionLink(name, digest)) = Entry::parse(path) {
                state.acknowledged.remove(&(name, digest));
            }
        }
        self.inner.delete(path).await
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
    machine: Machine,
    /// Whether a collector sees no other.
    is_blind: bool,
    memory: Mutex<Memory>,
}

/// What an actor remembers who should not.
#[derive(Default)]
struct Memory {
    links: HashMap<DriverPath, Bytes>,
    files: HashMap<DriverPath, FileInfo>,
    walked: HashMap<DriverPath, Vec<FileInfo>>,
    /// The run of a collector.
    own: Option<RunId>,
}

impl fmt::Debug for Eyes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Eyes({})", self.actor)
    }
}

impl Eyes {
    /// Does an operation in its turn. The process may be stopped before, the store may take its time, and nobody may hear of it.
    async fn act<T>(
        &self,
        operation: Operation,
        path: &DriverPath,
        doing: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let fate = self.machine.arrive().await;
        self.act_by(fate, operation, path, doing).await
    }

    async fn act_by<T>(
        &self,
        fate: Fate,
        operation: Operation,
        path: &DriverPath,
        doing: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        fate.until_done().await;
        let turn = self.turn(operation, path).await;
        let done = doing.await;
        drop(turn);
        self.answer(fate, operation, path, done).await
    }

    async fn answer<T>(
        &self,
        fate: Fate,
        operation: Operation,
        path: &DriverPath,
        done: Result<T>,
    ) -> Result<T> {
        fate.until_answered().await;
        if fate.is_answered {
            return done;
        }
        self.world.turns.note(format!("{}: not answered: {operation} {path}", self.actor));
        Err(self.unanswered(operation, path))
    }

    fn unanswered(&self, operation: Operation, path: &DriverPath) -> DriverError {
        DriverError::new(ErrorKind::Unavailable, "model", operation, path).with_source("no answer came")
    }

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

    /// The file that all collectors publish in, if they share one.
    fn shared(&self, path: &DriverPath) -> Option<DriverPath> {
        let is_shared = self.role == Role::Collector && self.breaks(Sabotage::RunsShareFiles);
        match Entry::parse(path) {
            Some(Entry::CollectionPending(..)) if is_shared => {
                Some(Entry::CollectionPending(self.world.shared, 0).path())
            }
            _ => None,
        }
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

impl Seen {
    async fn get(&self, path: &DriverPath) -> Result<Bytes> {
        let eyes = &self.0;
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

    async fn put(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        let eyes = &self.0;
        if let Some(shared) = eyes.shared(path) {
            eyes.world.inner.put_content(&shared, content, PutMode::Overwrite).await?;
            eyes.world.touch(&shared);
            return Ok(());
        }
        if eyes.forgets(path).await {
            return Ok(());
        }
        if eyes.role == Role::Collector {
            if let Some(Entry::CollectionNotice(run, 0)) = Entry::parse(path) {
                eyes.memory().own = Some(run);
                if eyes.breaks(Sabotage::CollectorIsNotNoticed) {
                    eyes.world.lock().late_notice = Some((eyes.actor, path.clone(), content));
                    return Ok(());
                }
            }
            if matches!(Entry::parse(path), Some(Entry::CollectionPending(..)))
                && eyes.breaks(Sabotage::CollectorDoesNotPublish)
            {
                return Ok(());
            }
        }
        eyes.world.inner.put_content(path, content, mode).await?;
        eyes.world.touch(path);
        Ok(())
    }

    async fn info(&self, path: &DriverPath) -> Result<FileInfo> {
        if self.0.role == Role::Collector && matches!(Entry::parse(path), Some(Entry::CollectionNotice(..))) {
            let is_late = self.0.world.lock().late_notice.as_ref().is_some_and(|(_, late, _)| late == path);
            let ignored = self.0.breaks(Sabotage::CollectorDoesNotNoticeItsSilence);
            if is_late || ignored {
                return Ok(FileInfo { path: path.clone(), size_bytes: 0, modified: self.0.world.epoch });
            }
        }
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

    /// A deletion, which the store may carry out long after the actor has stopped waiting for it.
    async fn delete_by_and_by(&self, path: &DriverPath, until: Deadline) -> Result<()> {
        let eyes = &self.0;
        let fate = eyes.machine.arrive_at_deletion().await;
        if until.has_passed() && !eyes.breaks(Sabotage::DeletionsIgnoreTheDeadline) {
            return Err(DriverError::new(ErrorKind::TooLate, "model", Operation::DeleteAll, path));
        }
        let Some(delay) = eyes.machine.lateness() else {
            return eyes.act_by(fate, Operation::Delete, path, eyes.world.delete(path)).await;
        };
        eyes.world.turns.note(format!("{}: late by {delay:?}: delete {path}", eyes.actor));
        eyes.world.lock().late.push(path.clone());
        let (later, late) = (eyes.clone(), path.clone());
        tokio::task::spawn_local(async move {
            tokio::time::sleep(delay).await;
            if let Some(_turn) = later.turn(Operation::Delete, &late).await {
                // It is in memory: it does not fail.
                let _ = later.world.delete_late(late).await;
            }
        });
        if eyes.breaks(Sabotage::DeletionsUnderWayAreDone) {
            return Ok(());
        }
        tokio::time::sleep(PATIENCE).await;
        Err(eyes.unanswered(Operation::Delete, path))
    }

    /// A listing, all of it at one moment.
    fn listed(
        &self,
        path: &DriverPath,
        list: BoxStream<'static, Result<DirEntry>>,
    ) -> BoxStream<'static, Result<DirEntry>> {
        let (eyes, path) = (self.0.clone(), path.clone());
        let listing = async move {
            let entries = eyes.act(Operation::List, &path, list.try_collect::<Vec<_>>()).await?;
            Ok(stream::iter(entries.into_iter().map(Ok)))
        };
        stream::once(listing).try_flatten().boxed()
    }

    /// What an actor sees of the files of collections: all of them at one moment.
    async fn signs(&self, path: &DriverPath) -> Result<Vec<FileInfo>> {
        let eyes = &self.0;
        let late = eyes.world.lock().late_notice.take_if(|(actor, ..)| *actor == eyes.actor);
        if let Some((_, path, notice)) = late {
            eyes.world.inner.put_content(&path, notice, PutMode::Create).await?;
            eyes.world.touch(&path);
        }
        let files = eyes.world.inner.walk(path, None).map_ok(|info| eyes.aged(info));
        let files: Vec<_> = files.try_collect().await?;
        let run = |path: &DriverPath| match Entry::parse(path) {
            Some(Entry::CollectionNotice(run, _) | Entry::CollectionPending(run, _)) => Some(run),
            _ => None,
        };
        let now = eyes.world.now();
        let is_dead = |info: &FileInfo| {
            let of_run = files.iter().filter(|other| run(&other.path) == run(&info.path));
            of_run.map(|file| file.modified).max().is_some_and(|newest| newest + gc::LEASE < now)
        };
        let sees = |info: &FileInfo| match eyes.role {
            Role::Client if eyes.breaks(Sabotage::ClientsDoNotLook) => false,
            Role::Client if eyes.breaks(Sabotage::ClientsForgetDeadRuns) => !is_dead(info),
            // Some see no other collector, and must do no harm all the same.
            Role::Collector if run(&info.path) == Some(eyes.world.shared) => false,
            Role::Collector if eyes.is_blind => {
                let own = eyes.memory().own;
                own.is_some_and(|own| run(&info.path).is_none_or(|run| run == own))
            }
            Role::Client | Role::Collector => true,
        };
        Ok(files.iter().filter(|info| sees(info)).cloned().collect())
    }
}

/// How long a driver waits for the answer to a deletion.
const PATIENCE: Duration = Duration::from_secs(20);

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
        self.0.act(Operation::GetContent, path, self.get(path)).await
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        self.0.act(Operation::PutContent, path, self.put(path, content, mode)).await
    }

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader> {
        self.0.act(Operation::Reader, path, self.0.world.inner.reader(path, range)).await
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        let inner = self.0.act(Operation::Writer, path, self.0.world.inner.writer(path, mode)).await?;
        Ok(Box::new(SeenWriter { inner, eyes: self.0.clone() }))
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        self.0.act(Operation::Stat, path, self.info(path)).await
    }

    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>> {
        self.listed(path, self.0.world.inner.list(path, after))
    }

    fn list_holding(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        holding: &str,
    ) -> BoxStream<'static, Result<DirEntry>> {
        self.listed(path, self.0.world.inner.list_holding(path, after, holding))
    }

    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        let eyes = self.0.clone();
        let remembers = eyes.role == Role::Collector && eyes.breaks(Sabotage::CollectorDoesNotLookAgain);
        let old = remembers.then(|| eyes.memory().walked.get(path).cloned()).flatten();
        if let Some(old) = old {
            return stream::iter(old.into_iter().map(Ok)).boxed();
        }
        let is_removal = path.as_str().ends_with("/_sampan/removals");
        if is_removal && eyes.role == Role::Client && eyes.breaks(Sabotage::ClientsDoNotSeeRemovals) {
            return stream::empty().boxed();
        }
        if *path == layout::collection_root() {
            let (driver, path) = (self.clone(), path.clone());
            let listing = async move {
                let signs = driver.0.act(Operation::Walk, &path, driver.signs(&path)).await?;
                Ok(stream::iter(signs.into_iter().map(Ok)))
            };
            return stream::once(listing).try_flatten().boxed();
        }
        let root = path.clone();
        // Each file is asked for by itself, after the one before it: what is written meanwhile may be missed or not.
        let next = move |(eyes, after): (Arc<Eyes>, Option<DriverPath>)| {
            let root = root.clone();
            async move {
                let at = after.as_ref().unwrap_or(&root);
                let next = async { eyes.world.inner.walk(&root, after.as_ref()).try_next().await };
                let Some(info) = eyes.act(Operation::Walk, at, next).await? else { return Ok(None) };
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
        let rename = async {
            self.0.world.inner.rename(from, to).await?;
            self.0.world.touch(to);
            Ok(())
        };
        self.0.act(Operation::Rename, from, rename).await
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        let shared = self.0.shared(path);
        self.delete_by_and_by(shared.as_ref().unwrap_or(path), Deadline::NONE).await
    }

    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        self.0.world.lock().deletions += 1;
        let fate = self.0.machine.arrive_at_deletion().await;
        self.0.act_by(fate, Operation::DeleteTree, path, self.0.world.inner.delete_tree(path)).await
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        let driver = self.clone();
        let delete = move |path: DriverPath| {
            let (driver, until) = (driver.clone(), until.clone());
            async move {
                let result = driver.delete_by_and_by(&path, until).await;
                (path, result)
            }
        };
        paths.then(delete).boxed()
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

    fn note(&self) -> Option<Bytes> {
        self.inner.note()
    }

    async fn close(self: Box<Self>, note: Bytes) -> Result<u64> {
        self.eyes.act(Operation::Close, &DriverPath::root(), self.inner.close(note)).await
    }

    async fn commit(self: Box<Self>, to: &DriverPath) -> Result<()> {
        let Self { inner, eyes } = *self;
        let commit = async {
            inner.commit(to).await?;
            eyes.world.touch(to);
            Ok(())
        };
        eyes.act(Operation::Commit, to, commit).await
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        self.eyes.act(Operation::Cancel, &DriverPath::root(), self.inner.cancel()).await
    }

    async fn revert(self: Box<Self>) -> Result<()> {
        self.eyes.act(Operation::Revert, &DriverPath::root(), self.inner.revert()).await
    }
}
