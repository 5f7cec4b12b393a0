//! `Upstream`: a registry that is cached: its client, its bounds, and whether it is away.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use sampan_client::http_client::HttpClientError;
use sampan_client::{
    ClientError, ClientOptions, Clock, Problem, RateLimit, RegistryClient, RepositoryClient, RetryPolicy,
    Timeouts,
};
use sampan_engine::oci::RepositoryName;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::breaker::Breaker;
use crate::complete_later::MAX_WAITING;
use crate::error::Verdict;
use crate::fair_slots::{FairSlots, Slot};
use crate::handling::Handling;
use crate::limits::Rate;
use crate::queue::Queue;
use crate::settings::UpstreamSettings;
use crate::statistics::{CacheRequestKind, UpstreamOutcome, UpstreamStatistics};
use crate::ticket::{Ticket, Tickets};
use crate::trials::Trials;

/// A registry that is cached.
#[derive(Debug)]
pub struct Upstream {
    pub(crate) settings: UpstreamSettings,
    /// The name, for keys.
    pub(crate) name: Arc<str>,
    registry: RegistryClient,
    breaker: Breaker,
    /// Transfers of blobs last long, so they have places of their own if there are at least two.
    transfers: FairSlots,
    requests: FairSlots,
    /// Lists have many pages, so they leave one place to other requests if there are at least two.
    lists: FairSlots,
    /// The transfers that have not begun.
    pub(crate) tickets: Tickets,
    queue: Queue,
    request_rate: Rate,
    /// One request at a time waits for the rate; the others queue for their turns.
    next_by_rate: FairSlots,
    pub(crate) byte_rate: Rate,
    /// Places for manifests whose blobs are fetched later, and the turn of the manifest whose blobs are fetched now.
    pub(crate) to_complete: Arc<Semaphore>,
    pub(crate) completing: tokio::sync::Mutex<()>,
    pub(crate) trials: Trials,
    /// When the log last had an error that the upstream answered: each request may have one.
    logged_at: Mutex<Option<Duration>>,
    statistics: UpstreamStatistics,
}

impl Upstream {
    pub(crate) fn new(settings: UpstreamSettings) -> Result<Self, HttpClientError> {
        // A client waits for the answer, and what is stored may do: a request is not repeated.
        let options = ClientOptions { retry: RetryPolicy::NONE, ..settings.client.clone() };
        let clock = options.clock.clone();
        let registry = RegistryClient::new(settings.address.clone(), options)?;
        let (transfers, requests, lists) = places(settings.connections);
        Ok(Self {
            name: settings.name.as_str().into(),
            registry,
            breaker: Breaker::default(),
            transfers,
            requests,
            lists,
            tickets: Tickets::default(),
            queue: Queue::default(),
            request_rate: Rate::new(u64::from(settings.requests_per_second), clock.clone()),
            next_by_rate: FairSlots::new(1),
            byte_rate: Rate::new(settings.bytes_per_second, clock),
            to_complete: Arc::new(Semaphore::new(MAX_WAITING)),
            completing: tokio::sync::Mutex::default(),
            trials: Trials::default(),
            logged_at: Mutex::default(),
            statistics: UpstreamStatistics::default(),
            settings,
        })
    }

    /// The name in the configuration.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Where its repositories are among ours; `None` if all of ours are its.
    pub fn prefix(&self) -> Option<&RepositoryName> {
        self.settings.prefix.as_ref()
    }

    /// Whether it counts as away.
    pub fn is_away(&self) -> bool {
        self.breaker.is_away()
    }

    /// Waits while it is left alone, since it counts as away; after that a request may find out whether it is back.
    pub async fn wait_while_left_alone(&self) {
        let wait = self.breaker.open_for(self.clock().elapsed());
        if !wait.is_zero() {
            self.clock().sleep(wait).await;
        }
    }

    /// The requests so far.
    pub fn statistics(&self) -> &UpstreamStatistics {
        &self.statistics
    }

    /// How many requests wait for a place among its connections, or for the next moment by its rate.
    pub fn waiting(&self) -> usize {
        let requests = if self.requests.is(&self.transfers) { 0 } else { self.requests.waiting() };
        self.transfers.waiting() + requests + self.lists.waiting() + self.next_by_rate.waiting()
    }

    /// How many pulls it still allows, as it said last; `None` if it never said.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.registry.rate_limit()
    }

    /// Whether less than a tenth of the pulls are left: then they are for what is not stored.
    pub(crate) fn is_low_on_pulls(&self) -> bool {
        self.rate_limit().is_some_and(|RateLimit { limit, remaining }| remaining < limit.div_ceil(10))
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.settings.client.clock
    }

    pub(crate) fn repository(&self, name: RepositoryName) -> RepositoryClient {
        self.registry.repository(name)
    }

    /// Its repositories; `None` if it has no list of them.
    pub(crate) async fn catalog(&self) -> Result<Option<Vec<RepositoryName>>, ClientError> {
        self.registry.repositories().await
    }

    /// A place for a transfer, in turn by client. Calls `waits` when none is free.
    pub(crate) async fn transfer(&self, ticket: &Ticket, waits: impl FnOnce()) -> Slot {
        let mut taken = pin!(self.transfers.take(ticket));
        if let Poll::Ready(place) = futures::poll!(taken.as_mut()) {
            return place;
        }
        waits();
        taken.await
    }

    /// Sends a request that ends with its answer, and returns what was found. It has a time for all of that: without an end,
    /// requests that wait for slow answers would have all places, whether or not their clients are still there.
    pub(crate) async fn ask<T>(
        &self,
        kind: CacheRequestKind,
        ticket: &Ticket,
        request: impl Future<Output = Result<Option<T>, ClientError>>,
    ) -> Result<T, Verdict> {
        // At once, although requests that wait for an upstream that is away have all places.
        if self.breaker.is_open(self.clock().elapsed()) {
            return Err(left_alone());
        }
        let Some(_queued) = self.queue.enter(ticket.client()) else {
            return Err(Verdict::Limited(QUEUE_WAIT, Handling::QUEUE_FULL));
        };
        let (deadline, request) = (self.deadline(kind), Box::pin(request));
        let waiting = async {
            let list =
                if kind == CacheRequestKind::List { Some(self.lists.take(ticket).await) } else { None };
            let place = self.requests.take(ticket).await;
            self.admit(ticket).await.map(|()| (list, place))
        };
        let Ok(places) = timeout_at(deadline, waiting).await else {
            return Err(too_slow(Handling::QUEUE_TIMEOUT));
        };
        let _places = places?;
        self.exchange(kind, deadline, request).await
    }

    /// Sends the first request of a transfer, whose place the caller has.
    pub(crate) async fn send<T>(
        &self,
        kind: CacheRequestKind,
        ticket: &Ticket,
        request: impl Future<Output = Result<Option<T>, ClientError>>,
    ) -> Result<T, Verdict> {
        let request = Box::pin(request);
        self.admit(ticket).await?;
        self.exchange(kind, self.deadline(kind), request).await
    }

    /// Until when a request that begins now has its answer. A silent upstream is found out earlier, by the client's own timeouts.
    fn deadline(&self, kind: CacheRequestKind) -> Instant {
        let Timeouts { answer, stall, .. } = self.settings.client.timeouts;
        let pages = if kind == CacheRequestKind::List { LIST_TIMES } else { 1 };
        Instant::now() + answer.saturating_add(stall).saturating_mul(pages).min(MAX_TIME)
    }

    /// Fails while the upstream is left alone; otherwise waits for its rate.
    async fn admit(&self, ticket: &Ticket) -> Result<(), Verdict> {
        self.breaker.admits(self.clock().elapsed()).map_err(|_| left_alone())?;
        if self.request_rate.is_bound() {
            let _turn = self.next_by_rate.take(ticket).await;
            self.request_rate.take(1).await;
        }
        Ok(())
    }

    async fn exchange<T>(
        &self,
        kind: CacheRequestKind,
        deadline: Instant,
        request: impl Future<Output = Result<Option<T>, ClientError>>,
    ) -> Result<T, Verdict> {
        let began = self.clock().elapsed();
        let answer = timeout_at(deadline, request).await;
        let now = self.clock().elapsed();
        let verdict = match answer {
            Ok(Ok(Some(found))) => {
                self.note_answer();
                self.statistics.note(kind, UpstreamOutcome::Found, now.saturating_sub(began));
                return Ok(found);
            }
            Ok(Ok(None)) => {
                self.note_answer();
                Verdict::Missing(Handling::answered(404))
            }
            // It says nothing of the upstream: the content may be what is slow.
            Err(_) => {
                if self.is_due_for_log(now) {
                    tracing::warn!(
                        upstream = self.name(),
                        "upstream {} does not finish an answer in time; serving stored content",
                        self.name()
                    );
                }
                too_slow(Handling::TIMEOUT)
            }
            Ok(Err(error)) => {
                let verdict = Verdict::of(&error);
                tracing::debug!(upstream = self.name(), %error, "a request to an upstream failed");
                let is_due = || self.is_due_for_log(now);
                if let Problem::Credentials(_) = error.problem() {
                    if is_due() {
                        tracing::warn!(
                            upstream = self.name(), %error,
                            "upstream {} is not asked, since its credentials cannot be read; serving stored content",
                            self.name()
                        );
                    }
                } else if !is_no_answer(&error) {
                    self.note_answer();
                    match &verdict {
                        Verdict::Refused(_) if is_due() => {
                            tracing::warn!(upstream = self.name(), %error, "upstream {} refuses its account", self.name());
                        }
                        verdict if verdict.is_passing() && is_due() => tracing::warn!(
                            upstream = self.name(), %error,
                            "upstream {} answers with an error; serving stored content", self.name()
                        ),
                        _ => {}
                    }
                } else if self.breaker.failed(now) {
                    tracing::warn!(
                        upstream = self.name(), %error,
                        "upstream {} counts as away; serving stored content", self.name()
                    );
                }
                verdict
            }
        };
        self.statistics.note(kind, UpstreamOutcome::of(&verdict), now.saturating_sub(began));
        Err(verdict)
    }

    /// Whether the log had no such error within a minute.
    fn is_due_for_log(&self, now: Duration) -> bool {
        let mut logged_at = self.logged_at.lock();
        let is_due = logged_at.is_none_or(|at| now.saturating_sub(at) >= LOG_INTERVAL);
        if is_due {
            *logged_at = Some(now);
        }
        is_due
    }

    fn note_answer(&self) {
        if self.breaker.answered() {
            tracing::info!(upstream = self.name(), "upstream {} answers again", self.name());
        }
    }
}

/// An upstream that fails has a line in the log once in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// The wait to suggest where the queue is full.
const QUEUE_WAIT: Duration = Duration::from_secs(5);

/// A list has this many times the time of one answer, for its pages.
const LIST_TIMES: u32 = 4;
/// The longest time for an answer, whatever the settings say.
const MAX_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The places for transfers and for other requests, together as many as connections, and of the latter those for lists.
fn places(connections: usize) -> (FairSlots, FairSlots, FairSlots) {
    if connections < 2 {
        let only = FairSlots::new(1);
        return (only.clone(), only, FairSlots::new(1));
    }
    let for_requests = (connections / 4).max(1);
    let for_lists = (for_requests - 1).max(1);
    (FairSlots::new(connections - for_requests), FairSlots::new(for_requests), FairSlots::new(for_lists))
}

/// Whether the upstream gave no answer. An upstream that answers is not away: an error may be about one repository, as may an
/// answer that breaks off or that leads to a server that is not there.
fn is_no_answer(error: &ClientError) -> bool {
    let is_of_connection = matches!(
        error.problem(),
        Problem::Connect(_)
            | Problem::Certificate(_)
            | Problem::ClientCertificate(_)
            | Problem::Timeout(_)
            | Problem::TooSlow(_)
            | Problem::Broken(_)
    );
    is_of_connection && !error.is_after_answer()
}

fn left_alone() -> Verdict {
    let reason = "failed several times and is left alone for a moment".to_owned();
    Verdict::Away { reason, timed_out: false, handling: Handling::AWAY, cause: None }
}

/// A request took too long.
fn too_slow(handling: Handling) -> Verdict {
    Verdict::Away { reason: "does not answer in time".to_owned(), timed_out: true, handling, cause: None }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures::FutureExt;

    use super::*;
    use crate::client::Client;
    use crate::queue::MAX_REQUESTS_OF_CLIENT;
    use crate::testing::upstream;

    /// Clients that ask and leave would fill the memory, and one of them the queue.
    #[tokio::test]
    async fn the_requests_that_wait_have_a_bound_of_which_one_client_has_half() {
        let upstream = Upstream::new(upstream("up", None)).unwrap();
        let tickets = [1, 2, 3].map(|number| Ticket::new(Client::Address([192, 0, 2, number].into())));
        let never = |client: usize| {
            let request = pending::<Result<Option<()>, ClientError>>();
            Box::pin(upstream.ask(CacheRequestKind::Manifest, &tickets[client], request))
        };
        let is_refused = |client| {
            let refused =
                matches!(never(client).now_or_never(), Some(Err(Verdict::Limited(_, Handling::QUEUE_FULL))));
            refused
        };
        let mut waiting = Vec::new();
        for client in [0, 1] {
            for _ in 0..MAX_REQUESTS_OF_CLIENT {
                let mut request = never(client);
                assert!((&mut request).now_or_never().is_none());
                waiting.push(request);
            }
            assert!(is_refused(client));
        }
        assert!(is_refused(2));
        waiting.pop();
        assert!(!is_refused(2) && !is_refused(1) && is_refused(0));
    }

    #[test]
    fn errors_are_logged_once_a_minute() {
        let upstream = Upstream::new(upstream("up", None)).unwrap();
        let due = [0, 1, 59, 60, 61, 119, 120].map(|at| upstream.is_due_for_log(Duration::from_secs(at)));
        assert_eq!(due, [true, false, false, true, false, false, true]);
    }

    #[test]
    fn there_are_as_many_places_as_connections() {
        for (connections, expected) in [(2, (1, 1, 1)), (4, (3, 1, 1)), (8, (6, 2, 1)), (16, (12, 4, 3))] {
            let (transfers, requests, lists) = places(connections);
            assert_eq!((transfers.free(), requests.free(), lists.free()), expected);
        }
        for connections in [0, 1] {
            let (transfers, requests, _) = places(connections);
            assert!(transfers.is(&requests) && transfers.free() == 1);
        }
    }
}
