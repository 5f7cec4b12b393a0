//! `Changes`: the thread that changes the store.
//!
//! A durable commit waits for the disk, and there is one at a time. So the thread takes all changes that wait into the same
//! transaction: eight clients that write at once wait for two commits, not for eight.

use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use redb::{Database, Durability};
use sampan_driver::ErrorKind;
use tokio::sync::oneshot;

use super::tables::{TableResult, Tables};

/// A change to the tables. It checks first and writes then, since the transaction keeps what a refused change has written.
type Change = Box<dyn FnOnce(&mut Tables<'_>) -> TableResult<()> + Send>;

/// Why a change was not made.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The change itself said so.
    Refused(ErrorKind),
    /// The transaction failed with all its changes.
    Broken(Arc<redb::Error>),
    /// The thread has ended.
    Ended,
}

/// The queue of the thread. Dropping it lets the thread finish the queue and close the database.
#[derive(Debug)]
pub(super) struct Changes {
    /// `None` when it is being dropped.
    queue: Option<mpsc::Sender<QueuedChange>>,
    thread: Option<JoinHandle<()>>,
}

/// A change that waits.
struct QueuedChange {
    change: Change,
    is_durable: bool,
    done: oneshot::Sender<Result<(), Failure>>,
}

/// The most changes of one transaction.
const MAX_CHANGES: usize = 256;

impl Changes {
    pub(super) fn new(database: Arc<Database>) -> std::io::Result<Self> {
        let (queue, turns) = mpsc::channel();
        let run = move || {
            while let Ok(first) = turns.recv() {
                let batch: Vec<QueuedChange> =
                    std::iter::once(first).chain(turns.try_iter().take(MAX_CHANGES - 1)).collect();
                commit(&database, batch);
            }
        };
        let thread = thread::Builder::new().name("redb".into()).spawn(run)?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Queues a change. A change that is not durable becomes so with the next one that is.
    pub(super) fn begin(
        &self,
        is_durable: bool,
        change: impl FnOnce(&mut Tables<'_>) -> TableResult<()> + Send + 'static,
    ) -> oneshot::Receiver<Result<(), Failure>> {
        let (done, outcome) = oneshot::channel();
        let turn = QueuedChange { change: Box::new(change), is_durable, done };
        if let Some(queue) = &self.queue {
            // Without a thread, the receiver finds that the sender is gone.
            let _ = queue.send(turn);
        }
        outcome
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn commit(database: &Database, batch: Vec<QueuedChange>) {
    let is_durable = batch.iter().any(|turn| turn.is_durable);
    let (changes, senders): (Vec<_>, Vec<_>) = batch.into_iter().map(|turn| (turn.change, turn.done)).unzip();
    let results = match transact(database, changes, is_durable) {
        Ok(results) => results.into_iter().map(|result| result.map_err(Failure::Refused)).collect(),
        Err(error) => vec![Err(Failure::Broken(Arc::new(error))); senders.len()],
    };
    for (sender, result) in senders.into_iter().zip(results) {
        let _ = sender.send(result); // Its client may have left.
    }
}

fn transact(
    database: &Database,
    changes: Vec<Change>,
    is_durable: bool,
) -> Result<Vec<Result<(), ErrorKind>>, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(if is_durable { Durability::Immediate } else { Durability::None })?;
    let results = {
        let mut tables = Tables::open(&transaction)?;
        changes.into_iter().map(|change| change(&mut tables)).collect::<Result<_, _>>()?
    };
    transaction.commit()?;
    Ok(results)
}
