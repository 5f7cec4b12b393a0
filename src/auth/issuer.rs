//! `Issuer`: signs this registry's own tokens, and verifies them.
//!
//! A token is a JWS (RFC 7515) with the claims of Distribution's tokens (`docs/content/spec/auth/jwt.md`), and
//! with `cred`, the credential that it was issued for. It is a ceiling and no licence: the rules are asked
//! again with each request, and so is the credential.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sampan_config::{AccessTokensConfig, SigningAlgorithm};
use serde_json::json;
use uuid::Uuid;

use super::access::Action;
use super::scope::Scope;
use super::signing_keys::{SigningKeyError, SigningKeys};
use super::token::own::{Claims, Jws, KeyHint, LEEWAY_SECS, MAX_TOKEN_BYTES, Refusal};
use crate::blocking::on_blocking_pool;

/// Signs and verifies this registry's own tokens.
#[derive(Debug)]
pub(super) struct Issuer {
    service: String,
    issuer: String,
    lifetime: Duration,
    path: Option<PathBuf>,
    keys: ArcSwap<SigningKeys>,
}

/// The claims of a token.
#[derive(Clone, Debug)]
pub(super) struct Statement<'a> {
    /// The user; `None` for an anonymous client.
    pub(super) user: Option<&'a str>,
    /// The credential, as [`Claims::credential`] returns it.
    pub(super) credential: &'a str,
    /// The access that it grants.
    pub(super) access: &'a [(Scope, Vec<Action>)],
}

impl Issuer {
    /// Reads the keys at `path`, and creates a missing file. Without a path, a key lasts as long as this
    /// process.
    ///
    /// # Errors
    ///
    /// The file is not usable, or the system has no random numbers.
    pub(super) async fn open(
        service: String,
        lifetime: Duration,
        path: Option<PathBuf>,
    ) -> Result<Self, SigningKeyError> {
        let keys = match path.clone() {
            Some(path) => on_blocking_pool(move || SigningKeys::open(&path)).await?,
            None => SigningKeys::of_this_process().map_err(|source: io::Error| SigningKeyError::Create {
                path: PathBuf::from("in memory"),
                source,
            })?,
        };
        let issuer = format!("sampan:{service}");
        Ok(Self { service, issuer, lifetime, path, keys: ArcSwap::from_pointee(keys) })
    }

    /// Reads the keys again. The caller logs the error.
    ///
    /// # Errors
    ///
    /// The file is not usable; the old keys remain in use.
    pub(super) async fn reload(&self) -> Result<(), SigningKeyError> {
        let Some(path) = self.path.clone() else { return Ok(()) };
        let keys = on_blocking_pool(move || SigningKeys::read(&path)).await?;
        self.keys.store(Arc::new(keys));
        Ok(())
    }

    /// A secret for the sessions of the web page from each key, that of the key that signs first; `None` if the key lasts no
    /// longer than this process.
    pub(super) fn session_secrets(&self) -> Option<Vec<[u8; 32]>> {
        self.path.as_ref().map(|_| self.keys.load().session_secrets().to_vec())
    }

    /// The name of this registry in challenges and tokens.
    pub(super) fn service(&self) -> &str {
        &self.service
    }

    /// How long a token is valid.
    pub(super) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Signs a token that is valid from now on.
    pub(super) fn issue(&self, statement: &Statement<'_>) -> String {
        let keys = self.keys.load();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let access = statement.access.iter().map(|(scope, actions)| {
            let actions: Vec<&str> = actions.iter().map(|action| action.as_str()).collect();
            json!({ "type": scope.resource().kind(), "name": scope.resource().name(), "actions": actions })
        });
        let claims = json!({
            "iss": self.issuer,
            "sub": statement.user.unwrap_or_default(),
            "aud": self.service,
            "iat": now,
            "nbf": now,
            "exp": now + self.lifetime.as_secs(),
            "jti": Uuid::new_v4().simple().to_string(),
            "cred": statement.credential,
            "access": access.collect::<Vec<_>>(),
        });
        let header = json!({ "alg": SigningAlgorithm::EdDsa.as_str(), "typ": "JWT", "kid": keys.id() });
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut token =
            [encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes())].join(".");
        let signature = encode(&keys.sign(token.as_bytes()));
        token.push('.');
        token.push_str(&signature);
        token
    }

    /// Verifies a token: its key, signature, issuer, audience and dates.
    pub(super) fn verify(&self, token: &[u8]) -> Result<Arc<Claims>, Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::TooLong { limit: MAX_TOKEN_BYTES });
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let keys = self.keys.load();
        if let Some(claims) = keys.verified.get(token) {
            check_time(&claims, now)?;
            return Ok(claims);
        }
        let jws = Jws::parse(std::str::from_utf8(token).map_err(|_| Refusal::NotCompact)?);
        let jws = jws.map_err(|refusal| match refusal {
            // The text is for the tokens of a token server.
            Refusal::Algorithm(_) => Refusal::NotOurs,
            other => other,
        })?;
        let KeyHint::Id(id) = &jws.key else { return Err(Refusal::NotOurs) };
        let key = keys.key(id).ok_or(Refusal::NotOurs)?;
        if jws.algorithm != SigningAlgorithm::EdDsa
            || !key.verifies(jws.algorithm, jws.signed, &jws.signature)
        {
            return Err(Refusal::Signature);
        }
        let claims = Claims::parse(&jws.payload)?;
        match claims.check(&self.issuer, &self.service, now) {
            Err(Refusal::Issuer(_) | Refusal::Audience(_)) => return Err(Refusal::NotOurs),
            other => other?,
        }
        check_time(&claims, now)?;
        // A key may have signed other things than our tokens.
        if claims.credential().is_none() {
            return Err(Refusal::NotOurs);
        }
        let claims = Arc::new(claims);
        keys.verified.insert(token, Arc::clone(&claims));
        Ok(claims)
    }
}

/// Checks the dates, and that the token ends as early as each of ours, whatever lifetime its replica has.
fn check_time(claims: &Claims, now: i64) -> Result<(), Refusal> {
    claims.check_time(now)?;
    let left = claims.seconds_left(now);
    let longest = AccessTokensConfig::LONGEST_LIFETIME.as_secs();
    match u64::try_from(left.saturating_sub(LEEWAY_SECS)).is_ok_and(|left| left > longest) {
        true => Err(Refusal::LivesTooLong(left)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Access;

    async fn issuer(service: &str) -> Issuer {
        Issuer::open(service.to_owned(), Duration::from_secs(300), None).await.unwrap()
    }

    fn token(issuer: &Issuer) -> String {
        let scope = Scope::parse("repository:team/app:pull").unwrap();
        let access = [(scope, vec![Action::Pull])];
        issuer.issue(&Statement { user: Some("alice"), credential: "p:1", access: &access })
    }

    #[tokio::test]
    async fn a_token_says_what_it_was_issued_for() {
        let issuer = issuer("here").await;
        let token = token(&issuer);
        for _ in 0..2 {
            let claims = issuer.verify(token.as_bytes()).unwrap();
            assert_eq!((claims.user(), claims.credential()), (Some("alice"), Some("p:1")));
            assert!(claims.allow(&[Access::pull("team/app".parse().unwrap())]));
            assert!(!claims.allow(&[Access::push("team/app".parse().unwrap())]));
        }
    }

    #[tokio::test]
    async fn each_changed_letter_of_a_token_is_noticed() {
        let issuer = issuer("here").await;
        let token = token(&issuer);
        for index in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            assert!(issuer.verify(&bytes).is_err(), "letter {index}");
        }
        for cut in 0..token.len() {
            assert!(issuer.verify(&token.as_bytes()[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn tokens_of_another_key_or_service_are_not_ours() {
        let (here, there) = (issuer("here").await, issuer("here").await);
        assert!(matches!(here.verify(token(&there).as_bytes()), Err(Refusal::NotOurs)));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.pem");
        let open = async |service: &str| {
            Issuer::open(service.to_owned(), Duration::from_secs(300), Some(path.clone())).await.unwrap()
        };
        let (one, same, other) = (open("one").await, open("one").await, open("other").await);
        same.verify(token(&one).as_bytes()).unwrap();
        assert!(matches!(other.verify(token(&one).as_bytes()), Err(Refusal::NotOurs)));
    }
}
