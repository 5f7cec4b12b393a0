//! `Token`: the access controller over tokens.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderValue;
use rustls::pki_types::UnixTime;

use super::algorithm::Algorithm;
use super::cached::VerifiedTokens;
use super::claims::Claims;
use super::error::TokenError;
use super::jws::{Jws, LONGEST};
use super::keys::{KeySettings, Keys};
use super::refusal::Refusal;
use crate::auth::access::{Access, Action, Resource};
use crate::auth::challenge::Challenge;
use crate::auth::controller::{AccessController, ChallengeReason, Credentials, Denied, Grant};
use crate::auth::shown::Shown;

/// What tokens must be like.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// Where clients get a token.
    pub realm: Realm,
    /// The name of this registry: tokens are for it.
    pub service: String,
    /// Who must have issued a token.
    pub issuer: String,
    /// What a token may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// Whose signatures count.
    pub keys: KeySettings,
}

/// Where clients get a token.
#[derive(Clone, Debug)]
pub enum Realm {
    /// At this URL.
    Fixed(String),
    /// At this path of the host by which the client calls us.
    OwnHost {
        /// The path.
        path: String,
        /// What to say when it is not known what the client calls us.
        otherwise: String,
    },
}

/// An access controller over tokens.
pub struct Token {
    realm: Realm,
    service: String,
    issuer: String,
    algorithms: Vec<Algorithm>,
    keys: Keys,
}

/// What was wrong, in the words of RFC 6750.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wrong {
    /// Nothing: there was no token.
    Nothing(ChallengeReason),
    Invalid,
    Insufficient,
}

impl Token {
    /// Reads the keys.
    ///
    /// # Errors
    ///
    /// When a file of keys cannot be used, or the realm or service cannot be sent in a header. Keys that cannot be
    /// *fetched* are not an error: until they are there, tokens cannot be judged, and the log says so.
    pub async fn open(settings: TokenSettings) -> Result<Self, TokenError> {
        let TokenSettings { realm, service, issuer, algorithms, keys } = settings;
        let (Realm::Fixed(sent) | Realm::OwnHost { path: sent, .. }) = &realm;
        Challenge::new("Bearer").with("realm", sent)?.with("service", &service)?;
        let keys = Keys::open(keys).await?;
        Ok(Self { realm, service, issuer, algorithms, keys })
    }

    /// Looks whether [`open`](Self::open) would succeed, without asking a server.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn check(settings: TokenSettings) -> Result<(), TokenError> {
        let (Realm::Fixed(sent) | Realm::OwnHost { path: sent, .. }) = &settings.realm;
        Challenge::new("Bearer").with("realm", sent)?.with("service", &settings.service)?;
        Keys::check(settings.keys).await
    }

    /// Reads, and fetches, the keys again at once, as on SIGHUP. The caller logs the error.
    ///
    /// # Errors
    ///
    /// When they cannot be used; the old ones stay in force.
    pub async fn reload(&self) -> Result<(), TokenError> {
        self.keys.reload().await
    }

    /// Follows the files and the URL of keys for as long as it is polled.
    pub async fn watch(&self) {
        self.keys.watch().await;
    }

    /// What the token says, when it can be believed.
    async fn verify(&self, token: &[u8]) -> Result<Arc<Claims>, Refusal> {
        if token.len() > LONGEST {
            return Err(Refusal::TooLong { limit: LONGEST });
        }
        let now = UnixTime::now();
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let (keyring, hash) = (self.keys.current(), VerifiedTokens::key(token));
        if let Some(claims) = keyring.verified.get(&hash) {
            claims.check_time(seconds)?;
            return Ok(claims);
        }
        let token = std::str::from_utf8(token).map_err(|_| Refusal::NotCompact)?;
        let jws = Jws::parse(token)?;
        if !self.algorithms.contains(&jws.algorithm) {
            return Err(Refusal::Algorithm(Shown::new(jws.algorithm.name())));
        }
        let claims = Arc::new(Claims::parse(&jws.payload)?);
        // Nothing of this is believed before the signature was checked, but what is wrong anyway need not be.
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
        keyring.verified.insert(hash, Arc::clone(&claims));
        Ok(claims)
    }

    fn challenge(&self, credentials: &Credentials<'_>, wanted: &[Access], wrong: Wrong) -> Denied {
        let reason = match wrong {
            Wrong::Nothing(reason) => reason,
            Wrong::Invalid => ChallengeReason::Invalid,
            Wrong::Insufficient => ChallengeReason::Insufficient,
        };
        let header = self.header(credentials, wanted, wrong);
        // What was checked at the start can be sent, and so can names, whose grammar has no control characters.
        let challenges = header.into_iter().collect();
        Denied::Challenge { challenges, reason }
    }

    fn header(&self, credentials: &Credentials<'_>, wanted: &[Access], wrong: Wrong) -> Option<HeaderValue> {
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
            Wrong::Nothing(_) => challenge,
            Wrong::Invalid => challenge.with("error", "invalid_token").ok()?,
            Wrong::Insufficient => challenge.with("error", "insufficient_scope").ok()?,
        };
        Some(challenge.into_header())
    }
}

#[async_trait]
impl AccessController for Token {
    async fn authorize(&self, credentials: &Credentials<'_>, wanted: &[Access]) -> Result<Grant, Denied> {
        let challenge = |wrong| self.challenge(credentials, wanted, wrong);
        let Some(header) = credentials.authorization else {
            return Err(challenge(Wrong::Nothing(ChallengeReason::Missing)));
        };
        let Some(token) = bearer(header) else {
            return Err(challenge(Wrong::Nothing(ChallengeReason::Unreadable)));
        };
        let claims = match self.verify(token).await {
            Ok(claims) => claims,
            Err(Refusal::NoKeysYet) => return Err(Denied::Unavailable),
            Err(refusal) => {
                let client = credentials.client.map(|client| client.to_canonical().to_string());
                tracing::info!(client, "a token was refused: {refusal}");
                return Err(challenge(Wrong::Invalid));
            }
        };
        if !claims.allow(wanted) {
            return Err(challenge(Wrong::Insufficient));
        }
        Ok(Grant { user: claims.user().map(str::to_owned) })
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

/// The token of an `Authorization` header, if it has one.
fn bearer(header: &HeaderValue) -> Option<&[u8]> {
    let bytes = header.as_bytes();
    let blank = bytes.iter().position(|byte| *byte == b' ')?;
    let (scheme, token) = (&bytes[..blank], &bytes[blank + 1..]);
    (scheme.eq_ignore_ascii_case(b"bearer") && !token.is_empty()).then_some(token)
}

/// What is wanted, one scope a resource: `repository:a/b:pull,push registry:catalog:*`.
fn scope(wanted: &[Access]) -> String {
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
