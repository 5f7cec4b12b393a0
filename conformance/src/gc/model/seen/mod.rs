//! `ObservedDriver`: the store as one actor sees it in its turns, with that actor's faults and lies.

mod driver;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use parking_lot::{Mutex, MutexGuard};
use sampan_driver::{
    Deadline, DirEntry, DriverError, DriverPath, ErrorKind, FileInfo, Operation, PutMode, Result,
    StorageDriver,
};
use sampan_engine::RunId;
use sampan_engine::gc;
use sampan_engine::layout::Entry;

use super::machine::{Fate, Machine};
use super::sabotage::Sabotage;
use super::turns::OperationTurn;
use super::world::World;

/// The side of the protocol on which an actor is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    Client,
    Collector,
}

#[derive(Clone, Debug)]
pub(super) struct ObservedDriver(pub(super) Arc<Observer>);

pub(super) struct Observer {
    world: Arc<World>,
    actor: usize,
    role: Role,
    machine: Machine,
    /// Whether this collector sees no other collector.
    is_blind: bool,
    memory: Mutex<Memory>,
}

/// State that an actor remembers although it should not.
#[derive(Default)]
struct Memory {
    links: HashMap<DriverPath, Bytes>,
    files: HashMap<DriverPath, FileInfo>,
    walked: HashMap<DriverPath, Vec<FileInfo>>,
    /// A collector's own run.
    own: Option<RunId>,
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Eyes({})", self.actor)
    }
}

impl Observer {
    pub(super) fn new(world: Arc<World>, actor: usize, role: Role, machine: Machine, is_blind: bool) -> Self {
        Self { world, actor, role, machine, is_blind, memory: Mutex::default() }
    }

    /// Does an operation in its turn. The process may stop before, the store may take its time, and the answer may be lost.
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

    async fn turn(&self, operation: Operation, path: &DriverPath) -> Option<OperationTurn> {
        let what = || {
            let text = path.as_str().trim_start_matches("/docker/registry/").to_owned();
            format!("{operation} {text} at {:?}", self.world.begun.elapsed())
        };
        self.world.turns.wait(self.actor, what).await
    }

    fn breaks(&self, sabotage: Sabotage) -> bool {
        self.world.breaks(sabotage)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock()
    }

    /// The ages of files as this actor sees them.
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

    /// The file in which all collectors publish, if they share one.
    fn shared(&self, path: &DriverPath) -> Option<DriverPath> {
        let is_shared = self.role == Role::Collector && self.breaks(Sabotage::RunsShareFiles);
        match Entry::parse(path) {
            Some(Entry::CollectionPending(..)) if is_shared => {
                Some(Entry::CollectionPending(self.world.shared, 0).path())
            }
            _ => None,
        }
    }

    /// Whether the actor skips this write, because it renews a file that exists.
    async fn forgets(&self, path: &DriverPath) -> bool {
        let token = matches!(Entry::parse(path), Some(Entry::LayerLink(..) | Entry::Blob(_)));
        self.role == Role::Client
            && token
            && self.breaks(Sabotage::ClientsDoNotRenew)
            && self.world.inner.stat(path).await.is_ok()
    }
}

impl ObservedDriver {
    pub(super) fn new(eyes: Observer) -> Self {
        Self(Arc::new(eyes))
    }

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
                return Ok(FileInfo { path: path.clone(), size_bytes: 0, modified: self.0.world.epoch() });
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

    /// A deletion. The store may carry it out long after the actor has stopped waiting for it.
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
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            if let Some(_turn) = later.turn(Operation::Delete, &late).await {
                // The store is in memory, so the deletion does not fail.
                let _ = later.world.delete_late(late).await;
            }
        });
        if eyes.breaks(Sabotage::DeletionsUnderWayAreDone) {
            return Ok(());
        }
        tokio::time::sleep(ANSWER_TIMEOUT).await;
        Err(eyes.unanswered(Operation::Delete, path))
    }

    /// A listing, read at one moment.
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

    /// The collector files that an actor sees, read at one moment.
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
            of_run.map(|file| file.modified).max().is_some_and(|newest| newest + gc::LOCK_TIMEOUT < now)
        };
        let sees = |info: &FileInfo| match eyes.role {
            Role::Client if eyes.breaks(Sabotage::ClientsDoNotLook) => false,
            Role::Client if eyes.breaks(Sabotage::ClientsForgetDeadRuns) => !is_dead(info),
            // Some collectors see no other collector, and must still do no harm.
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
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
