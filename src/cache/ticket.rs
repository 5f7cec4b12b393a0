//! `Ticket`: a request to an upstream, and the clients that want its answer.
//!
//! A client that joins a request of another one, which may be the last of a thousand, waits in its own turn.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use sampan_engine::oci::Digest;
use tokio::sync::oneshot;

use crate::client::Client;
use crate::fair_slots::FairSlots;

/// A request to an upstream, which waits for one place at a time.
#[derive(Debug)]
pub(crate) struct Ticket(Mutex<State>);

#[derive(Debug)]
struct State {
    first: Client,
    /// All clients that want the answer.
    clients: Vec<Client>,
    /// The queue in which the request waits, and its id there.
    waits: Option<(FairSlots, u64)>,
}

/// The most clients of one request that have turns of their own.
const MAX_CLIENTS: usize = 64;

impl Ticket {
    /// The ticket of a request for a client.
    pub(crate) fn new(client: Client) -> Self {
        Self(Mutex::new(State { first: client, clients: vec![client], waits: None }))
    }

    /// The client that asked first.
    pub(crate) fn client(&self) -> Client {
        self.0.lock().first
    }

    /// Another client wants the answer as well.
    pub(crate) fn add(&self, client: Client) {
        let mut state = self.0.lock();
        if state.clients.len() < MAX_CLIENTS && !state.clients.contains(&client) {
            state.clients.push(client);
            if let Some((places, id)) = &state.waits {
                places.add(*id, client);
            }
        }
    }

    /// Queues the request, unless a place is free.
    pub(crate) fn enter(
        &self,
        places: &FairSlots,
        enter: impl FnOnce(&[Client]) -> Option<(u64, oneshot::Receiver<Client>)>,
    ) -> Option<(u64, oneshot::Receiver<Client>)> {
        let mut state = self.0.lock();
        let entered = enter(&state.clients);
        state.waits = entered.as_ref().map(|(id, _)| (places.clone(), *id));
        entered
    }

    /// Ends the wait.
    pub(crate) fn leave(&self) {
        self.0.lock().waits = None;
    }
}

/// The tickets of the transfers that have not begun, by blob: as many as transfers wait, and as many again that are gone.
#[derive(Debug, Default)]
pub(crate) struct Tickets(Mutex<HashMap<Digest, Weak<Ticket>>>);

impl Tickets {
    /// The ticket of a blob's transfer, which the client joins, or a new one.
    pub(crate) fn join(&self, digest: &Digest, client: Client) -> Arc<Ticket> {
        let mut tickets = self.0.lock();
        if let Some(ticket) = tickets.get(digest).and_then(Weak::upgrade) {
            drop(tickets);
            ticket.add(client);
            return ticket;
        }
        // A transfer holds its ticket until it has begun: what is gone is removed when the map would grow.
        if tickets.len() == tickets.capacity() {
            tickets.retain(|_, ticket| ticket.strong_count() > 0);
        }
        let ticket = Arc::new(Ticket::new(client));
        tickets.insert(digest.clone(), Arc::downgrade(&ticket));
        ticket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_of_transfers_that_have_begun_take_no_memory() {
        let tickets = Tickets::default();
        let kept: Vec<_> = (0_u32..10)
            .map(|number| tickets.join(&Digest::sha256_of(number.to_string().as_bytes()), Client::Local))
            .collect();
        for number in 100_u32..10_000 {
            tickets.join(&Digest::sha256_of(number.to_string().as_bytes()), Client::Local);
        }
        assert!(tickets.0.lock().len() < 100);
        let again = tickets.join(&Digest::sha256_of(b"3"), Client::Background);
        assert!(Arc::ptr_eq(&again, &kept[3]));
        assert_eq!(again.0.lock().clients, [Client::Local, Client::Background]);
    }
}
