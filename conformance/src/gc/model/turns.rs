//! `Turns`: who is next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::world::World;
use crate::Failed;

/// A place where operations wait for their turn. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug)]
struct State {
    /// By actor, in the order of their coming.
    waiting: BTreeMap<usize, Vec<(String, oneshot::Sender<Turn>)>>,
    /// How many operations are under way, whose turn it was: one, or those that a kill has left behind.
    under_way: usize,
    done: bool,
    trace: Vec<String>,
}

/// Somebody's turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Arc<Shared>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
        self.0.arrived.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the dealer waits for an operation that has its turn. Time goes on when nobody does anything, and only then.
const STUCK: Duration = Duration::from_millis(100);

/// How much of what came before is told of a failure.
const TRACED: usize = 400;

impl Turns {
    pub(super) fn new() -> Self {
        let state = State { waiting: BTreeMap::new(), under_way: 0, done: false, trace: Vec::new() };
        Self(Arc::new(Shared { state: Mutex::new(state), arrived: Notify::new() }))
    }

    /// Waits for a turn, which lasts until it is dropped. Without a dealer any more, there is none to wait for.
    pub(super) async fn wait(&self, actor: usize, what: impl FnOnce() -> String) -> Option<Turn> {
        let (sender, receiver) = oneshot::channel();
        self.lock().waiting.entry(actor).or_default().push((what(), sender));
        self.0.arrived.notify_one();
        receiver.await.ok()
    }

    /// Deals turns until it is over; looks at the store whenever something was deleted.
    pub(super) async fn deal(&self, rng: &mut StdRng, world: &World, slowest_ms: u64) -> Result<(), Failed> {
        let mut deletions = 0;
        loop {
            // Whoever was woken by the last turn comes to his next operation, or to sleep.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            // One of many operations of an actor may have its turn while he waits for another of them: he has that one, too.
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
                    let _ = sender.send(Turn(self.0.clone()));
                }
                // All are asleep: time goes on until somebody wakes.
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

    fn draw(&self, rng: &mut StdRng) -> Option<oneshot::Sender<Turn>> {
        let mut state = self.lock();
        // Who was dropped does not come any more.
        for waiting in state.waiting.values_mut() {
            waiting.retain(|(_, sender)| !sender.is_closed());
        }
        state.waiting.retain(|_, waiting| !waiting.is_empty());
        if state.waiting.is_empty() {
            return None;
        }
        // By actor, so that one who does many things at a time does not keep the others waiting.
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
