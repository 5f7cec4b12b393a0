//! `Caller`: who a request is from, by its credentials.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::time::sleep;

use super::counts::TokenKind;
use super::{Guard, event};
use crate::auth::access_tokens::Unavailable;
use crate::auth::basic::BasicCredentials;
use crate::auth::certificate;
use crate::auth::controller::{ChallengeReason, Credentials, Denied};
use crate::auth::failed_login::warn_of_failed_login;
use crate::auth::identity::{Identity, Robot};
use crate::auth::token::own::{Claims, Refusal, bearer};
use crate::auth::token_secret::TokenSecret;

/// The credential of tokens that were issued without one.
pub(super) const NO_CREDENTIAL: &str = "none";

/// The credential of tokens that were issued for a client certificate.
pub(super) const CERTIFICATE: &str = "certificate";

/// Who a request is from.
pub(super) struct Caller {
    pub(super) identity: Identity,
    /// The credential, for tokens.
    pub(super) credential: String,
    /// The most that the bearer token grants.
    pub(super) ceiling: Option<Arc<Claims>>,
}

/// Why credentials do not count, before the challenge is known.
pub(super) enum Rejected {
    Challenge(ChallengeReason),
    Denied(Denied),
}

impl From<Denied> for Rejected {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Challenge { reason, .. } => Self::Challenge(reason),
            other => Self::Denied(other),
        }
    }
}

impl From<Unavailable> for Rejected {
    fn from(Unavailable: Unavailable) -> Self {
        Self::Denied(Denied::Unavailable)
    }
}

impl Guard {
    pub(super) async fn identify(&self, credentials: &Credentials<'_>) -> Result<Caller, Rejected> {
        let Some(header) = credentials.authorization else { return Ok(self.by_certificate(credentials)) };
        if let Some(token) = bearer(header) {
            return match self.by_token(token).await? {
                Ok(caller) => Ok(caller),
                Err(refusal) => {
                    let client = credentials.client_text();
                    self.counts.refused(&refusal);
                    tracing::info!(client, "refused a token: {refusal}");
                    Err(Rejected::Challenge(ChallengeReason::Invalid))
                }
            };
        }
        match BasicCredentials::parse(header) {
            Some(basic) => self.by_password(credentials, basic).await,
            None => Err(Rejected::Challenge(ChallengeReason::Unreadable)),
        }
    }

    /// The user of the client certificate, else an anonymous client.
    pub(super) fn by_certificate(&self, credentials: &Credentials<'_>) -> Caller {
        let certificate = credentials.certificate.filter(|_| !self.certificates.is_empty());
        match certificate.and_then(|der| certificate::user_of(der, &self.certificates)) {
            Some(user) => {
                Caller { identity: Identity::User(user), credential: CERTIFICATE.to_owned(), ceiling: None }
            }
            None => Caller::anonymous(),
        }
    }

    pub(super) async fn by_token(&self, token: &[u8]) -> Result<Result<Caller, Refusal>, Unavailable> {
        let claims = match self.issuer.verify(token) {
            Ok(claims) => claims,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let credential = claims.credential().unwrap_or_default().to_owned();
        let identity = match claims.user() {
            None if credential == NO_CREDENTIAL => Some(Identity::Anonymous),
            None => None,
            Some(user) => self.identity_of(user, &credential).await?,
        };
        let caller = identity.map(|identity| Caller { identity, credential, ceiling: Some(claims) });
        Ok(caller.ok_or(Refusal::Revoked))
    }

    /// The identity of a name whose credential was checked before, if that is still valid.
    pub(super) async fn identity_of(
        &self,
        name: &str,
        credential: &str,
    ) -> Result<Option<Identity>, Unavailable> {
        let user = || Identity::User(name.to_owned());
        Ok(match credential.split_once(':') {
            // The certificate counts where the token was issued; it lives no longer than the token.
            None if credential == CERTIFICATE && !self.certificates.is_empty() => Some(user()),
            Some(("password", id)) => match &self.passwords {
                Some(passwords) => passwords.has_password(name, id).await.then(user),
                None => None,
            },
            Some(("token", id)) => {
                let robot = self.tokens.robot(id).await?.filter(|robot| robot.name == name);
                self.with_its_user(robot).await.map(Identity::Robot)
            }
            _ => None,
        })
    }

    /// The robot, unless it acts for a user whom the password file no longer has. With client certificates a user needs no
    /// password, so then every user counts.
    pub(super) async fn with_its_user(&self, robot: Option<Arc<Robot>>) -> Option<Arc<Robot>> {
        let robot = robot?;
        let is_there = match (&robot.on_behalf_of, &self.passwords) {
            (Some(user), Some(passwords)) if self.certificates.is_empty() => {
                passwords.password_id(user).await.is_some()
            }
            _ => true,
        };
        is_there.then_some(robot)
    }

    pub(super) async fn by_password(
        &self,
        credentials: &Credentials<'_>,
        basic: BasicCredentials,
    ) -> Result<Caller, Rejected> {
        let user = String::from_utf8_lossy(&basic.user).into_owned();
        let caller = self.log_in(credentials.client, basic).await;
        if let Err(Rejected::Challenge(ChallengeReason::Wrong)) = caller {
            self.audit.note_once_a_minute(event("failed login", credentials).with("user", Some(user)));
        }
        caller
    }

    async fn log_in(&self, client: Option<IpAddr>, basic: BasicCredentials) -> Result<Caller, Rejected> {
        if let Some(secret) = TokenSecret::parse(&basic.password) {
            return self.by_secret(client, &basic.user, &secret).await;
        }
        let Some(passwords) = &self.passwords else { return Err(self.refuse_password(client, &basic).await) };
        let user = String::from_utf8(basic.user.clone());
        let id = passwords.log_in(client, basic).await?;
        // The rules know no names that are not text.
        let Ok(user) = user else { return Err(Rejected::Challenge(ChallengeReason::Wrong)) };
        Ok(Caller { credential: format!("password:{id}"), identity: Identity::User(user), ceiling: None })
    }

    /// Refuses a password where no user has one. It counts, since each guess is a line of the record.
    async fn refuse_password(&self, client: Option<IpAddr>, basic: &BasicCredentials) -> Rejected {
        if let Some(retry_after) = self.throttle.refused_for(client, &basic.user) {
            return Rejected::Denied(Denied::TooManyAttempts { retry_after });
        }
        let delay = self.throttle.failed(client, &basic.user, &basic.password);
        warn_of_failed_login(client, &basic.user, None);
        sleep(delay).await;
        Rejected::Challenge(ChallengeReason::Wrong)
    }

    /// Logs in with the secret of an access token, under the token's name or as `token`.
    async fn by_secret(
        &self,
        client: Option<IpAddr>,
        user: &[u8],
        secret: &TokenSecret,
    ) -> Result<Caller, Rejected> {
        // Failures count by the token, since many clients behind one address log in as `token`. A secret that was right
        // is no guess, so that others who know the token's id cannot lock it out.
        let id = secret.id().to_string();
        if let Some(retry_after) = self.throttle.refused_for(client, id.as_bytes())
            && !self.tokens.remembers(secret)
        {
            return Err(Rejected::Denied(Denied::TooManyAttempts { retry_after }));
        }
        let robot = self.tokens.robot_with(secret).await?;
        let robot = robot.filter(|robot| user == b"token" || user == robot.name.as_bytes());
        match self.with_its_user(robot).await {
            Some(robot) => {
                self.throttle.succeeded_by_token(client);
                let credential = format!("token:{}", secret.id());
                Ok(Caller { credential, identity: Identity::Robot(robot), ceiling: None })
            }
            None => {
                let delay = self.throttle.failed(client, id.as_bytes(), secret.hash().as_bytes());
                warn_of_failed_login(client, user, Some(secret.id()));
                sleep(delay).await;
                Err(Rejected::Challenge(ChallengeReason::Wrong))
            }
        }
    }
}

impl Caller {
    /// The credential for which a token of this caller is issued.
    pub(super) fn kind(&self) -> TokenKind {
        match &self.identity {
            Identity::Anonymous => TokenKind::Anonymous,
            Identity::Robot(_) => TokenKind::Robot,
            Identity::User(_) if self.credential == CERTIFICATE => TokenKind::Certificate,
            Identity::User(_) => TokenKind::Password,
        }
    }

    pub(super) fn anonymous() -> Self {
        Self { identity: Identity::Anonymous, credential: NO_CREDENTIAL.to_owned(), ceiling: None }
    }
}
