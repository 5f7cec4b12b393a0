//! `Turns`: the order of operations.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rand::Rng;
use rand::rngs::StdRng;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::world::World;
use crate::Failed;

/// A queue in which operations wait for their turn. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug)]
struct State {
    /// Waiting operations by actor, in order of arrival.
    waiting: BTreeMap<usize, Vec<(String, oneshot::Sender<OperationTurn>)>>,
    /// How many operations with a turn are under way: one, or more if a kill has left some behind.
    under_way: usize,
    done: bool,
    trace: Vec<String>,
}

/// The turn of one operation, until dropped.
#[derive(Debug)]
pub(super) struct OperationTurn(Arc<Shared>);

impl Drop for OperationTurn {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
        self.0.arrived.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// How long the dealer waits for an operation that has its turn. Time advances only while every actor sleeps.
const STUCK: Duration = Duration::from_millis(100);

/// How many preceding operations the message of a failure contains.
const TRACED: usize = 400;

impl Turns {
    pub(super) fn new() -> Self {
        let state = State { waiting: BTreeMap::new(), under_way: 0, done: false, trace: Vec::new() };
        Self(Arc::new(Shared { state: Mutex::new(state), arrived: Notify::new() }))
    }

    /// Waits for a turn, which lasts until it is dropped. Without a dealer, does not wait.
    pub(super) async fn wait(&self, actor: usize, what: impl FnOnce() -> String) -> Option<OperationTurn> {
        let (sender, receiver) = oneshot::channel();
        self.lock().waiting.entry(actor).or_default().push((what(), sender));
        self.0.arrived.notify_one();
        receiver.await.ok()
    }

    /// Deals turns until the play is over; checks the store after every deletion.
    pub(super) async fn deal(&self, rng: &mut StdRng, world: &World, slowest_ms: u64) -> Result<(), Failed> {
        let mut deletions = 0;
        loop {
            // An actor that the last turn woke arrives at its next operation, or goes to sleep.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            // An operation may wait for another operation of the same actor. Then that one gets a turn, too.
            while self.lock().under_way > 0 {
                if timeout(STUCK, self.0.arrived.notified()).await.is_err() {
                    break;
                }
            }
            if world.deletions() != deletions {
                deletions = world.deletions();
                world.check().await?;
            }
            if self.lock().done {
                return Ok(());
            }
            let next = self.draw(rng);
            match next {
                Some(sender) => {
                    if rng.random_bool(0.1) {
                        tokio::time::advance(Duration::from_millis(rng.random_range(0..slowest_ms))).await;
                    }
                    self.lock().under_way += 1;
                    let _ = sender.send(OperationTurn(self.0.clone()));
                }
                // All actors sleep: time advances until one wakes.
                None => self.0.arrived.notified().await,
            }
        }
    }

    pub(super) fn end(&self) {
        self.lock().done = true;
        self.0.arrived.notify_one();
    }

    pub(super) fn note(&self, what: String) {
        let mut state = self.lock();
        if state.trace.len() >= TRACED {
            state.trace.remove(0);
        }
        state.trace.push(what);
    }

    pub(super) fn trace(&self) -> String {
        self.lock().trace.join("\n    ")
    }

    fn draw(&self, rng: &mut StdRng) -> Option<oneshot::Sender<OperationTurn>> {
        let mut state = self.lock();
        // A dropped operation does not arrive any more.
        for waiting in state.waiting.values_mut() {
            waiting.retain(|(_, sender)| !sender.is_closed());
        }
        state.waiting.retain(|_, waiting| !waiting.is_empty());
        if state.waiting.is_empty() {
            return None;
        }
        // The draw is by actor, so that one with many operations at once does not keep the others waiting.
        let nth = rng.random_range(0..state.waiting.len());
        let (actor, waiting) = state.waiting.iter_mut().nth(nth)?;
        let actor = *actor;
        let (what, sender) = waiting.remove(rng.random_range(0..waiting.len()));
        drop(state);
        self.note(format!("{actor}: {what}"));
        Some(sender)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}
