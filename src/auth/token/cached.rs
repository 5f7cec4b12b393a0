//! `VerifiedTokens`: recently verified tokens, because a pull sends the same token with every layer.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};
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
const VERIFIED_TTL: Duration = Duration::from_secs(60);

/// The end of a token that is hashed to find it: the larger part of its signature, which no other token has.
const HASHED_BYTES: usize = 64;

/// Verified tokens, by all their bytes.
pub(in crate::auth) struct VerifiedTokens(Cache<CachedTokenKey, Verified, ByBytes>);

/// A token as a key. It is found by its end, and counts as the same if all bytes are: a hash of all bytes that no other token
/// can have would cost more than all other look-ups of a request.
#[derive(Clone)]
struct CachedTokenKey(Box<[u8]>);

/// The token of a look-up, borrowed.
struct TokenQuery<'a>(&'a [u8]);

#[derive(Clone)]
struct Verified {
    claims: Arc<Claims>,
    at: Instant,
}

/// Weighs tokens by their size in memory.
#[derive(Clone)]
struct ByBytes;

impl Hash for TokenQuery<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0[self.0.len().saturating_sub(HASHED_BYTES)..].hash(state);
    }
}

impl Hash for CachedTokenKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        TokenQuery(&self.0).hash(state);
    }
}

impl PartialEq for CachedTokenKey {
    fn eq(&self, other: &Self) -> bool {
        TokenQuery(&self.0).equivalent(other)
    }
}

impl Eq for CachedTokenKey {}

impl Equivalent<CachedTokenKey> for TokenQuery<'_> {
    /// Takes the same time for each token of one length.
    fn equivalent(&self, kept: &CachedTokenKey) -> bool {
        verify_slices_are_equal(self.0, &kept.0).is_ok()
    }
}

impl Weighter<CachedTokenKey, Verified> for ByBytes {
    fn weight(&self, token: &CachedTokenKey, verified: &Verified) -> u64 {
        ENTRY_BYTES + token.0.len() as u64 + verified.claims.size_bytes() as u64
    }
}

impl Default for VerifiedTokens {
    fn default() -> Self {
        Self(Cache::with_weighter(USUAL_TOKENS, MAX_BYTES, ByBytes))
    }
}

impl VerifiedTokens {
    pub(in crate::auth) fn get(&self, token: &[u8]) -> Option<Arc<Claims>> {
        let verified = self.0.get(&TokenQuery(token))?;
        (verified.at.elapsed() < VERIFIED_TTL).then_some(verified.claims)
    }

    pub(in crate::auth) fn insert(&self, token: &[u8], claims: Arc<Claims>) {
        self.0.insert(CachedTokenKey(token.into()), Verified { claims, at: Instant::now() });
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
            verified.insert(&number.to_be_bytes(), Arc::new(claims.clone()));
        }
        assert!(verified.0.weight() <= MAX_BYTES);
        let small = Arc::new(Claims::parse(b"{}").unwrap());
        verified.insert(b"small", small);
        assert!(verified.get(b"small").is_some());
    }

    #[test]
    fn a_token_with_the_end_of_another_is_another() {
        let verified = VerifiedTokens::default();
        let signature = "s".repeat(86);
        let token = |payload: &str| format!("header.{payload}.{signature}").into_bytes();
        verified.insert(&token("payload"), Arc::new(Claims::parse(b"{}").unwrap()));
        assert!(verified.get(&token("payload")).is_some());
        for other in ["PAYLOAD", "payloae", "payloa", "payloadx", ""] {
            assert!(verified.get(&token(other)).is_none(), "{other}");
        }
        assert!(verified.get(signature.as_bytes()).is_none() && verified.get(b"").is_none());
    }
}
