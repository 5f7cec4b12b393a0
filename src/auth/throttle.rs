//! `Throttle`: delays each failed login longer than the previous one, and refuses logins after enough
//! failures.
//!
//! Containerd and buildkit try a wrong password by both methods, a form and a header: such a pair is one failure.
//! Failures count per address and user and, with a higher limit, per address. Only the first few failures of
//! one user count for the address: a machine that retries a wrong password for days does not lock out others
//! behind the same proxy, while trying many users from one address is still stopped. A success clears the
//! failures of its address and user, and subtracts from the address as many as one user can add.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The limits on failed logins.
#[derive(Clone, Debug)]
pub struct ThrottleOptions {
    /// The delay of the first failure; doubles with each further one.
    pub first_delay: Duration,
    /// The longest delay.
    pub longest_delay: Duration,
    /// After this many failures, logins of an address and user are refused for a while without a comparison.
    pub failures_per_user: u32,
    /// The same for an address with any user.
    pub failures_per_address: u32,
    /// The most failures of one user that count for the address.
    pub counted_for_address: u32,
    /// The duration of the first refusal; doubles with each further failure.
    pub first_refusal: Duration,
    /// The longest refusal.
    pub longest_refusal: Duration,
    /// Within this long, the same wrong password again is part of the same attempt, once.
    pub same_attempt: Duration,
    /// Failures are cleared after this long without a further one.
    pub forgotten_after: Duration,
    /// The most addresses and users in the table.
    pub capacity: usize,
}

impl Default for ThrottleOptions {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(250),
            longest_delay: Duration::from_secs(4),
            failures_per_user: 10,
            failures_per_address: 100,
            counted_for_address: 3,
            first_refusal: Duration::from_secs(60),
            longest_refusal: Duration::from_secs(15 * 60),
            same_attempt: Duration::from_secs(10),
            forgotten_after: Duration::from_secs(30 * 60),
            capacity: 10_000,
        }
    }
}

/// The failures by origin.
#[derive(Debug)]
pub(super) struct Throttle {
    options: ThrottleOptions,
    /// Stores user names as keyed hashes: unauthenticated clients choose them, at any length.
    hasher: RandomState,
    /// A blocking mutex: held for short work in memory, never across an await.
    failures: Mutex<HashMap<Origin, Failures>>,
}

/// The record of a client's address before its login is compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AddressRecord {
    /// No login of its address has failed lately, or others have succeeded since.
    Good,
    /// Logins of its address have failed.
    HasFailed,
}

/// The origin of a login.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Origin {
    /// The network of the client; `None` behind a unix socket.
    client: Option<IpAddr>,
    /// The hash of the user's name; `None` for the whole address.
    user: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
    refused_until: Option<Instant>,
    /// The keyed hash of the last password, until it was tried again. A third time counts: each costs a comparison.
    password: Option<u64>,
}

impl Throttle {
    pub(super) fn new(options: ThrottleOptions) -> Self {
        Self { options, hasher: RandomState::new(), failures: Mutex::default() }
    }

    /// How long logins of `user` from `client` are still refused; `None` if they are not.
    pub(super) fn refused_for(&self, client: Option<IpAddr>, user: &[u8]) -> Option<Duration> {
        let now = Instant::now();
        let failures = self.failures.lock();
        let until = self
            .origins(client, user)
            .iter()
            .filter_map(|origin| failures.get(origin)?.refused_until)
            .max()
            .filter(|until| now < *until)?;
        // Whole seconds, rounded up: a client that waits for that long must not be too early.
        Some(Duration::from_secs((until - now).as_millis().div_ceil(1000) as u64))
    }

    /// Whether logins of the address of `client` have failed.
    pub(super) fn standing(&self, client: Option<IpAddr>) -> AddressRecord {
        let of_address = Origin { client: client.map(network_of), user: None };
        match self.failures.lock().get(&of_address) {
            Some(failures) if failures.count > 0 && self.is_remembered(failures, Instant::now()) => {
                AddressRecord::HasFailed
            }
            _ => AddressRecord::Good,
        }
    }

    /// Counts a failure with this password, and returns the delay of its response.
    pub(super) fn failed(&self, client: Option<IpAddr>, user: &[u8], password: &[u8]) -> Duration {
        let now = Instant::now();
        let [of_user, of_address] = self.origins(client, user);
        let password = Some(self.hasher.hash_one(password));
        let delay = |count| doubled(self.options.first_delay, count - 1, self.options.longest_delay);
        let mut failures = self.failures.lock();
        if let Some(before) = failures.get_mut(&of_user)
            && before.password == password
            && now - before.last < self.options.same_attempt
        {
            before.password = None;
            return delay(before.count);
        }
        let count = self.count(&mut failures, of_user, self.options.failures_per_user, now);
        if count <= self.options.counted_for_address {
            self.count(&mut failures, of_address, self.options.failures_per_address, now);
        }
        if let Some(failures) = failures.get_mut(&of_user) {
            failures.password = password;
        }
        delay(count)
    }

    /// Clears the failures of `user` from `client`, and some of the address.
    pub(super) fn succeeded(&self, client: Option<IpAddr>, user: &[u8]) {
        let [of_user, _] = self.origins(client, user);
        self.failures.lock().remove(&of_user);
        self.succeeded_by_token(client);
    }

    /// Clears some of the failures of the address, and none of an access token: many clients use one token.
    pub(super) fn succeeded_by_token(&self, client: Option<IpAddr>) {
        let of_address = Origin { client: client.map(network_of), user: None };
        if let Some(of_address) = self.failures.lock().get_mut(&of_address) {
            of_address.count = of_address.count.saturating_sub(self.options.counted_for_address);
        }
    }

    fn origins(&self, client: Option<IpAddr>, user: &[u8]) -> [Origin; 2] {
        let client = client.map(network_of);
        [Origin { client, user: Some(self.hasher.hash_one(user)) }, Origin { client, user: None }]
    }

    fn is_remembered(&self, failures: &Failures, now: Instant) -> bool {
        now - failures.last < self.options.forgotten_after
    }

    fn count(
        &self,
        failures: &mut HashMap<Origin, Failures>,
        origin: Origin,
        limit: u32,
        now: Instant,
    ) -> u32 {
        let remembered = |failures: &Failures| self.is_remembered(failures, now);
        if failures.len() >= self.options.capacity && !failures.contains_key(&origin) {
            failures.retain(|_, failures| remembered(failures));
            if failures.len() >= self.options.capacity
                && let Some(oldest) =
                    failures.iter().min_by_key(|(_, failures)| failures.last).map(|(origin, _)| *origin)
            {
                failures.remove(&oldest);
            }
        }
        let count = match failures.get(&origin) {
            Some(before) if remembered(before) => before.count.saturating_add(1),
            _ => 1,
        };
        let refused_until = (count >= limit)
            .then(|| now + doubled(self.options.first_refusal, count - limit, self.options.longest_refusal));
        failures.insert(origin, Failures { count, last: now, refused_until, password: None });
        count
    }
}

fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(longest)
}

/// Maps IPv6 addresses to their network, because one customer has 2^64 addresses.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
    const THERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)));

    fn throttle() -> Throttle {
        Throttle::new(ThrottleOptions::default())
    }

    /// A failure with a password that was not tried before.
    fn failed(throttle: &Throttle, client: Option<IpAddr>, user: &[u8]) -> Duration {
        throttle.failed(client, user, &rand::random::<[u8; 16]>())
    }

    fn fail(throttle: &Throttle, times: u32, user: &[u8]) {
        for _ in 0..times {
            failed(throttle, HERE, user);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_wrong_password_twice_is_one_attempt_and_a_third_time_another() {
        let throttle = throttle();
        let millis = |password: &[u8]| throttle.failed(HERE, b"a", password).as_millis();
        assert_eq!([millis(b"x"), millis(b"x"), millis(b"x"), millis(b"x")], [250, 250, 500, 500]);
        assert_eq!(
            [millis(b"y"), millis(b"x"), millis(b"y")],
            [1000, 2000, 4000],
            "other passwords are guesses"
        );
        let fresh = self::throttle();
        fresh.failed(HERE, b"a", b"x");
        assert_eq!(fresh.failed(THERE, b"a", b"x").as_millis(), 250);
        assert_eq!(fresh.failed(HERE, b"b", b"x").as_millis(), 250);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(fresh.failed(HERE, b"a", b"x").as_millis(), 500, "ten seconds later");
        // It ends no refusal, and begins none.
        let fresh = self::throttle();
        for number in 0..9_u8 {
            fresh.failed(HERE, b"a", &[number]);
            fresh.failed(HERE, b"a", &[number]);
        }
        assert_eq!(fresh.refused_for(HERE, b"a"), None);
        fresh.failed(HERE, b"a", b"tenth");
        fresh.failed(HERE, b"a", b"tenth");
        assert_eq!(fresh.refused_for(HERE, b"a"), Some(Duration::from_secs(60)));
    }

    #[tokio::test(start_paused = true)]
    async fn each_failure_is_delayed_longer_up_to_a_limit() {
        let throttle = throttle();
        let delays: Vec<u128> = (0..7).map(|_| failed(&throttle, HERE, b"a").as_millis()).collect();
        assert_eq!(delays, [250, 500, 1000, 2000, 4000, 4000, 4000]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_tenth_failure_refuses_logins_for_a_minute_and_the_next_for_two() {
        let throttle = throttle();
        fail(&throttle, 9, b"a");
        assert_eq!(throttle.refused_for(HERE, b"a"), None);
        fail(&throttle, 1, b"a");
        assert_eq!(throttle.refused_for(HERE, b"a"), Some(Duration::from_secs(60)));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(throttle.refused_for(HERE, b"a"), Some(Duration::from_secs(60)), "rounded up");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(throttle.refused_for(HERE, b"a"), None);
        fail(&throttle, 1, b"a");
        assert_eq!(throttle.refused_for(HERE, b"a"), Some(Duration::from_secs(120)));
        fail(&throttle, 100, b"a");
        assert_eq!(throttle.refused_for(HERE, b"a"), Some(Duration::from_secs(15 * 60)));
    }

    #[tokio::test(start_paused = true)]
    async fn other_users_and_other_addresses_are_not_refused() {
        let throttle = throttle();
        fail(&throttle, 10, b"a");
        assert_eq!(throttle.refused_for(HERE, b"b"), None);
        assert_eq!(throttle.refused_for(THERE, b"a"), None);
    }

    /// Simulates a job that retries an old password for three days.
    #[tokio::test(start_paused = true)]
    async fn one_client_with_a_wrong_password_does_not_lock_out_its_address() {
        const DAYS: Duration = Duration::from_secs(3 * 24 * 3600);
        for seconds in [10, 60, 300, 600, 900, 1700, 2000] {
            let (throttle, begun) = (throttle(), Instant::now());
            while begun.elapsed() < DAYS {
                if throttle.refused_for(HERE, b"job").is_none() {
                    failed(&throttle, HERE, b"job");
                }
                let hours = begun.elapsed().as_secs() / 3600;
                assert_eq!(throttle.refused_for(HERE, b"honest"), None, "every {seconds} s, after {hours} h");
                tokio::time::advance(Duration::from_secs(seconds)).await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn trying_many_users_refuses_the_whole_address() {
        let throttle = throttle();
        for number in 0..100_u32 {
            failed(&throttle, HERE, &number.to_le_bytes());
        }
        assert_eq!(throttle.refused_for(HERE, b"never tried"), Some(Duration::from_secs(60)));
        assert_eq!(throttle.refused_for(THERE, b"never tried"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_subtracts_what_one_user_added() {
        let throttle = throttle();
        for number in 0..99_u32 {
            failed(&throttle, HERE, &number.to_le_bytes());
        }
        throttle.succeeded(HERE, b"honest");
        for number in 0..3_u32 {
            assert_eq!(throttle.refused_for(HERE, b"honest"), None);
            failed(&throttle, HERE, &[b"new", &number.to_le_bytes()[..]].concat());
        }
        assert_eq!(throttle.refused_for(HERE, b"honest"), None);
        failed(&throttle, HERE, b"one more");
        assert!(throttle.refused_for(HERE, b"honest").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_of_an_address_are_its_standing_until_a_success_or_half_an_hour() {
        let throttle = throttle();
        assert_eq!(throttle.standing(HERE), AddressRecord::Good);
        fail(&throttle, 1, b"a");
        assert_eq!(
            [throttle.standing(HERE), throttle.standing(THERE)],
            [AddressRecord::HasFailed, AddressRecord::Good]
        );
        throttle.succeeded(HERE, b"b");
        assert_eq!(throttle.standing(HERE), AddressRecord::Good);
        fail(&throttle, 1, b"c");
        tokio::time::advance(Duration::from_secs(30 * 60)).await;
        assert_eq!(throttle.standing(HERE), AddressRecord::Good);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_table_is_small() {
        let throttle = throttle();
        for number in 0..5_200_u32 {
            failed(&throttle, Some(IpAddr::from(number.to_be_bytes())), &[b'x'; 10_000]);
        }
        let failures = throttle.failures.lock();
        assert!(failures.len() <= 10_000);
        let bytes = failures.capacity() * (size_of::<(Origin, Failures)>() + 1);
        assert!(bytes < 2 << 20, "{bytes} bytes");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_cleared_by_a_success_and_by_time() {
        let throttle = throttle();
        fail(&throttle, 3, b"a");
        throttle.succeeded(HERE, b"a");
        assert_eq!(failed(&throttle, HERE, b"a"), Duration::from_millis(250));
        tokio::time::advance(Duration::from_secs(30 * 60)).await;
        assert_eq!(failed(&throttle, HERE, b"a"), Duration::from_millis(250));
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded_and_evicts_the_oldest() {
        let throttle = Throttle::new(ThrottleOptions { capacity: 4, ..ThrottleOptions::default() });
        fail(&throttle, 10, b"old");
        for number in 0..10_u32 {
            tokio::time::advance(Duration::from_millis(1)).await;
            failed(&throttle, THERE, &number.to_le_bytes());
        }
        assert!(throttle.failures.lock().len() <= 4);
        assert_eq!(throttle.refused_for(HERE, b"old"), None);
    }

    #[test]
    fn ipv6_counts_by_network_and_mapped_addresses_as_ipv4() {
        let network = |address: &str| network_of(address.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
