//! `Connections`: limits the number of connections and picks the one that yields to a new one.
//!
//! At the limit, resting and unused connections are closed: reopening one costs its client little, while a
//! client that cannot connect gets nothing. Only when all connections are working do new ones wait.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::activity::Activity;
use super::options::ServeOptions;
use super::peer::PeerAddress;

/// How often to check for a resting connection while new ones wait.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The pause after a search that found none.
const SEARCH_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// How many closing connections may exist beyond the limit.
const MAX_CLOSING: usize = 64;

/// The interval for logging a lasting condition.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// A server's connections, shared by its listeners.
#[derive(Debug)]
pub(super) struct Connections {
    options: ServeOptions,
    /// A blocking mutex: held for memory accesses, never across an await.
    table: Mutex<Table>,
    /// Notified when a connection has ended.
    gone: Notify,
}

#[derive(Debug, Default)]
struct Table {
    next_id: u64,
    open: HashMap<u64, Entry>,
    by_network: HashMap<IpAddr, OfNetwork>,
    resting: RestingConnections,
    /// Connections that are closing and no longer count.
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
    resting: RestingConnections,
}

/// Connections found resting, the longest first. One search serves many new connections.
#[derive(Debug, Default)]
struct RestingConnections {
    found: VecDeque<(u64, Instant)>,
    search_after: Option<Instant>,
}

/// A connection's place within the limit; dropping it frees the place.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    connections: Arc<Connections>,
    id: u64,
    entry: Entry,
}

/// The outcome for a new connection.
enum AcceptOutcome {
    Open(ConnectionSlot),
    /// The limit is reached; a connection is closing or must first come to rest.
    Full,
    /// Its network has reached its own limit, and all its connections are working.
    Refused,
}

impl Connections {
    pub(super) fn new(options: ServeOptions) -> Self {
        Self { options, table: Mutex::default(), gone: Notify::new() }
    }

    /// A place for a connection of `peer`; `None` when its network is at its limit with all connections working.
    /// While all connections are working this waits: the listener accepts no more, and clients queue in the kernel.
    pub(super) async fn admit(self: &Arc<Self>, peer: PeerAddress) -> Option<ConnectionSlot> {
        let network = peer.network().filter(|_| !self.is_exempt(peer));
        loop {
            let mut gone = pin!(self.gone.notified());
            gone.as_mut().enable();
            match self.enter(network) {
                AcceptOutcome::Open(place) => return Some(place),
                AcceptOutcome::Refused => return None,
                AcceptOutcome::Full => _ = timeout(CHECK_INTERVAL, gone).await,
            }
        }
    }

    /// The number of open connections.
    pub(super) fn open(&self) -> usize {
        let table = self.table();
        table.open.len() + table.leaving
    }

    fn is_exempt(&self, peer: PeerAddress) -> bool {
        self.options.max_connections_per_network == 0 || self.options.trusts(peer)
    }

    fn enter(self: &Arc<Self>, network: Option<IpAddr>) -> AcceptOutcome {
        let mut table = self.table();
        let most = self.options.max_connections_per_network;
        while let Some(network) = network.filter(|network| table.of_network(network) >= most) {
            if table.make_room(Some(network)) {
                continue;
            }
            if table.leaving >= MAX_CLOSING {
                return AcceptOutcome::Full;
            }
            if table.network_log.is_due() {
                tracing::warn!(
                    %network,
                    "{network} has {most} working connections, new ones are refused: raise \
                     http.limits.connectionsperaddress if they are legitimate, or add their proxy to \
                     http.trustedproxies"
                );
            }
            return AcceptOutcome::Refused;
        }
        let max = self.options.max_connections.max(1);
        if table.open.len() >= max && table.full_log.is_due() {
            tracing::warn!(
                max,
                "connection limit ({max}) reached, closing resting connections for new ones: raise \
                 http.limits.maxconnections if the load is legitimate"
            );
        }
        while table.open.len() >= max {
            if !table.make_room(None) {
                return AcceptOutcome::Full;
            }
        }
        AcceptOutcome::Open(self.place(&mut table, network))
    }

    fn place(self: &Arc<Self>, table: &mut Table, network: Option<IpAddr>) -> ConnectionSlot {
        let entry = Entry {
            network,
            activity: Activity::new(self.options.min_body_speed),
            leave: Arc::new(Notify::new()),
        };
        let id = table.next_id;
        table.next_id += 1;
        table.insert(id, entry.clone());
        ConnectionSlot { connections: Arc::clone(self), id, entry }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }
}

impl Table {
    /// Asks the connection that has rested for longest, in this network or in all, to leave. Returns whether
    /// one exists.
    fn make_room(&mut self, network: Option<IpAddr>) -> bool {
        if self.leaving >= MAX_CLOSING {
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

    /// The list of resting connections.
    fn resting(&mut self, network: Option<IpAddr>) -> &mut RestingConnections {
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

impl RestingConnections {
    fn may_search(&self) -> bool {
        self.search_after.is_none_or(|after| Instant::now() >= after)
    }
}

impl ConnectionSlot {
    /// The connection's activity.
    pub(super) fn activity(&self) -> &Activity {
        &self.entry.activity
    }

    /// Waits until another connection needs the place. The caller then closes its connection or [keeps
    /// it](Self::stay).
    pub(super) async fn needed(&self) {
        self.entry.leave.notified().await;
    }

    /// Keeps the connection because it has started to work since it was chosen. The limit may be exceeded by
    /// one until the next connection arrives.
    pub(super) fn stay(&self) {
        let mut table = self.connections.table();
        if !table.open.contains_key(&self.id) {
            table.insert(self.id, self.entry.clone());
            table.leaving -= 1;
        }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut table = self.connections.table();
        if table.remove(self.id).is_none() {
            table.leaving -= 1;
        }
        drop(table);
        self.connections.gone.notify_waiters();
    }
}

/// Rate-limits a recurring log line.
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
