//! `VerifiedTokens`: recently verified tokens, because a pull sends the same token with every layer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::claims::Claims;

/// The expected number of tokens and the most bytes they may take: an authenticated client can obtain tokens
/// of any size.
const USUAL_TOKENS: usize = 4096;
const MAX_BYTES: u64 = 8 << 20;

/// The estimated size of an entry without its claims.
const ENTRY_BYTES: u64 = 128;

/// How long a verified signature is not checked again. The dates are checked on each use. This bounds how
/// long a certificate of the chain may already have expired, and does not exceed the leeway of dates.
const BELIEVED_FOR: Duration = Duration::from_secs(60);

/// Verified tokens, by the hash of all their bytes.
pub(in crate::auth) struct VerifiedTokens(Cache<[u8; 32], Verified, ByBytes>);

#[derive(Clone)]
struct Verified {
    claims: Arc<Claims>,
    at: Instant,
}

/// Weighs tokens by their size in memory.
#[derive(Clone)]
struct ByBytes;

impl Weighter<[u8; 32], Verified> for ByBytes {
    fn weight(&self, _: &[u8; 32], verified: &Verified) -> u64 {
        ENTRY_BYTES + verified.claims.size_bytes() as u64
    }
}

impl Default for VerifiedTokens {
    fn default() -> Self {
        Self(Cache::with_weighter(USUAL_TOKENS, MAX_BYTES, ByBytes))
    }
}

impl VerifiedTokens {
    pub(in crate::auth) fn key(token: &[u8]) -> [u8; 32] {
        Sha256::digest(token).into()
    }

    pub(in crate::auth) fn get(&self, key: &[u8; 32]) -> Option<Arc<Claims>> {
        let verified = self.0.get(key)?;
        (verified.at.elapsed() < BELIEVED_FOR).then_some(verified.claims)
    }

    pub(in crate::auth) fn insert(&self, key: [u8; 32], claims: Arc<Claims>) {
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
    fn the_largest_tokens_stay_within_the_byte_limit() {
        let verified = VerifiedTokens::default();
        let access: Vec<String> = (0..2000)
            .map(|n| format!(r#"{{"type":"repository","name":"n{n}","actions":["pull","*"]}}"#))
            .collect();
        let text = format!(r#"{{"sub":"a","access":[{}]}}"#, access.join(","));
        let claims = Claims::parse(text.as_bytes()).unwrap();
        // The text's size is a lower bound of its size as lists of strings.
        assert!(claims.size_bytes() > text.len(), "{} bytes", claims.size_bytes());
        for number in 0..1000_u32 {
            verified.insert(VerifiedTokens::key(&number.to_be_bytes()), Arc::new(claims.clone()));
        }
        assert!(verified.0.weight() <= MAX_BYTES);
        let small = Arc::new(Claims::parse(b"{}").unwrap());
        verified.insert(VerifiedTokens::key(b"small"), small);
        assert!(verified.get(&VerifiedTokens::key(b"small")).is_some());
    }
}
