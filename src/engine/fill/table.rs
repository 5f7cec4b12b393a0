//! `Fills`: the running transfers of a process, by upstream and digest.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::{Mutex, MutexGuard};
use sampan_driver::BoxError;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::Admission;
use super::client::{Client, Fill, NO_TRANSFER};
use super::progress::Progress;
use super::statistics::Counters;
use super::transfer::Transfer;
use super::{FillError, FillSource, FillStatistics, UnstoredReason};
use crate::oci::{Digest, RepositoryName};
use crate::{BlobInfo, Repository};

/// How transfers behave.
#[derive(Clone, Debug)]
pub struct FillOptions {
    /// The directory of spool files; [`std::env::temp_dir`] if `None`.
    pub spool: Option<PathBuf>,
    /// The longest call of the store before the transfer continues without it.
    pub write_timeout: Duration,
    /// The most transfers without a client. Of more, the one with the fewest bytes is given up.
    pub max_orphans: usize,
    /// When the store takes nothing more.
    pub admission: Admission,
}

/// The running transfers of a process. Clones share them.
#[derive(Clone, Debug)]
pub struct Fills(Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) options: FillOptions,
    /// A plain mutex: held for look-ups, never across an await.
    table: Mutex<Table>,
    pub(super) counters: Counters,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// The upstream with its credential, and the blob.
pub(super) type Key = (Box<str>, Digest);

#[derive(Debug, Default)]
struct Table {
    running: HashMap<Key, Running>,
    /// Blobs of which the upstream sent other content, and when.
    refused: HashMap<Key, (Instant, FillError)>,
    last_id: u64,
}

/// A running transfer.
#[derive(Debug)]
struct Running {
    /// Distinguishes it from a later one of the same blob.
    id: u64,
    /// How many handles there are.
    clients: usize,
    progress: watch::Receiver<Progress>,
    received_bytes: Arc<AtomicU64>,
    /// Whether it waits for a connection.
    is_waiting: bool,
    stop: CancellationToken,
    /// The repositories that the blob is for.
    repositories: Vec<Repository>,
}

impl Default for FillOptions {
    fn default() -> Self {
        Self {
            spool: None,
            write_timeout: Duration::from_secs(30),
            max_orphans: 16,
            admission: Admission::default(),
        }
    }
}

impl Fills {
    /// No transfers yet.
    pub fn new(options: FillOptions) -> Self {
        Self(Arc::new(Inner {
            options,
            table: Mutex::default(),
            counters: Counters::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }))
    }

    /// Joins the running transfer of `digest` from `group`, or starts one with `open`, for `repository`.
    ///
    /// `group` names the upstream and its credential: clients of one group may share what it sends. `described_bytes` is the
    /// length in a stored manifest; the upstream's takes precedence. An upstream that sent other content than `digest` is not
    /// asked again for a minute.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn join(
        &self,
        group: &str,
        digest: &Digest,
        repository: &Repository,
        described_bytes: Option<u64>,
        open: impl FnOnce() -> BoxFuture<'static, Result<Box<dyn FillSource>, BoxError>> + Send + 'static,
    ) -> Fill {
        let key: Key = (group.into(), digest.clone());
        self.enter(self.0.table.lock(), key, repository, described_bytes, open)
    }

    /// As [`join`](Self::join) for a repository that was not shown to have the blob: `None` if a transfer is running, and not
    /// for this repository. `open` has to show it.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn join_own(
        &self,
        group: &str,
        digest: &Digest,
        repository: &Repository,
        open: impl FnOnce() -> BoxFuture<'static, Result<Box<dyn FillSource>, BoxError>> + Send + 'static,
    ) -> Option<Fill> {
        let key: Key = (group.into(), digest.clone());
        let table = self.0.table.lock();
        let running = table.running.get(&key).filter(|running| !running.stop.is_cancelled());
        match running.is_some_and(|running| !running.is_for(repository)) {
            true => None,
            false => Some(self.enter(table, key, repository, None, open)),
        }
    }

    fn enter(
        &self,
        mut table: MutexGuard<'_, Table>,
        key: Key,
        repository: &Repository,
        described_bytes: Option<u64>,
        open: impl FnOnce() -> BoxFuture<'static, Result<Box<dyn FillSource>, BoxError>> + Send + 'static,
    ) -> Fill {
        // A fill emits no events.
        let repository = repository.registry.repository(repository.name().clone());
        if let Some(error) = self.0.stopped().or_else(|| table.refusal(&key)) {
            let failed = Progress { failed: Some(error), ..Progress::default() };
            let client = Client::new(self.0.clone(), key, NO_TRANSFER);
            return Fill::new(client, watch::channel(failed).1, repository);
        }
        let running = table.running.get_mut(&key).filter(|running| !running.stop.is_cancelled());
        if let Some(running) = running {
            self.0.counters.joined();
            running.clients += 1;
            if !running.is_for(&repository) {
                running.repositories.push(repository.clone());
            }
            let client = Client::new(self.0.clone(), key, running.id);
            return Fill::new(client, running.progress.clone(), repository);
        }
        self.0.counters.started();
        table.last_id += 1;
        let id = table.last_id;
        let (sender, progress) = watch::channel(Progress::default());
        let transfer = Transfer {
            fills: self.0.clone(),
            key: key.clone(),
            id,
            repository: repository.clone(),
            described_bytes,
            progress: sender,
            received_bytes: Arc::default(),
            stop: self.0.stop.child_token(),
        };
        let running = Running {
            id,
            clients: 1,
            progress: progress.clone(),
            received_bytes: transfer.received_bytes.clone(),
            is_waiting: false,
            stop: transfer.stop.clone(),
            repositories: vec![repository.clone()],
        };
        table.running.insert(key.clone(), running);
        self.0.tasks.spawn(transfer.run(Box::new(open)));
        Fill::new(Client::new(self.0.clone(), key, id), progress, repository)
    }

    /// Whether the store may take so many bytes for the repository, or why it must not. What has no room is noted, and the next
    /// collection makes it.
    pub fn admit(&self, repository: &Repository, bytes: u64) -> Result<(), UnstoredReason> {
        self.0.options.admission.reserve(repository, bytes).map(drop)
    }

    /// Whether a transfer of `digest` from `group` is running.
    pub fn is_running(&self, group: &str, digest: &Digest) -> bool {
        self.0.table.lock().running.contains_key(&(group.into(), digest.clone()))
    }

    /// The number of running transfers.
    pub fn running(&self) -> usize {
        self.0.table.lock().running.len()
    }

    /// The counts so far.
    pub fn statistics(&self) -> FillStatistics {
        self.0.counters.read()
    }

    /// Notes that the transfer of `digest` from `group` waits for a connection, which one without a client gives up for it.
    pub fn begin_wait(&self, group: &str, digest: &Digest) {
        let key: Key = (group.into(), digest.clone());
        let mut table = self.0.table.lock();
        let Some(running) = table.running.get_mut(&key) else { return };
        running.is_waiting = true;
        if running.clients > 0 {
            table.make_way(group);
        }
    }

    /// Notes that the transfer of `digest` from `group` has a connection.
    pub fn end_wait(&self, group: &str, digest: &Digest) {
        let key: Key = (group.into(), digest.clone());
        if let Some(running) = self.0.table.lock().running.get_mut(&key) {
            running.is_waiting = false;
        }
    }

    /// Gives up a transfer from `group` without a client: something else waits for a connection.
    pub fn make_way(&self, group: &str) {
        self.0.table.lock().make_way(group);
    }

    /// Gives up all transfers, also those that begin later, and waits until their staged files are gone. A transfer whose
    /// digest is verified is finished instead.
    pub async fn finish(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

impl Inner {
    fn stopped(&self) -> Option<FillError> {
        self.stop.is_cancelled().then_some(FillError::Stopped)
    }

    /// Counts a handle less. Without any, gives up the transfer if another one waits for its connection, or if the store does not
    /// take it; or the one that has done least, if too many have no client.
    pub(super) fn leave(&self, key: &Key, id: u64) {
        let mut table = self.table.lock();
        let Some(running) = table.running.get_mut(key).filter(|running| running.id == id) else { return };
        running.clients -= 1;
        if running.clients > 0 {
            return;
        }
        let is_wanted = |(other, running): (&Key, &Running)| {
            other.0 == key.0 && running.is_waiting && running.clients > 0
        };
        let is_unstored = running.progress.borrow().unstored.is_some();
        if is_unstored || table.running.iter().any(is_wanted) {
            if let Some(running) = table.running.get(key) {
                running.stop.cancel();
            }
            return;
        }
        let orphans = || table.running.values().filter(|running| running.is_orphan());
        if orphans().count() > self.options.max_orphans
            && let Some(least) = orphans().min_by_key(|running| running.received())
        {
            least.stop.cancel();
        }
    }

    /// Removes a transfer: the next client starts again.
    pub(super) fn remove(&self, key: &Key, id: u64) {
        let mut table = self.table.lock();
        if table.running.get(key).is_some_and(|running| running.id == id) {
            table.running.remove(key);
        }
    }

    /// Removes a transfer of other content, and keeps clients from repeating it at once.
    pub(super) fn refuse(&self, key: &Key, id: u64, error: FillError) {
        self.remove(key, id);
        let mut table = self.table.lock();
        if table.refused.len() >= MAX_REFUSED {
            table.refused.retain(|_, (at, _)| at.elapsed() < REFUSAL_TTL);
        }
        if table.refused.len() < MAX_REFUSED {
            table.refused.insert(key.clone(), (Instant::now(), error));
        }
    }

    /// A repository that joined and is not in `done`; removes the transfer if there is none.
    pub(super) fn next_repository<T>(
        &self,
        key: &Key,
        id: u64,
        done: &HashMap<RepositoryName, Result<BlobInfo, T>>,
    ) -> Option<Repository> {
        let mut table = self.table.lock();
        let running = table.running.get(key).filter(|running| running.id == id)?;
        let next = running.repositories.iter().find(|repository| !done.contains_key(repository.name()));
        let next = next.cloned();
        if next.is_none() {
            table.running.remove(key);
        }
        next
    }
}

impl Running {
    /// Whether no client has a handle, and it continues.
    fn is_orphan(&self) -> bool {
        self.clients == 0 && !self.stop.is_cancelled()
    }

    fn received(&self) -> u64 {
        self.received_bytes.load(Ordering::Relaxed)
    }

    fn is_for(&self, repository: &Repository) -> bool {
        self.repositories.iter().any(|other| other.name() == repository.name())
    }
}

impl Table {
    /// Gives up the transfer from `group` without a client that has done least, and those that only wait.
    fn make_way(&self, group: &str) {
        let of_group = self.running.iter().filter(|((other, _), _)| **other == *group);
        let orphans = of_group.map(|(_, running)| running).filter(|running| running.is_orphan());
        let (waiting, begun): (Vec<_>, Vec<_>) = orphans.partition(|running| running.is_waiting);
        let least = begun.into_iter().min_by_key(|running| running.received());
        waiting.into_iter().chain(least).for_each(|running| running.stop.cancel());
    }

    fn refusal(&mut self, key: &Key) -> Option<FillError> {
        let (at, error) = self.refused.get(key)?;
        if at.elapsed() < REFUSAL_TTL {
            return Some(error.clone());
        }
        self.refused.remove(key);
        None
    }
}

/// How long a blob is not fetched again after the upstream sent other content.
const REFUSAL_TTL: Duration = Duration::from_secs(60);

/// The most blobs that are remembered for that: some hundred bytes each.
const MAX_REFUSED: usize = 1024;
