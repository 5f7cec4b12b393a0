//! `auth.htpasswd`: Basic authentication against a file of bcrypt hashes.
//!
//! Every user in the file may do everything, as in Distribution. Unlike Distribution, the controller
//!
//! - reloads the file when it changes, and keeps the last valid list if the new file is invalid;
//! - compares hashes on threads of low priority, a few at a time and in an order that is fair to all addresses;
//! - does not compare a password again for a minute after it matched;
//! - takes as long for an unknown user as for a known one;
//! - delays, counts and finally refuses failed logins.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use tokio::time::{Instant, sleep, timeout_at};

use super::access::Access;
use super::basic::BasicCredentials;
use super::challenge::Challenge;
use super::controller::{AccessController, ChallengeReason, Credentials, Denied, Grant};
use super::failed_login::warn_of_failed_login;
use super::login_queue::{ComparisonRole, LoginQueue, LoginRefused};
use super::password_file::{HtpasswdError, Loaded, PasswordFile, Unchanged};
use super::password_list::BcryptHash;
use super::provision::can_be_created;
use super::success_cache::{Fingerprint, FingerprintKey};
use super::throttle::{Throttle, ThrottleOptions};
use crate::blocking::{on_blocking_pool, on_nice_thread};
use crate::file_watch::CheckInterval;
use sampan_driver::with_causes;

/// The longest wait of a login for its comparison; then the client gets 503.
const MAX_WAIT: Duration = Duration::from_secs(15);

/// The niceness of comparisons, see nice(2): pulls on the same processor come first, and a login still gets a tenth of it.
const NICENESS: i32 = 10;

/// The delay after which a login that found its queue full may retry: by then the queue has advanced.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// An access controller backed by an htpasswd file.
pub struct Htpasswd {
    file: Arc<PasswordFile>,
    challenge: HeaderValue,
    throttle: Throttle,
    fingerprints: FingerprintKey,
    queue: LoginQueue,
    checks: CheckInterval,
}

impl Htpasswd {
    /// Reads the file at `path`. Creates a missing one, with the user `docker` and a password that it prints
    /// once.
    ///
    /// # Errors
    ///
    /// The file is unreadable, malformed or impossible to create, or `realm` is not a valid header value.
    pub async fn open(realm: &str, path: PathBuf, throttle: ThrottleOptions) -> Result<Self, HtpasswdError> {
        let challenge = Challenge::new("Basic").with("realm", realm)?.into_header();
        let file = on_blocking_pool(move || PasswordFile::open(path, &mut io::stderr().lock())).await?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            file: Arc::new(file),
            challenge,
            throttle: Throttle::new(throttle),
            fingerprints: FingerprintKey::random(),
            queue: LoginQueue::new(cores),
            checks: CheckInterval::default(),
        })
    }

    /// Checks whether [`open`](Self::open) would succeed, as far as possible without creating a file.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn check(realm: &str, path: PathBuf) -> Result<(), HtpasswdError> {
        Challenge::new("Basic").with("realm", realm)?;
        on_blocking_pool(move || match Loaded::read(&path, None) {
            Err(HtpasswdError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                can_be_created(&path).map_err(|source| HtpasswdError::Provision { path: path.clone(), source })?;
                tracing::warn!(
                    "auth.htpasswd.path {} does not exist: the registry will create it, with the user docker and a random password; \
                     if you have such a file, correct the path",
                    path.display()
                );
                Ok(())
            }
            read => read.map(drop),
        })
        .await
    }

    /// Reads the file again, changed or not, as on SIGHUP. The caller logs the error.
    ///
    /// # Errors
    ///
    /// The file is unreadable or malformed; the last valid list stays.
    pub async fn reload(&self) -> Result<(), HtpasswdError> {
        let file = Arc::clone(&self.file);
        on_blocking_pool(move || file.read_again(Unchanged::Read)).await
    }

    /// The number of users that can log in now.
    pub fn users(&self) -> usize {
        self.file.current.load().list.len()
    }

    /// The current list. Checks the file once a second.
    async fn current(&self) -> Arc<Loaded> {
        if self.checks.is_due() {
            let file = Arc::clone(&self.file);
            if let Err(error) = on_blocking_pool(move || file.read_again(Unchanged::Skip)).await {
                let users = self.users();
                tracing::error!(
                    error = %with_causes(&error), file = %self.file.path.display(), users,
                    "the htpasswd file is not usable, keeping the last valid list of {users} users"
                );
            }
        }
        self.file.current.load_full()
    }

    /// Logs a user in with a password, and returns what identifies the password as long as it is the user's.
    ///
    /// # Errors
    ///
    /// As [`authorize`](AccessController::authorize).
    pub async fn log_in_with(
        &self,
        client: Option<IpAddr>,
        user: &str,
        password: &str,
    ) -> Result<String, Denied> {
        let basic = BasicCredentials { user: user.into(), password: password.into() };
        self.log_in(client, basic).await
    }

    /// Logs a user in with a password, and returns what identifies it: the one that was compared, also if the file changed
    /// meanwhile. A login with the old password ends with that.
    ///
    /// # Errors
    ///
    /// A challenge with this file's realm if the password is wrong; the other reasons if it was not compared.
    pub(super) async fn log_in(
        &self,
        client: Option<IpAddr>,
        basic: BasicCredentials,
    ) -> Result<String, Denied> {
        let loaded = self.current().await;
        let id = loaded.password_id(&basic.user).map(str::to_owned);
        self.compare(client, basic, &loaded).await?;
        id.ok_or_else(|| self.challenge(ChallengeReason::Wrong))
    }

    /// Identifies the user's present password, the same in every process that reads the same file; `None` for
    /// an unknown user.
    pub async fn password_id(&self, user: &str) -> Option<String> {
        self.current().await.password_id(user.as_bytes()).map(str::to_owned)
    }

    /// Whether the user's present password is the one that `id` identifies.
    pub async fn has_password(&self, user: &str, id: &str) -> bool {
        self.current().await.password_id(user.as_bytes()) == Some(id)
    }

    /// The challenge with this file's realm.
    pub(super) fn basic_challenge(&self) -> &HeaderValue {
        &self.challenge
    }

    /// Checks the password; `Err` if it is wrong or not compared in time.
    async fn compare(
        &self,
        client: Option<IpAddr>,
        basic: BasicCredentials,
        loaded: &Loaded,
    ) -> Result<(), Denied> {
        let stored = loaded.list.hash_of(&basic.user).cloned();
        let is_known_user = stored.is_some();
        let hash = stored.unwrap_or_else(|| loaded.list.dummy().clone());
        let fingerprint = self.fingerprints.fingerprint(&basic, &hash);
        let is_known = || is_known_user && loaded.successes.contains(&fingerprint);
        if is_known() {
            return Ok(());
        }
        let BasicCredentials { user, password } = basic;
        let refuse = || self.refuse_if_throttled(client, &user);
        refuse()?;
        let matched = self.matches(client, fingerprint, hash, password.clone(), refuse).await?;
        if matched && is_known_user {
            loaded.successes.insert(fingerprint);
            self.throttle.succeeded(client, &user);
            return Ok(());
        }
        let delay = self.throttle.failed(client, &user, &password);
        warn_of_failed_login(client, &user, None);
        sleep(delay).await;
        Err(self.challenge(ChallengeReason::Wrong))
    }

    /// Compares `password` with `hash` in turn, or waits for the result of an identical comparison.
    async fn matches(
        &self,
        client: Option<IpAddr>,
        fingerprint: Fingerprint,
        hash: BcryptHash,
        password: Vec<u8>,
        refuse: impl Fn() -> Result<(), Denied>,
    ) -> Result<bool, Denied> {
        let until = Instant::now() + MAX_WAIT;
        let comparison = loop {
            match self.queue.part(fingerprint) {
                ComparisonRole::Compare(comparison) => break comparison,
                ComparisonRole::Await(mut result) => {
                    match timeout_at(until, result.wait_for(Option::is_some)).await {
                        Ok(Ok(matched)) => return Ok(*matched == Some(true)),
                        // The other login was abandoned.
                        Ok(Err(_)) => {}
                        Err(_) => return Err(login_refused(LoginRefused::TooLate)),
                    }
                }
            }
        };
        let standing = self.throttle.standing(client);
        let turn = self.queue.turn(client, standing, until).await.map_err(login_refused)?;
        // The throttle may have refused the address or user while this request waited.
        refuse()?;
        let compared = on_nice_thread(NICENESS, move || {
            // Keep the turn during the comparison: a client that disconnects does not free the core that it
            // still uses.
            let _turn = turn;
            let matched = hash.matches(&password);
            comparison.matched(matched);
            matched
        });
        compared.await.map_err(|error| {
            tracing::error!(%error, "cannot start a thread to compare a password: raise the limit of threads (ulimit -u, TasksMax)");
            Denied::Unavailable
        })
    }

    fn refuse_if_throttled(&self, client: Option<IpAddr>, user: &[u8]) -> Result<(), Denied> {
        match self.throttle.refused_for(client, user) {
            Some(retry_after) => Err(Denied::TooManyAttempts { retry_after }),
            None => Ok(()),
        }
    }

    fn challenge(&self, reason: ChallengeReason) -> Denied {
        Denied::Challenge { challenges: vec![self.challenge.clone()], reason }
    }
}

#[async_trait]
impl AccessController for Htpasswd {
    async fn authorize(&self, credentials: &Credentials<'_>, _: &[Access]) -> Result<Grant, Denied> {
        let Some(header) = credentials.authorization else {
            return Err(self.challenge(ChallengeReason::Missing));
        };
        let Some(basic) = BasicCredentials::parse(header) else {
            return Err(self.challenge(ChallengeReason::Unreadable));
        };
        let user = String::from_utf8_lossy(&basic.user).into_owned();
        self.log_in(credentials.client, basic).await?;
        Ok(Grant::to(user))
    }
}

impl fmt::Debug for Htpasswd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Htpasswd").field("path", &self.file.path).field("users", &self.users()).finish()
    }
}

/// The denial of a login without a turn.
fn login_refused(why: LoginRefused) -> Denied {
    match why {
        LoginRefused::Crowded => Denied::TooManyAtOnce { retry_after: RETRY_AFTER },
        LoginRefused::TooLate => {
            tracing::warn!("too many logins at once: refused a login that waited for {MAX_WAIT:?}");
            Denied::Unavailable
        }
    }
}

#[cfg(test)]
#[path = "htpasswd_tests.rs"]
mod tests;
