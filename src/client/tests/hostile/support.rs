//! Options for tests: waits that take no time, short silences.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use sampan_client::{ClientOptions, Clock, Credentials, RegistryClient, RepositoryClient, Secret, Timeouts};
use sampan_engine::oci::Digest;

use crate::server::Server;

/// A clock that moves only by waits and by the test.
#[derive(Clone, Default)]
pub(crate) struct Waits {
    waits: Arc<Mutex<Vec<Duration>>>,
    moved: Arc<Mutex<Duration>>,
}

impl Waits {
    pub(crate) fn all(&self) -> Vec<Duration> {
        self.waits.lock().unwrap().clone()
    }

    pub(crate) fn total(&self) -> Duration {
        self.all().iter().sum()
    }

    pub(crate) fn advance(&self, duration: Duration) {
        *self.moved.lock().unwrap() += duration;
    }

    pub(crate) fn clock(&self) -> Clock {
        let (now, wait) = (self.clone(), self.clone());
        Clock::new(
            move || now.total() + *now.moved.lock().unwrap(),
            || SystemTime::UNIX_EPOCH,
            move |duration| {
                wait.waits.lock().unwrap().push(duration);
                Box::pin(tokio::task::yield_now())
            },
        )
    }
}

pub(crate) fn options(waits: &Waits) -> ClientOptions {
    ClientOptions { clock: waits.clock(), ..ClientOptions::default() }
}

/// Options with a user, whose password is `hunter2`.
pub(crate) fn with_user(waits: &Waits, user: &str) -> ClientOptions {
    ClientOptions { credentials: Credentials::password(user, Secret::new("hunter2")), ..options(waits) }
}

/// Options for bodies that fall silent. Answers may take their time, as on a busy machine.
pub(crate) fn impatient(waits: &Waits) -> ClientOptions {
    let timeouts = Timeouts { stall: Duration::from_millis(200), ..Timeouts::default() };
    ClientOptions { timeouts, ..options(waits) }
}

pub(crate) fn registry(server: &Server, options: ClientOptions) -> RegistryClient {
    RegistryClient::new(server.url().parse().unwrap(), options).unwrap()
}

/// The repository `team/app` of a server.
pub(crate) fn repository(server: &Server, options: ClientOptions) -> RepositoryClient {
    registry(server, options).repository("team/app".parse().unwrap())
}

pub(crate) fn digest(content: &[u8]) -> Digest {
    Digest::sha256_of(content)
}

/// Bytes that repeat nowhere soon.
pub(crate) fn content(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
