//! `LoginQueue`: the order in which logins are compared.
//!
//! A comparison takes a core for a good part of a second, on purpose, so logins queue. In a single queue, a
//! crowd at one address would delay all other addresses. So each address has its own queue, and only its
//! first few logins enter the common queue; a full queue refuses more. One core stays free for other work.
//!
//! Clients that guess from many addresses would still be a long queue before a user's first login. So of the addresses
//! whose logins have failed, only as many enter the common queue as are compared at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use super::success_cache::Fingerprint;
use super::throttle::{AddressRecord, network_of};

/// The most logins of one address that may wait, including those with a turn.
const MAX_WAITING: usize = 32;

/// The logins that wait for a turn or have one.
#[derive(Debug)]
pub(super) struct LoginQueue {
    /// The common queue.
    pub(super) comparisons: Arc<Semaphore>,
    /// How many logins of one address may be in it.
    per_address: usize,
    /// Those of addresses whose logins have failed that may be in it.
    of_failed: Arc<Semaphore>,
    queues: Queues,
    same: SharedComparisons,
}

/// The queue of each address that has one. A blocking mutex: held for a count, never across an await.
type Queues = Arc<Mutex<HashMap<Option<IpAddr>, Queue>>>;

/// Running comparisons by fingerprint, with their result. A blocking mutex, as above.
type SharedComparisons = Arc<Mutex<HashMap<Fingerprint, watch::Receiver<Option<bool>>>>>;

#[derive(Debug)]
struct Queue {
    turns: Arc<Semaphore>,
    waiting: usize,
}

/// Why a login gets no turn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum LoginRefused {
    /// Too many logins of its address wait.
    Crowded,
    /// The login waited for too long.
    TooLate,
}

/// A login's turn to be compared; dropping it ends the turn.
#[derive(Debug)]
pub(super) struct LoginTurn {
    _comparison: OwnedSemaphorePermit,
    _of_failed: Option<OwnedSemaphorePermit>,
    _of_address: OwnedSemaphorePermit,
    _waiting: QueuedLogin,
}

/// A login counted in its address's queue.
#[derive(Debug)]
struct QueuedLogin {
    queues: Queues,
    address: Option<IpAddr>,
}

/// A login's part in a comparison that other logins may share.
#[derive(Debug)]
pub(super) enum ComparisonRole {
    /// This login is the first and compares.
    Compare(Comparison),
    /// Another login makes the same comparison.
    Await(watch::Receiver<Option<bool>>),
}

/// A comparison that other logins may wait for. If it is dropped without a result, one of them takes over.
#[derive(Debug)]
pub(super) struct Comparison {
    same: SharedComparisons,
    fingerprint: Fingerprint,
    result: watch::Sender<Option<bool>>,
}

impl LoginQueue {
    /// A queue for a machine with `cores` cores.
    pub(super) fn new(cores: usize) -> Self {
        let comparisons = cores.saturating_sub(1).max(1);
        Self {
            comparisons: Arc::new(Semaphore::new(comparisons)),
            per_address: comparisons.div_ceil(2),
            of_failed: Arc::new(Semaphore::new(comparisons)),
            queues: Queues::default(),
            same: SharedComparisons::default(),
        }
    }

    /// Waits until a login from `client` may be compared, at most until `until`.
    pub(super) async fn turn(
        &self,
        client: Option<IpAddr>,
        standing: AddressRecord,
        until: Instant,
    ) -> Result<LoginTurn, LoginRefused> {
        let (turns, waiting) = self.join(client)?;
        let turn = async {
            let of_address = turns.acquire_owned().await.ok()?;
            let of_failed = match standing {
                AddressRecord::Good => None,
                AddressRecord::HasFailed => Some(Arc::clone(&self.of_failed).acquire_owned().await.ok()?),
            };
            let comparison = Arc::clone(&self.comparisons).acquire_owned().await.ok()?;
            Some(LoginTurn {
                _comparison: comparison,
                _of_failed: of_failed,
                _of_address: of_address,
                _waiting: waiting,
            })
        };
        timeout_at(until, turn).await.ok().flatten().ok_or(LoginRefused::TooLate)
    }

    /// This login's part: many clients with one password share one comparison.
    pub(super) fn part(&self, fingerprint: Fingerprint) -> ComparisonRole {
        let mut same = self.same.lock();
        if let Some(receiver) = same.get(&fingerprint) {
            return ComparisonRole::Await(receiver.clone());
        }
        let (result, receiver) = watch::channel(None);
        same.insert(fingerprint, receiver);
        ComparisonRole::Compare(Comparison { same: Arc::clone(&self.same), fingerprint, result })
    }

    fn join(&self, client: Option<IpAddr>) -> Result<(Arc<Semaphore>, QueuedLogin), LoginRefused> {
        let address = client.map(network_of);
        let mut queues = self.queues.lock();
        let queue = queues
            .entry(address)
            .or_insert_with(|| Queue { turns: Arc::new(Semaphore::new(self.per_address)), waiting: 0 });
        if queue.waiting >= MAX_WAITING {
            return Err(LoginRefused::Crowded);
        }
        queue.waiting += 1;
        Ok((Arc::clone(&queue.turns), QueuedLogin { queues: Arc::clone(&self.queues), address }))
    }
}

impl Comparison {
    /// Publishes the result.
    pub(super) fn matched(self, matched: bool) {
        self.result.send_replace(Some(matched));
    }
}

impl Drop for Comparison {
    fn drop(&mut self) {
        self.same.lock().remove(&self.fingerprint);
    }
}

impl Drop for QueuedLogin {
    fn drop(&mut self) {
        let mut queues = self.queues.lock();
        if let Some(queue) = queues.get_mut(&self.address) {
            queue.waiting -= 1;
            if queue.waiting == 0 {
                queues.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;
    use futures::stream::{FuturesUnordered, StreamExt};
    use tokio::task::unconstrained;

    use super::*;

    fn address(number: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, number]))
    }

    const GOOD: AddressRecord = AddressRecord::Good;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(3600)
    }

    /// The number of turns before a login from a quiet address gets one, behind `crowd` logins at each of
    /// `addresses` with this standing.
    async fn turns_before_an_honest_login(
        cores: usize,
        addresses: u8,
        crowd: usize,
        standing: AddressRecord,
    ) -> usize {
        let queue = LoginQueue::new(cores);
        let mut others = FuturesUnordered::new();
        for number in 1..=addresses {
            others.extend((0..crowd).map(|_| queue.turn(address(number), standing, soon())));
        }
        // The whole crowd queues first.
        let mut held = Vec::new();
        while let Some(Some(turn)) = others.next().now_or_never() {
            held.extend(turn.ok());
        }
        let mut honest = Box::pin(queue.turn(address(255), GOOD, soon()));
        let mut turns = 0;
        loop {
            if let Some(turn) = (&mut honest).now_or_never() {
                turn.unwrap();
                return turns;
            }
            drop(held.pop());
            turns += 1;
            while let Some(Some(turn)) = others.next().now_or_never() {
                held.extend(turn.ok());
            }
        }
    }

    #[tokio::test]
    async fn a_crowd_at_one_address_does_not_delay_others() {
        assert!(unconstrained(turns_before_an_honest_login(2, 4, 50, GOOD)).await <= 4);
        assert!(unconstrained(turns_before_an_honest_login(8, 4, 50, GOOD)).await <= 16);
    }

    #[tokio::test]
    async fn those_who_guess_from_many_addresses_do_not_delay_a_first_login() {
        let failed = AddressRecord::HasFailed;
        assert!(unconstrained(turns_before_an_honest_login(2, 200, 1, failed)).await <= 1);
        assert!(unconstrained(turns_before_an_honest_login(8, 200, 1, failed)).await <= 1);
    }

    #[tokio::test]
    async fn those_who_have_failed_get_turns_beside_others() {
        let queue = LoginQueue::new(2);
        let first = queue.turn(address(1), GOOD, soon()).await.unwrap();
        let mut failed = Box::pin(queue.turn(address(2), AddressRecord::HasFailed, soon()));
        assert!((&mut failed).now_or_never().is_none());
        let mut other = Box::pin(queue.turn(address(3), GOOD, soon()));
        assert!((&mut other).now_or_never().is_none());
        drop(first);
        assert!(failed.now_or_never().is_some(), "it came before the other");
    }

    #[tokio::test]
    async fn a_full_queue_refuses_more() {
        let queue = LoginQueue::new(2);
        let first = queue.turn(address(1), GOOD, soon()).await.unwrap();
        let mut others: Vec<_> =
            (1..MAX_WAITING).map(|_| Box::pin(queue.turn(address(1), GOOD, soon()))).collect();
        for other in &mut others {
            assert!(other.now_or_never().is_none());
        }
        assert_eq!(queue.turn(address(1), GOOD, soon()).await.unwrap_err(), LoginRefused::Crowded);
        assert!(queue.turn(address(2), GOOD, soon()).now_or_never().is_none(), "another address queues");
        drop(first);
        drop(others);
        assert!(queue.turn(address(1), GOOD, soon()).now_or_never().is_some());
        assert!(queue.queues.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_times_out() {
        let queue = LoginQueue::new(1);
        let _turn = queue.turn(address(1), GOOD, soon()).await.unwrap();
        assert_eq!(queue.turn(address(2), GOOD, Instant::now()).await.unwrap_err(), LoginRefused::TooLate);
    }

    #[tokio::test]
    async fn identical_logins_share_one_comparison() {
        let queue = LoginQueue::new(1);
        let fingerprint = Fingerprint::for_test(1);
        let ComparisonRole::Compare(comparison) = queue.part(fingerprint) else {
            panic!("the first does not compare")
        };
        let ComparisonRole::Await(mut result) = queue.part(fingerprint) else {
            panic!("the second does not wait")
        };
        assert!(matches!(queue.part(Fingerprint::for_test(2)), ComparisonRole::Compare(_)));
        comparison.matched(true);
        assert_eq!(*result.wait_for(Option::is_some).await.unwrap(), Some(true));

        let ComparisonRole::Compare(given_up) = queue.part(fingerprint) else { panic!("the first is over") };
        let ComparisonRole::Await(mut result) = queue.part(fingerprint) else { panic!("it is running") };
        drop(given_up);
        assert!(result.wait_for(Option::is_some).await.is_err());
        assert!(matches!(queue.part(fingerprint), ComparisonRole::Compare(_)));
    }
}
