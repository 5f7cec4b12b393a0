//! `Connections`: how many there may be, and which one makes room for a new one.
//!
//! The bound is kept by closing, not by waiting: what rests between two requests, or has not asked for anything yet,
//! costs its client nothing to open again, while a client that cannot get in gets nothing at all. Only when every
//! connection is at work do new ones wait.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::activity::Activity;
use super::options::ServeOptions;
use super::peer::PeerAddress;

/// How often it is looked whether a connection has come to rest while new ones wait.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long after a search that found nothing there is not another one.
const SEARCH_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// How many closing connections there may be beyond the bound.
const MOST_LEAVING: usize = 64;

/// How often a condition that lasts is logged.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The connections of a server, shared by its listeners.
#[derive(Debug)]
pub(super) struct Connections {
    options: ServeOptions,
    /// A std mutex: held for a look into memory, never across an await.
    table: Mutex<Table>,
    /// Woken when a connection has gone.
    gone: Notify,
}

#[derive(Debug, Default)]
struct Table {
    next_id: u64,
    open: HashMap<u64, Entry>,
    by_network: HashMap<IpAddr, OfNetwork>,
    resting: Resting,
    /// Connections that were told to leave and are not counted any more.
    leaving: usize,
    full_log: Occasionally,
    network_log: Occasionally,
}

#[derive(Clone, Debug)]
struct Entry {
    network: Option<IpAddr>,
    activity: Activity,
    leave: Arc<Notify>,
}

#[derive(Debug, Default)]
struct OfNetwork {
    open: usize,
    resting: Resting,
}

/// Connections that rested when they were looked for, the longest first. Found once, they serve many newcomers.
#[derive(Debug, Default)]
struct Resting {
    found: VecDeque<(u64, Instant)>,
    search_after: Option<Instant>,
}

/// A connection's place among those that there may be; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    id: u64,
    entry: Entry,
}

/// What a newcomer meets.
enum Entrance {
    Open(Place),
    /// Room is made, or some must come first.
    Full,
    /// Its network has all connections that it may have, and all are at work.
    Refused,
}

impl Connections {
    pub(super) fn new(options: ServeOptions) -> Self {
        Self { options, table: Mutex::default(), gone: Notify::new() }
    }

    /// A place for a connection of `peer`; `None` when its address has too many that are at work. While every connection
    /// is at work this waits, its listener accepts nothing more, and clients queue in the kernel.
    pub(super) async fn admit(self: &Arc<Self>, peer: PeerAddress) -> Option<Place> {
        let network = peer.network().filter(|_| !self.is_exempt(peer));
        loop {
            let mut gone = pin!(self.gone.notified());
            gone.as_mut().enable();
            match self.enter(network) {
                Entrance::Open(place) => return Some(place),
                Entrance::Refused => return None,
                Entrance::Full => _ = timeout(LOOK_EVERY, gone).await,
            }
        }
    }

    /// How many there are.
    pub(super) fn open(&self) -> usize {
        let table = self.table();
        table.open.len() + table.leaving
    }

    fn is_exempt(&self, peer: PeerAddress) -> bool {
        self.options.max_connections_per_network == 0 || self.options.trusts(peer)
    }

    fn enter(self: &Arc<Self>, network: Option<IpAddr>) -> Entrance {
        let mut table = self.table();
        let most = self.options.max_connections_per_network;
        while let Some(network) = network.filter(|network| table.of_network(network) >= most) {
            if table.make_room(Some(network)) {
                continue;
            }
            if table.leaving >= MOST_LEAVING {
                return Entrance::Full;
            }
            if table.network_log.is_due() {
                tracing::warn!(
                    %network,
                    "{network} has {most} connections at work, further ones are refused: raise \
                     http.limits.connectionsperaddress if they are honest, or name the proxy that they come by in \
                     http.trustedproxies"
                );
            }
            return Entrance::Refused;
        }
        let max = self.options.max_connections.max(1);
        if table.open.len() >= max && table.full_log.is_due() {
            tracing::warn!(
                max,
                "all {max} connections are in use, and those that rest are closed for new ones: raise \
                 http.limits.maxconnections if they are honest"
            );
        }
        while table.open.len() >= max {
            if !table.make_room(None) {
                return Entrance::Full;
            }
        }
        Entrance::Open(self.place(&mut table, network))
    }

    fn place(self: &Arc<Self>, table: &mut Table, network: Option<IpAddr>) -> Place {
        let entry = Entry {
            network,
            activity: Activity::new(self.options.min_body_speed),
            leave: Arc::new(Notify::new()),
        };
        let id = table.next_id;
        table.next_id += 1;
        table.insert(id, entry.clone());
        Place { connections: Arc::clone(self), id, entry }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Tells the connection to leave that has rested for longest, of this network or of all; whether there was one.
    fn make_room(&mut self, network: Option<IpAddr>) -> bool {
        if self.leaving >= MOST_LEAVING {
            return false;
        }
        let mut resting = std::mem::take(self.resting(network));
        let mut has_searched = false;
        let victim = loop {
            match resting.found.pop_front() {
                Some((id, since)) if self.still_rests(id, since) => break Some(id),
                Some(_) => {}
                None if has_searched || !resting.may_search() => break None,
                None => {
                    resting.found = self.search(network);
                    has_searched = true;
                }
            }
        };
        if victim.is_none() && has_searched {
            resting.search_after = Some(Instant::now() + SEARCH_AGAIN_AFTER);
        }
        *self.resting(network) = resting;
        let Some(entry) = victim.and_then(|id| self.remove(id)) else { return false };
        self.leaving += 1;
        entry.leave.notify_one();
        true
    }

    fn of_network(&self, network: &IpAddr) -> usize {
        self.by_network.get(network).map_or(0, |of_network| of_network.open)
    }

    /// Where the resting ones are noted.
    fn resting(&mut self, network: Option<IpAddr>) -> &mut Resting {
        match network {
            Some(network) => &mut self.by_network.entry(network).or_default().resting,
            None => &mut self.resting,
        }
    }

    fn search(&self, network: Option<IpAddr>) -> VecDeque<(u64, Instant)> {
        let candidates = self.open.iter().filter(|(_, entry)| network.is_none() || entry.network == network);
        let mut found: Vec<_> =
            candidates.filter_map(|(id, entry)| Some((*id, entry.activity.resting_since()?))).collect();
        found.sort_unstable_by_key(|(id, since)| (*since, *id));
        found.into()
    }

    fn still_rests(&self, id: u64, since: Instant) -> bool {
        self.open.get(&id).is_some_and(|entry| entry.activity.resting_since() == Some(since))
    }

    fn insert(&mut self, id: u64, entry: Entry) {
        if let Some(network) = entry.network {
            self.by_network.entry(network).or_default().open += 1;
        }
        self.open.insert(id, entry);
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.open.remove(&id)?;
        if let Some(network) = entry.network
            && let Some(of_network) = self.by_network.get_mut(&network)
        {
            of_network.open -= 1;
            if of_network.open == 0 {
                self.by_network.remove(&network);
            }
        }
        Some(entry)
    }
}

impl Resting {
    fn may_search(&self) -> bool {
        self.search_after.is_none_or(|after| Instant::now() >= after)
    }
}

impl Place {
    /// What the connection is doing.
    pub(super) fn activity(&self) -> &Activity {
        &self.entry.activity
    }

    /// Waits until another connection needs the place. Then this one leaves, or [stays](Self::stay).
    pub(super) async fn needed(&self) {
        self.entry.leave.notified().await;
    }

    /// The connection has begun to work since it was chosen, and is one like all others again. There may be one too many
    /// then, until the next that comes.
    pub(super) fn stay(&self) {
        let mut table = self.connections.table();
        if !table.open.contains_key(&self.id) {
            table.insert(self.id, self.entry.clone());
            table.leaving -= 1;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.connections.table();
        if table.remove(self.id).is_none() {
            table.leaving -= 1;
        }
        drop(table);
        self.connections.gone.notify_waiters();
    }
}

/// Something that is said again only after a while.
#[derive(Debug, Default)]
pub(super) struct Occasionally {
    last: Option<Instant>,
}

impl Occasionally {
    pub(super) fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.last.is_none_or(|last| now - last >= LOG_EVERY);
        if is_due {
            self.last = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
