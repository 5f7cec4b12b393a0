//! Tokens that were verified a moment ago: a pull shows the same one with every layer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::claims::Claims;

/// About how many tokens are remembered, and the most bytes that they take: a client that may log in can have tokens of any size.
const USUAL_TOKENS: usize = 4096;
const MOST_BYTES: u64 = 8 << 20;

/// What a token takes besides its claims, by estimate.
const ENTRY_BYTES: u64 = 128;

/// How long a token is believed without its signature being looked at again. Its dates are looked at each time; this
/// bounds how long a certificate of its chain may have expired meanwhile, and is no more than the leeway that dates have.
const BELIEVED_FOR: Duration = Duration::from_secs(60);

/// Tokens by the hash of all their bytes, so that a token that is only alike is another one.
pub(super) struct VerifiedTokens(Cache<[u8; 32], Verified, ByBytes>);

#[derive(Clone)]
struct Verified {
    claims: Arc<Claims>,
    at: Instant,
}

/// Weighs tokens by what they take in memory.
#[derive(Clone)]
struct ByBytes;

impl Weighter<[u8; 32], Verified> for ByBytes {
    fn weight(&self, _: &[u8; 32], verified: &Verified) -> u64 {
        ENTRY_BYTES + verified.claims.size_bytes() as u64
    }
}

impl Default for VerifiedTokens {
    fn default() -> Self {
        Self(Cache::with_weighter(USUAL_TOKENS, MOST_BYTES, ByBytes))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_tokens_take_no_more_than_their_share() {
        let verified = VerifiedTokens::default();
        let access: Vec<String> = (0..2000)
            .map(|n| format!(r#"{{"type":"repository","name":"n{n}","actions":["pull","*"]}}"#))
            .collect();
        let text = format!(r#"{{"sub":"a","access":[{}]}}"#, access.join(","));
        let claims = Claims::parse(text.as_bytes()).unwrap();
        // What the text took is a bound from below of what it takes as lists of strings.
        assert!(claims.size_bytes() > text.len(), "{} bytes", claims.size_bytes());
        for number in 0..1000_u32 {
            verified.insert(VerifiedTokens::key(&number.to_be_bytes()), Arc::new(claims.clone()));
        }
        assert!(verified.0.weight() <= MOST_BYTES);
        let small = Arc::new(Claims::parse(b"{}").unwrap());
        verified.insert(VerifiedTokens::key(b"small"), small);
        assert!(verified.get(&VerifiedTokens::key(b"small")).is_some());
    }
}
