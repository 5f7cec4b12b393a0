//! What access tokens cost the store, and what holds while it cannot be asked.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use sampan_driver::{ErrorKind, Operation};

use super::*;
use crate::support::FailingDriver;
use crate::support::failing_driver::Misbehaviour;

/// The reads of one look at a token that exists: its record, and whether it ends early.
const READS: usize = 2;

/// A site over a store that counts the reads of access tokens from now on, in a time that passes only when all wait.
struct Counted {
    site: Fixture,
    driver: FailingDriver,
    reads: Arc<AtomicUsize>,
}

impl Counted {
    async fn new() -> Self {
        let driver = FailingDriver::new();
        let site = Fixture::with(Plan { driver: Arc::new(driver.clone()), ..Plan::default() }).await;
        tokio::time::pause();
        let counted = Self { site, driver, reads: Arc::default() };
        counted.count();
        counted
    }

    fn count(&self) {
        let is_read = |operation, path: &sampan_driver::DriverPath| {
            operation == Operation::GetContent && path.as_str().contains(TOKENS)
        };
        self.driver.be(Misbehaviour::Counts(is_read, self.reads.clone()));
    }

    /// The reads since the last call.
    fn reads(&self) -> usize {
        self.reads.swap(0, Ordering::Relaxed)
    }

    async fn log_in(&self, user: &str, secret: &TokenSecret) -> u16 {
        self.site.get("/v2/", Some(&basic(user, &secret.reveal()))).await.status.as_u16()
    }
}

#[tokio::test]
async fn a_token_is_read_once_in_ten_seconds() {
    let counted = Counted::new().await;
    let secret = counted.site.access_token("push", "team/**", None).await;
    let (bearer, _) = counted.site.token(Some(&basic("ci", &secret.reveal())), &[]).await;
    assert_eq!(counted.reads(), READS);
    for _ in 0..20 {
        assert_eq!(counted.log_in("ci", &secret).await, 200);
        counted.site.get("/v2/", Some(&bearer)).await.expect(200);
    }
    assert_eq!(counted.reads(), 0);
    tokio::time::advance(Duration::from_secs(10)).await;
    let logins = join_all((0..20).map(|_| counted.log_in("token", &secret))).await;
    assert_eq!((logins, counted.reads()), (vec![200; 20], READS), "many at once");
}

#[tokio::test]
async fn a_guessed_id_is_looked_for_once_in_five_seconds_and_a_known_one_not_at_all() {
    let counted = Counted::new().await;
    let unknown = TokenSecret::random();
    let guess = async |secret: &TokenSecret| join_all((0..4).map(|_| counted.log_in("ci", secret))).await;
    assert_eq!(guess(&unknown).await, [401; 4]);
    assert_eq!(guess(&unknown).await, [401; 4]);
    assert_eq!(counted.reads(), 1);
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(guess(&unknown).await, [401; 4]);
    assert_eq!(counted.reads(), 1);
    // Other secrets for an id that exists.
    let known = counted.site.access_token("push", "team/**", None).await;
    assert_eq!(counted.log_in("ci", &known).await, 200);
    assert_eq!(counted.reads(), READS);
    for _ in 0..10 {
        assert_eq!(counted.log_in("ci", &other_secret(&known)).await, 401);
        assert_eq!(counted.log_in("ci", &known).await, 200);
    }
    // The delays of the answers are some seconds each.
    counted.reads();
    // Ten failures for one id: it is refused, without a look at the store.
    assert_eq!(counted.log_in("ci", &other_secret(&known)).await, 429);
    assert_eq!(counted.reads(), 0);
}

/// Another secret for the id of `secret`.
fn other_secret(secret: &TokenSecret) -> TokenSecret {
    let other = TokenSecret::random();
    let text = other.reveal().replace(&other.id().to_string(), &secret.id().to_string());
    TokenSecret::parse(text.as_bytes()).unwrap()
}

#[tokio::test]
async fn wrong_secrets_lock_out_neither_other_tokens_nor_their_own() {
    let counted = Counted::new().await;
    let [used, unused] = [(); 2].map(|()| counted.site.access_token("push", "team/**", None));
    let (used, unused) = (used.await, unused.await);
    assert_eq!(counted.log_in("token", &used).await, 200);
    // One that a job tries for hours: it ended.
    let mut statuses = Vec::new();
    let ended = TokenSecret::random();
    for _ in 0..12 {
        statuses.push(counted.log_in("token", &other_secret(&ended)).await);
    }
    assert_eq!(statuses, [vec![401; 10], vec![429; 2]].concat());
    assert_eq!(counted.log_in("token", &unused).await, 200);
    // A client that knows the ids.
    for _ in 0..12 {
        counted.log_in("token", &other_secret(&used)).await;
    }
    assert_eq!(counted.log_in("token", &other_secret(&used)).await, 429);
    assert_eq!(counted.log_in("token", &used).await, 200);
    // After too many of them the whole address is refused, but for secrets that were right.
    for _ in 0..100 {
        counted.log_in("token", &TokenSecret::random()).await;
    }
    counted.reads();
    assert_eq!(counted.log_in("token", &TokenSecret::random()).await, 429);
    assert_eq!(counted.reads(), 0);
    assert_eq!(counted.log_in("token", &used).await, 200);
}

#[tokio::test]
async fn right_secrets_make_up_for_wrong_ones_of_their_address() {
    let counted = Counted::new().await;
    let [used, unused] = [(); 2].map(|()| counted.site.access_token("push", "team/**", None));
    let (used, unused) = (used.await, unused.await);
    // One less than closes the address.
    for _ in 0..99 {
        assert_eq!(counted.log_in("token", &TokenSecret::random()).await, 401);
    }
    for _ in 0..20 {
        assert_eq!(counted.log_in("token", &used).await, 200);
    }
    assert_eq!(counted.log_in("token", &TokenSecret::random()).await, 401);
    assert_eq!(counted.log_in("token", &unused).await, 200);
}

#[tokio::test]
async fn while_the_store_is_away_a_token_is_neither_wrong_nor_believed_for_longer() {
    let counted = Counted::new().await;
    let (site, secret) = (&counted.site, counted.site.access_token("push", "team/**", None).await);
    let (bearer, _) = site.token(Some(&basic("ci", &secret.reveal())), &[]).await;
    counted.driver.be(Misbehaviour::Fails(ErrorKind::Unavailable));
    assert_eq!(counted.log_in("ci", &secret).await, 200);
    let unknown = TokenSecret::random();
    assert_eq!(counted.log_in("ci", &unknown).await, 503);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(counted.log_in("ci", &secret).await, 503);
    let answer = site.get("/v2/", Some(&bearer)).await.expect_error(503, "UNAVAILABLE");
    assert!(answer.has_header("retry-after"), "{answer:?}");
    site.get("/auth/token", Some(&basic("ci", &secret.reveal()))).await.expect(503);
    // Users do not depend on it.
    site.get("/v2/", Some(&user("alice"))).await.expect(200);
    counted.count();
    // An outage is no failure of the client, and not remembered.
    assert_eq!(counted.log_in("ci", &unknown).await, 401);
    assert_eq!(counted.log_in("ci", &secret).await, 200);
    site.get("/v2/", Some(&bearer)).await.expect(200);
}
