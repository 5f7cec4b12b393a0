//! `FairSlots`: a bounded number of places, which requests that wait get in turn by client.
//!
//! Clients take turns; the requests of one client are served in their order. So a client that asks for a thousand blobs delays
//! another one by one request for each place.
//!
//! Invariants:
//!
//! - no place is free while a request waits;
//! - a request that leaves, also just after it was given a place, costs neither a place nor its client's turn;
//! - the memory of a request that left is free at once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::client::Client;
use crate::ticket::Ticket;

/// A bounded number of places. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct FairSlots(Arc<Mutex<State>>);

/// A place; dropping it gives it to the request whose turn it is.
#[derive(Debug)]
pub(crate) struct Slot(FairSlots);

/// A plain mutex guards it: held to change it, never across an await.
///
/// It has some hundred bytes for each request that waits and for each of its 64 clients at most. The callers bound the requests:
/// those of `Queue`, and transfers, which end when no client is connected that wants them, but for a few (`FillOptions`).
#[derive(Debug, Default)]
struct State {
    free: usize,
    /// The clients of the requests that wait, in the order of their turns.
    turns: VecDeque<Client>,
    /// The requests of each, the first first; none is empty.
    queues: HashMap<Client, VecDeque<Id>>,
    waiting: HashMap<Id, Waiting>,
    last_id: Id,
}

/// A request that waits, unlike any before.
type Id = u64;

#[derive(Debug)]
struct Waiting {
    /// Takes the client whose turn it was.
    grant: oneshot::Sender<Client>,
    /// Those that want it.
    clients: Vec<Client>,
}

impl FairSlots {
    /// Creates `count` places, all free.
    pub(crate) fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: count, ..State::default() })))
    }

    /// Waits for a place, in the turn of any of the ticket's clients.
    pub(crate) async fn take(&self, ticket: &Ticket) -> Slot {
        let request = ticket.enter(self, |clients| self.0.lock().enter(clients));
        if let Some((id, granted)) = request {
            Wait { places: self, ticket, id, granted, is_over: false }.end().await;
        }
        Slot(self.clone())
    }

    /// Lets a request that waits have a turn of another client as well.
    pub(crate) fn add(&self, id: Id, client: Client) {
        self.0.lock().add(id, client);
    }

    /// How many requests wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.lock().waiting.len()
    }

    /// Whether they are the same places.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How many are free.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.0.lock().free
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.free += 1;
        state.serve();
    }
}

impl State {
    /// Takes a free place, which is `None`, or queues a request.
    fn enter(&mut self, clients: &[Client]) -> Option<(Id, oneshot::Receiver<Client>)> {
        if self.free > 0 {
            self.free -= 1;
            return None;
        }
        self.last_id += 1;
        let (grant, granted) = oneshot::channel();
        self.waiting.insert(self.last_id, Waiting { grant, clients: Vec::new() });
        for client in clients {
            self.add(self.last_id, *client);
        }
        Some((self.last_id, granted))
    }

    fn add(&mut self, id: Id, client: Client) {
        let Some(waiting) = self.waiting.get_mut(&id).filter(|waiting| !waiting.clients.contains(&client))
        else {
            return;
        };
        waiting.clients.push(client);
        let queue = self.queues.entry(client).or_default();
        if queue.is_empty() {
            self.turns.push_back(client);
        }
        queue.push_back(id);
    }

    /// Gives free places to the requests whose turn it is.
    fn serve(&mut self) {
        while self.free > 0
            && let Some(client) = self.turns.pop_front()
        {
            let Some(first) = self.queues.get(&client).and_then(VecDeque::front).copied() else { continue };
            // Before the request goes: a client without others has no turn.
            self.turns.push_back(client);
            if let Some(waiting) = self.remove(first) {
                // It is received: a request that leaves removes itself before.
                self.free -= usize::from(waiting.grant.send(client).is_ok());
            }
        }
    }

    /// Takes a request out of the queues of its clients.
    fn remove(&mut self, id: Id) -> Option<Waiting> {
        let waiting = self.waiting.remove(&id)?;
        for client in &waiting.clients {
            let Some(queue) = self.queues.get_mut(client) else { continue };
            queue.retain(|other| *other != id);
            if queue.is_empty() {
                self.queues.remove(client);
                self.turns.retain(|other| other != client);
            }
        }
        Some(waiting)
    }

    /// Takes back what a request got that left, with the turn of its client.
    fn take_back(&mut self, client: Client) {
        if self.queues.contains_key(&client) {
            self.turns.retain(|other| *other != client);
            self.turns.push_front(client);
        }
        self.free += 1;
        self.serve();
    }
}

/// A request that waits; dropping it is leaving.
struct Wait<'a> {
    places: &'a FairSlots,
    ticket: &'a Ticket,
    id: Id,
    granted: oneshot::Receiver<Client>,
    is_over: bool,
}

impl Wait<'_> {
    async fn end(mut self) {
        // An error is that of a sender that was dropped, and `State` drops none before it has sent.
        let granted = (&mut self.granted).await;
        self.is_over = granted.is_ok();
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let mut state = self.places.0.lock();
            if state.remove(self.id).is_none()
                && let Ok(client) = self.granted.try_recv()
            {
                state.take_back(client);
            }
        }
        self.ticket.leave();
    }
}

#[cfg(test)]
#[path = "fair_slots_tests.rs"]
mod tests;
