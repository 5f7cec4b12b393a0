//! `Token`: the access controller for bearer tokens.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderValue;
use rustls::pki_types::UnixTime;
use sampan_config::SigningAlgorithm;

use super::claims::Claims;
use super::error::TokenError;
use super::jws::{Jws, MAX_TOKEN_BYTES};
use super::keys::{KeySettings, Keys};
use super::refusal::Refusal;
use crate::auth::access::{Access, Action, Resource};
use crate::auth::challenge::Challenge;
use crate::auth::controller::{AccessController, ChallengeReason, Credentials, Denied, Grant};
use crate::auth::logged_text::LoggedText;

/// The requirements on tokens.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// Where clients obtain a token.
    pub realm: Realm,
    /// The name of this registry: the required audience.
    pub service: String,
    /// The required issuer.
    pub issuer: String,
    /// The accepted signature algorithms.
    pub algorithms: Vec<SigningAlgorithm>,
    /// The sources of trusted keys.
    pub keys: KeySettings,
}

/// Where clients obtain a token.
#[derive(Clone, Debug)]
pub enum Realm {
    /// A fixed URL.
    Fixed(String),
    /// A path on the host under which the client knows this registry.
    OwnHost {
        /// The path.
        path: String,
        /// The realm to send when that host is unknown.
        otherwise: String,
    },
}

/// An access controller for bearer tokens.
pub struct Token {
    realm: Realm,
    service: String,
    issuer: String,
    algorithms: Vec<SigningAlgorithm>,
    keys: Keys,
}

/// The error of a challenge, in the terms of RFC 6750.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum BearerError {
    /// No error: the request had no token.
    Nothing(ChallengeReason),
    Invalid,
    Insufficient,
}

impl Token {
    /// Reads the keys.
    ///
    /// # Errors
    ///
    /// A key file is not usable, or the realm or service is not a valid header value. Keys that cannot be
    /// *fetched* are not an error: until they arrive, tokens cannot be verified, and the log says so.
    pub async fn open(settings: TokenSettings) -> Result<Self, TokenError> {
        let TokenSettings { realm, service, issuer, algorithms, keys } = settings;
        let (Realm::Fixed(sent) | Realm::OwnHost { path: sent, .. }) = &realm;
        Challenge::new("Bearer").with("realm", sent)?.with("service", &service)?;
        let keys = Keys::open(keys).await?;
        Ok(Self { realm, service, issuer, algorithms, keys })
    }

    /// Checks whether [`open`](Self::open) would succeed, without asking a server.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn check(settings: TokenSettings) -> Result<(), TokenError> {
        let (Realm::Fixed(sent) | Realm::OwnHost { path: sent, .. }) = &settings.realm;
        Challenge::new("Bearer").with("realm", sent)?.with("service", &settings.service)?;
        Keys::check(settings.keys).await
    }

    /// Reads and fetches the keys again at once, as on SIGHUP. The caller logs the error.
    ///
    /// # Errors
    ///
    /// The keys are not usable; the old ones remain in use.
    pub async fn reload(&self) -> Result<(), TokenError> {
        self.keys.reload().await
    }

    /// Watches the key files and polls the key URL while it is polled.
    pub async fn watch(&self) {
        self.keys.watch().await;
    }

    /// Verifies the token and returns its claims.
    async fn verify(&self, token: &[u8]) -> Result<Arc<Claims>, Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::TooLong { limit: MAX_TOKEN_BYTES });
        }
        let now = UnixTime::now();
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let keyring = self.keys.current();
        if let Some(claims) = keyring.verified.get(token) {
            claims.check_time(seconds)?;
            return Ok(claims);
        }
        let text = std::str::from_utf8(token).map_err(|_| Refusal::NotCompact)?;
        let jws = Jws::parse(text)?;
        if !self.algorithms.contains(&jws.algorithm) {
            return Err(Refusal::Algorithm(LoggedText::new(jws.algorithm.as_str())));
        }
        let claims = Arc::new(Claims::parse(&jws.payload)?);
        // Check the claims first: the result is not trusted before the signature is verified, but a refusal
        // saves that work.
        claims.check(&self.issuer, &self.service, seconds)?;
        let keyring = match keyring.verify(&jws, now) {
            Err(unknown @ Refusal::UnknownKey(_)) => {
                self.keys.ask_about_an_unknown_key().await;
                let keyring = self.keys.current();
                match keyring.verify(&jws, now) {
                    Ok(()) => keyring,
                    Err(Refusal::UnknownKey(_)) if self.keys.are_missing() => return Err(Refusal::NoKeysYet),
                    Err(Refusal::UnknownKey(_)) => return Err(unknown),
                    Err(other) => return Err(other),
                }
            }
            verified => verified.map(|()| keyring)?,
        };
        keyring.verified.insert(token, Arc::clone(&claims));
        Ok(claims)
    }

    fn challenge(&self, credentials: &Credentials<'_>, wanted: &[Access], wrong: BearerError) -> Denied {
        let reason = match wrong {
            BearerError::Nothing(reason) => reason,
            BearerError::Invalid => ChallengeReason::Invalid,
            BearerError::Insufficient => ChallengeReason::Insufficient,
        };
        let header = self.header(credentials, wanted, wrong);
        // Header creation cannot fail: the parameters were checked at the start, and names have no control
        // characters.
        let challenges = header.into_iter().collect();
        Denied::Challenge { challenges, reason }
    }

    fn header(
        &self,
        credentials: &Credentials<'_>,
        wanted: &[Access],
        wrong: BearerError,
    ) -> Option<HeaderValue> {
        let realm = match &self.realm {
            Realm::Fixed(realm) => realm.clone(),
            Realm::OwnHost { path, otherwise } => {
                credentials.origin().map_or_else(|| otherwise.clone(), |origin| format!("{origin}{path}"))
            }
        };
        let mut challenge =
            Challenge::new("Bearer").with("realm", &realm).ok()?.with("service", &self.service).ok()?;
        if !wanted.is_empty() {
            challenge = challenge.with("scope", &scope(wanted)).ok()?;
        }
        challenge = match wrong {
            BearerError::Nothing(_) => challenge,
            BearerError::Invalid => challenge.with("error", "invalid_token").ok()?,
            BearerError::Insufficient => challenge.with("error", "insufficient_scope").ok()?,
        };
        Some(challenge.into_header())
    }
}

#[async_trait]
impl AccessController for Token {
    async fn authorize(&self, credentials: &Credentials<'_>, wanted: &[Access]) -> Result<Grant, Denied> {
        let challenge = |wrong| self.challenge(credentials, wanted, wrong);
        let Some(header) = credentials.authorization else {
            return Err(challenge(BearerError::Nothing(ChallengeReason::Missing)));
        };
        let Some(token) = bearer(header) else {
            return Err(challenge(BearerError::Nothing(ChallengeReason::Unreadable)));
        };
        let claims = match self.verify(token).await {
            Ok(claims) => claims,
            Err(Refusal::NoKeysYet) => return Err(Denied::Unavailable),
            Err(refusal) => {
                let client = credentials.client_text();
                tracing::info!(client, "refused a token: {refusal}");
                return Err(challenge(BearerError::Invalid));
            }
        };
        if !claims.allow(wanted) {
            return Err(challenge(BearerError::Insufficient));
        }
        Ok(Grant { user: claims.user().map(str::to_owned), is_limited: true, ..Grant::default() })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("realm", &self.realm)
            .field("service", &self.service)
            .field("issuer", &self.issuer)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

/// The token in an `Authorization` header.
pub(in crate::auth) fn bearer(header: &HeaderValue) -> Option<&[u8]> {
    let bytes = header.as_bytes();
    let blank = bytes.iter().position(|byte| *byte == b' ')?;
    let (scheme, token) = (&bytes[..blank], &bytes[blank + 1..]);
    (scheme.eq_ignore_ascii_case(b"bearer") && !token.is_empty()).then_some(token)
}

/// The wanted scopes, one per resource: `repository:a/b:pull,push registry:catalog:*`.
pub(in crate::auth) fn scope(wanted: &[Access]) -> String {
    let mut resources: Vec<(&Resource, Vec<Action>)> = Vec::new();
    for Access { resource, action } in wanted {
        match resources.iter_mut().find(|(known, _)| *known == resource) {
            Some((_, actions)) if actions.contains(action) => {}
            Some((_, actions)) => actions.push(*action),
            None => resources.push((resource, vec![*action])),
        }
    }
    let scope = |(resource, actions): &(&Resource, Vec<Action>)| {
        let actions: Vec<&str> = actions.iter().map(|action| action.as_str()).collect();
        format!("{}:{}:{}", resource.kind(), resource.name(), actions.join(","))
    };
    resources.iter().map(scope).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[path = "controller_tests.rs"]
mod tests;
