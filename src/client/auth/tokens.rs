//! `TokenCache`: the tokens of a client, by credential and scope.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::HeaderValue;
use parking_lot::Mutex;
use serde::Deserialize;

use super::scope::Scope;
use crate::error::ClientError;
use crate::hasher::fingerprint;

/// The purpose of a token, as a hash: the registry chooses how long its parts are.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct TokenKey([u8; 32]);

impl TokenKey {
    /// The key of a token that a credential, by its fingerprint, gets from the token server `realm`.
    pub(crate) fn new(credential: &[u8; 32], realm: &str, service: Option<&str>, scope: &Scope) -> Self {
        let text = scope.to_text();
        let parts = [realm, &text].into_iter().chain(service).map(str::as_bytes);
        Self(fingerprint(std::iter::once(&credential[..]).chain(parts)))
    }
}

/// A token as a header.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) header: HeaderValue,
    /// On the client's clock, when a new one is fetched: after 80 % of its life.
    pub(crate) renew_at: Duration,
}

/// The entry of one token. A fetch holds its lock, so a key is fetched once at a time.
#[derive(Debug, Default)]
pub(crate) struct TokenEntry {
    /// How many fetches ended: a request sees whether one did while it waited.
    pub(crate) fetches: AtomicU64,
    pub(crate) state: tokio::sync::Mutex<TokenState>,
}

#[derive(Debug, Default)]
pub(crate) struct TokenState {
    pub(crate) token: Option<Token>,
    /// Scopes of the registry's challenges, to be asked for besides the key's; as text, which takes less memory.
    pub(crate) more: String,
    /// Why the last fetch failed, for the requests that waited for it.
    pub(crate) failure: Option<ClientError>,
}

/// The tokens so far.
#[derive(Debug, Default)]
pub(crate) struct TokenCache {
    /// Locked for look-ups only.
    entries: Mutex<HashMap<TokenKey, Arc<TokenEntry>>>,
}

/// The most tokens to remember: with [`MAX_TOKEN_BYTES`] and those of scopes and errors, 24 MiB.
const MAX_TOKENS: usize = 1024;
/// The longest token to accept; web servers refuse headers of this length.
const MAX_TOKEN_BYTES: usize = 16 << 10;
/// The shortest life of a token, and the life without `expires_in` (Distribution, `docs/spec/auth/token.md`).
const MIN_LIFE: Duration = Duration::from_secs(60);
const MAX_LIFE: Duration = Duration::from_secs(24 * 3600);

impl TokenCache {
    /// The entry of a token, made if it is missing.
    pub(crate) fn entry(&self, key: TokenKey) -> Arc<TokenEntry> {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get(&key) {
            return entry.clone();
        }
        if entries.len() >= MAX_TOKENS {
            // An entry in use stays alive with its user. Which token goes does not matter: it is fetched again.
            let some: Vec<_> = entries.keys().take(MAX_TOKENS / 4).copied().collect();
            for key in some {
                entries.remove(&key);
            }
        }
        entries.entry(key).or_default().clone()
    }
}

impl Token {
    /// Reads a token server's answer (Distribution, `docs/spec/auth/token.md`). Its life counts from `now` on the client's
    /// clock; `issued_at` is on another one.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the answer; never shows it.
    pub(crate) fn parse(body: &[u8], now: Duration) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
            expires_in: Option<serde_json::Value>,
        }
        let answer: Answer =
            serde_json::from_slice(body).map_err(|_| "it is not a JSON document with a token")?;
        let is_some = |token: &String| !token.is_empty();
        let token =
            answer.token.filter(is_some).or(answer.access_token.filter(is_some)).ok_or("it has no token")?;
        if token.len() > MAX_TOKEN_BYTES {
            return Err("its token is longer than 16 KiB");
        }
        let mut header = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| "its token is not the value of a header")?;
        header.set_sensitive(true);
        let seconds = answer.expires_in.and_then(|value| value.as_f64()).unwrap_or_default();
        let life = Duration::try_from_secs_f64(seconds).unwrap_or_default().clamp(MIN_LIFE, MAX_LIFE);
        Ok(Self { header, renew_at: now + life.mul_f64(0.8) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renewal(expires_in: &str) -> u64 {
        let body = format!(r#"{{"token":"t"{expires_in}}}"#);
        Token::parse(body.as_bytes(), Duration::from_secs(1000)).unwrap().renew_at.as_secs() - 1000
    }

    #[test]
    fn a_token_is_renewed_at_four_fifths_of_its_life() {
        assert_eq!(renewal(r#","expires_in":300"#), 240);
        for default in [
            "",
            r#","expires_in":1"#,
            r#","expires_in":-5"#,
            r#","expires_in":null"#,
            r#","expires_in":"300""#,
        ] {
            assert_eq!(renewal(default), 48, "{default}");
        }
        assert_eq!(renewal(r#","expires_in":1e300"#), 48);
        assert_eq!(renewal(r#","expires_in":99999999999"#), 24 * 3600 / 5 * 4);
    }

    #[test]
    fn both_names_of_the_token_count() {
        for body in [r#"{"token":"a"}"#, r#"{"access_token":"a"}"#, r#"{"token":"","access_token":"a"}"#] {
            let token = Token::parse(body.as_bytes(), Duration::ZERO).unwrap();
            assert_eq!(token.header, "Bearer a");
            assert!(token.header.is_sensitive());
        }
    }

    #[test]
    fn an_answer_without_a_usable_token_is_refused() {
        let long = format!(r#"{{"token":"{}"}}"#, "x".repeat(MAX_TOKEN_BYTES + 1));
        for body in ["", "[]", "{}", r#"{"token":""}"#, r#"{"token":"a\r\nX: y"}"#, r#"{"token":5}"#, &long] {
            assert!(Token::parse(body.as_bytes(), Duration::ZERO).is_err(), "{body:.99}");
        }
    }

    #[test]
    fn the_cache_has_a_bound() {
        let cache = TokenCache::default();
        for n in 0..5 * MAX_TOKENS {
            cache.entry(TokenKey::new(&[0; 32], &format!("https://{n}/"), None, &Scope::default()));
        }
        assert!(cache.entries.lock().len() <= MAX_TOKENS);
    }

    #[test]
    fn tokens_for_different_things_have_different_keys() {
        let key =
            |realm: &str, service, scope: &str| TokenKey::new(&[0; 32], realm, service, &Scope::parse(scope));
        let all = [
            TokenKey::new(&[1; 32], "a", None, &Scope::default()),
            key("a", None, ""),
            key("b", None, ""),
            key("a", Some(""), ""),
            key("a", Some("b"), ""),
            key("a", None, "repository:a:pull"),
            key("a", None, "repository:a:pull,push"),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
