//! `Queue`: the bound of the requests that run and wait, of which one client has at most half.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::client::Client;

/// The requests that run and wait. They outlive their clients, so they have a bound of their own.
#[derive(Debug, Default)]
pub(crate) struct Queue(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_client: HashMap<Client, usize>,
}

/// A request in the queue; dropping it leaves.
#[derive(Debug)]
pub(crate) struct Queued<'a> {
    queue: &'a Queue,
    client: Client,
}

/// The most requests: some kilobytes each.
pub(crate) const MAX_REQUESTS: usize = 1000;
/// The most of one client: others have room beside it.
pub(crate) const MAX_REQUESTS_OF_CLIENT: usize = MAX_REQUESTS / 2;

impl Queue {
    /// Enters, unless the queue or the client's part of it is full.
    pub(crate) fn enter(&self, client: Client) -> Option<Queued<'_>> {
        let mut counts = self.0.lock();
        let own = counts.by_client.get(&client).copied().unwrap_or_default();
        if counts.all >= MAX_REQUESTS || own >= MAX_REQUESTS_OF_CLIENT {
            return None;
        }
        counts.all += 1;
        counts.by_client.insert(client, own + 1);
        Some(Queued { queue: self, client })
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let mut counts = self.queue.0.lock();
        counts.all -= 1;
        if let Some(own) = counts.by_client.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                counts.by_client.remove(&self.client);
            }
        }
    }
}
