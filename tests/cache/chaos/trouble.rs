//! `Trouble`: how the upstream fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::expected_state::ExpectedState;
use crate::support::Upstream;
use crate::support::hostile_server::{Reply, Seen};
use crate::support::upstream::error;

/// A way to fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trouble {
    /// Errors of the server.
    Errors(u16),
    /// Connections that break without an answer.
    Broken,
    /// Bodies that break off after so many bytes.
    Cut(usize),
    /// Other bytes of the same length.
    WrongBytes,
    /// No length.
    NoLength,
}

impl Trouble {
    pub(super) fn any(rng: &mut StdRng) -> Self {
        match rng.random_range(0..6) {
            0 => Self::Errors([500, 502, 503, 429][rng.random_range(0..4)]),
            1 => Self::Broken,
            2 => Self::Cut(rng.random_range(0..150_000)),
            3 | 4 => Self::WrongBytes,
            _ => Self::NoLength,
        }
    }

    /// Whether clients notice.
    pub(super) fn is_noticed(self) -> bool {
        self != Self::NoLength
    }

    /// Begins, with a share of the requests that the seed chooses.
    pub(super) fn begin(self, upstream: &Upstream, book: Arc<ExpectedState>, seed: u64) {
        let requests = AtomicU64::new(0);
        upstream.script(move |seen, reply| {
            let number = requests.fetch_add(1, Ordering::Relaxed);
            match StdRng::seed_from_u64(seed ^ number).random_bool(0.7) {
                true => self.spoil(seen, reply, &book),
                false => reply,
            }
        });
    }

    fn spoil(self, seen: &Seen, reply: Reply, book: &ExpectedState) -> Reply {
        match self {
            Self::Errors(status) => error(status, "UNAVAILABLE"),
            Self::Broken => Reply::broken(),
            Self::Cut(bytes) => reply.cut_after(bytes),
            Self::NoLength => reply.announcing(None),
            Self::WrongBytes => match wrong(seen, book) {
                Some(body) => reply.body(body),
                None => reply,
            },
        }
    }
}

/// Other content for a request of a whole blob or of a manifest by its digest.
fn wrong(seen: &Seen, book: &ExpectedState) -> Option<Vec<u8>> {
    let (rest, digest) = seen.path().rsplit_once('/')?;
    let digest = digest.parse().ok()?;
    let repository = rest.split('/').nth(2)?;
    let mut content = match rest.ends_with("/blobs") {
        true if seen.header("range").is_none() => book.content(&digest),
        true => return None,
        false => book.image(repository, &digest)?.manifest,
    }
    .to_vec();
    *content.last_mut()? ^= 1;
    Some(content)
}
