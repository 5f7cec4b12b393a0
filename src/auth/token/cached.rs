//! Tokens that were verified a moment ago: a pull shows the same one with every layer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::claims::Claims;

/// How many tokens are remembered.
const CAPACITY: usize = 4096;

/// How long a token is believed without its signature being looked at again. Its dates are looked at each time; this
/// bounds how long a certificate of its chain may have expired meanwhile, and is no more than the leeway that dates have.
const BELIEVED_FOR: Duration = Duration::from_secs(60);

/// Tokens by the hash of all their bytes, so that a token that is only alike is another one.
pub(super) struct VerifiedTokens(Cache<[u8; 32], Verified>);

#[derive(Clone)]
struct Verified {
    claims: Arc<Claims>,
    at: Instant,
}

impl Default for VerifiedTokens {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl VerifiedTokens {
    pub(super) fn key(token: &[u8]) -> [u8; 32] {
        Sha256::digest(token).into()
    }

    pub(super) fn get(&self, key: &[u8; 32]) -> Option<Arc<Claims>> {
        let verified = self.0.get(key)?;
        (verified.at.elapsed() < BELIEVED_FOR).then_some(verified.claims)
    }

    pub(super) fn insert(&self, key: [u8; 32], claims: Arc<Claims>) {
        self.0.insert(key, Verified { claims, at: Instant::now() });
    }
}

impl fmt::Debug for VerifiedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedTokens").field("len", &self.0.len()).finish()
    }
}
