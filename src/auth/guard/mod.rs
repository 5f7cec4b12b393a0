//! `Guard`: the access controller of `access`: who is it, what do the rules give, what does the credential allow.
//!
//! Credentials are a password, the secret of an access token, or one of the registry's own bearer tokens. The
//! rules are asked with each request, as they are at that time; a bearer token is a ceiling on top of them. All
//! of it comes before the store is asked, so a repository that a client may not see answers like a missing one.

mod caller;
mod counts;
mod examine;
mod issue;
mod session;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use sampan_config::CertificateName;
use sampan_engine::AccessTokenId;
use sampan_engine::oci::RepositoryName;

pub use self::counts::DecisionCounts;
pub use self::examine::{ExaminedGrant, ExaminedToken, is_of_access_token};
pub use self::issue::{IssuedToken, TokenRequest};

use self::caller::{Caller, Rejected};
use self::counts::Decision;
use super::access::{Access, Resource};
use super::access_tokens::AccessTokens;
use super::audit::{Audit, AuditEvent};
use super::challenge::{Challenge, InvalidParameter};
use super::controller::{AccessController, ChallengeReason, Credentials, Denied, Grant, View};
use super::htpasswd::Htpasswd;
use super::identity::Identity;
use super::issuer::Issuer;
use super::live_policy::{LivePolicy, LivePolicyError};
use super::signing_keys::{SigningKeyError, SigningKeys};
use super::throttle::{Throttle, ThrottleOptions};
use super::token::own::scope;
use crate::blocking::on_blocking_pool;

/// The path of the token endpoint, below the prefix.
pub const TOKEN_PATH: &str = "/auth/token";

/// The access controller of `access`.
pub struct Guard {
    policy: LivePolicy,
    passwords: Option<Arc<Htpasswd>>,
    tokens: AccessTokens,
    issuer: Issuer,
    basic: HeaderValue,
    throttle: Throttle,
    certificates: Vec<CertificateName>,
    audit: Audit,
    counts: DecisionCounts,
}

/// The settings of a [`Guard`].
#[derive(Debug)]
pub struct GuardSettings {
    /// The rules.
    pub policy: LivePolicy,
    /// The passwords; `None` if no user has one.
    pub passwords: Option<Arc<Htpasswd>>,
    /// The access tokens of the store.
    pub tokens: AccessTokens,
    /// The name of this registry in challenges and tokens.
    pub service: String,
    /// How long a bearer token is valid.
    pub lifetime: Duration,
    /// The file of the keys that sign bearer tokens; a missing one is created. `None` for a key that lasts as
    /// long as this process.
    pub signing_key: Option<PathBuf>,
    /// The names of a client certificate that may be a user, the preferred first; none if a certificate names no
    /// user.
    pub certificates: Vec<CertificateName>,
    /// Records decisions.
    pub audit: Audit,
}

/// An unusable setting of a [`Guard`].
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The service is not a valid header value.
    #[error("access.tokens.service")]
    Service(#[from] InvalidParameter),
    /// The signing keys are not usable.
    #[error(transparent)]
    Keys(#[from] SigningKeyError),
    /// The rules are not usable.
    #[error(transparent)]
    Rules(#[from] LivePolicyError),
}

impl Guard {
    /// Reads the signing keys, and creates a missing file of them.
    ///
    /// # Errors
    ///
    /// The keys are not usable, or the service is not a valid header value.
    pub async fn open(settings: GuardSettings) -> Result<Self, GuardError> {
        let GuardSettings { policy, passwords, tokens, service, lifetime, signing_key, certificates, audit } =
            settings;
        Challenge::new("Bearer").with("service", &service)?;
        let basic = match &passwords {
            Some(passwords) => passwords.basic_challenge().clone(),
            None => Challenge::new("Basic").with("realm", &service)?.into_header(),
        };
        let issuer = Issuer::open(service, lifetime, signing_key).await?;
        let throttle = Throttle::new(ThrottleOptions::default());
        let counts = DecisionCounts::default();
        Ok(Self { policy, passwords, tokens, issuer, basic, throttle, certificates, audit, counts })
    }

    /// Checks whether the file at `path` has usable signing keys.
    ///
    /// # Errors
    ///
    /// It has none.
    pub async fn check_keys(path: PathBuf) -> Result<(), GuardError> {
        Ok(on_blocking_pool(move || SigningKeys::read(&path)).await.map(drop)?)
    }

    /// The record of decisions.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The decisions so far.
    pub fn counts(&self) -> &DecisionCounts {
        &self.counts
    }

    /// The rules.
    pub fn policy(&self) -> &LivePolicy {
        &self.policy
    }

    /// Whether clients without a login may pull everything below a folder of repositories.
    pub async fn anonymous_may_pull_below(&self, folder: &RepositoryName) -> bool {
        self.policy.current().await.anonymous_may_pull_below(folder)
    }

    /// The passwords; `None` if no user has one.
    pub fn passwords(&self) -> Option<&Htpasswd> {
        self.passwords.as_deref()
    }

    /// Asks the store for an access token again, when it is next used.
    pub(super) fn forget_access_token(&self, id: AccessTokenId) {
        self.tokens.forget(id);
    }

    /// Reads the signing keys again. The caller logs the error.
    ///
    /// # Errors
    ///
    /// They are not usable; the old ones remain in use.
    pub async fn reload_keys(&self) -> Result<(), SigningKeyError> {
        self.issuer.reload().await
    }

    /// The name of this registry in challenges and tokens.
    pub fn service(&self) -> &str {
        self.issuer.service()
    }

    /// Counts and records that the rules do not give a user this scope.
    pub fn note_forbidden(
        &self,
        credentials: &Credentials<'_>,
        user: &str,
        token: Option<AccessTokenId>,
        scope: &str,
    ) {
        self.counts.decided(Decision::Forbidden);
        let denied = event("denied", credentials).with("user", Some(user));
        let denied = denied.with("token", token.map(|id| id.to_string())).with("scope", Some(scope));
        self.audit.note_once_a_minute(denied);
    }

    fn challenge(&self, credentials: &Credentials<'_>, wanted: &[Access], reason: ChallengeReason) -> Denied {
        // Docker's classic store answers both of two challenges, and fails at `Basic` if it has no password. So that one is
        // for clients that do not say how they call this registry, and for the token endpoint.
        let challenge = self.bearer(credentials, wanted, reason).unwrap_or_else(|| self.basic.clone());
        Denied::Challenge { challenges: vec![challenge], reason }
    }

    /// The challenge for a bearer token; `None` if the client did not say how it calls this registry.
    fn bearer(
        &self,
        credentials: &Credentials<'_>,
        wanted: &[Access],
        reason: ChallengeReason,
    ) -> Option<HeaderValue> {
        let realm = format!("{}{TOKEN_PATH}", credentials.base()?);
        let challenge = Challenge::new("Bearer").with("realm", &realm).ok()?;
        let mut challenge = challenge.with("service", self.issuer.service()).ok()?;
        if !wanted.is_empty() {
            challenge = challenge.with("scope", &scope(wanted)).ok()?;
        }
        let challenge = match reason {
            ChallengeReason::Invalid => challenge.with("error", "invalid_token").ok()?,
            ChallengeReason::Insufficient => challenge.with("error", "insufficient_scope").ok()?,
            _ => challenge,
        };
        Some(challenge.into_header())
    }
}

#[async_trait]
impl AccessController for Guard {
    async fn authorize(&self, credentials: &Credentials<'_>, wanted: &[Access]) -> Result<Grant, Denied> {
        if credentials.is_ambiguous {
            return Err(Denied::Ambiguous);
        }
        let challenge = |reason| self.challenge(credentials, wanted, reason);
        let Caller { identity, ceiling, .. } =
            self.identify(credentials).await.map_err(|rejected| match rejected {
                Rejected::Challenge(reason) => challenge(reason),
                Rejected::Denied(denied) => denied,
            })?;
        // Clients believe the answer to `GET /v2/`, which wants nothing, for all that follows. And the catalog depends on who
        // asks, while some clients send credentials only when they are asked.
        let depends = wanted.iter().all(|access| access.resource == Resource::Catalog);
        if !identity.is_known() && ceiling.is_none() && depends {
            return Err(challenge(ChallengeReason::Missing));
        }
        let policy = self.policy.current().await;
        let lacking: Vec<_> =
            wanted.iter().filter(|access| !policy.allows(&identity, access)).cloned().collect();
        if !lacking.is_empty() {
            return Err(match name(&identity) {
                None => {
                    self.counts.decided(Decision::LoginNeeded);
                    challenge(ChallengeReason::Missing)
                }
                Some(user) => {
                    self.note_forbidden(credentials, user, identity.token(), &scope(&lacking));
                    Denied::Forbidden { user: user.to_owned() }
                }
            });
        }
        let is_limited = ceiling.is_some();
        if ceiling.is_some_and(|ceiling| !ceiling.allow(wanted)) {
            self.counts.decided(Decision::InsufficientScope);
            return Err(challenge(ChallengeReason::Insufficient));
        }
        // A request that wants nothing asks for no rule.
        if !wanted.is_empty() {
            self.counts.decided(Decision::Allowed);
        }
        let (user, token) = (name(&identity).map(str::to_owned), identity.token());
        let view = match policy.sees_everything(&identity) {
            true => View::Everything,
            false => View::ByRules(policy, identity),
        };
        Ok(Grant { user, token, view, is_limited })
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("policy", &self.policy)
            .field("passwords", &self.passwords)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// An event of a request. Its id is not part of it, so that requests for the same are the same event.
fn event(name: &'static str, credentials: &Credentials<'_>) -> AuditEvent {
    AuditEvent::new(name).with("client", credentials.client_text())
}

/// The name of a known identity.
fn name(identity: &Identity) -> Option<&str> {
    identity.is_known().then(|| identity.name())
}
