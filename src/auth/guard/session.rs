//! Sessions of the web page: a login once, and then who it still is.

use super::caller::{Caller, Rejected};
use super::{Guard, event};
use crate::auth::basic::BasicCredentials;
use crate::auth::controller::{ChallengeReason, Credentials, Denied};
use crate::auth::identity::Identity;
use crate::auth::policy::Policy;

impl Guard {
    /// Logs a user in with a password or the secret of an access token, and records it. Returns the user's name, and what
    /// identifies the credential as long as it is valid.
    ///
    /// # Errors
    ///
    /// The credentials are wrong, or were not compared.
    pub async fn log_in_with(
        &self,
        credentials: &Credentials<'_>,
        user: &str,
        password: &str,
    ) -> Result<(String, String), Denied> {
        let basic = BasicCredentials { user: user.into(), password: password.into() };
        let Caller { identity, credential, .. } =
            self.by_password(credentials, basic).await.map_err(denied)?;
        let login = event("login", credentials)
            .with("user", Some(identity.name()))
            .with("credential", credential.split(':').next())
            .with("token", identity.token().map(|id| id.to_string()))
            .with("requestId", credentials.request_id);
        self.audit.note(login);
        Ok((identity.name().to_owned(), credential))
    }

    /// The identity of an earlier login; `None` once its password was changed, or its token ended.
    ///
    /// # Errors
    ///
    /// `Unavailable`: the store did not answer.
    pub async fn resume(&self, user: &str, credential: &str) -> Result<Option<Identity>, Denied> {
        self.identity_of(user, credential).await.map_err(|unavailable| denied(unavailable.into()))
    }

    /// The identity that the credentials of a request prove: those of a password, a token's secret or a certificate.
    ///
    /// # Errors
    ///
    /// They are wrong, or were not compared, or are a bearer token, which is for the API.
    pub async fn identity(&self, credentials: &Credentials<'_>) -> Result<Identity, Denied> {
        if credentials.is_ambiguous {
            return Err(Denied::Ambiguous);
        }
        let Some(header) = credentials.authorization else {
            return Ok(self.by_certificate(credentials).identity);
        };
        let unreadable = || denied(Rejected::Challenge(ChallengeReason::Unreadable));
        let basic = BasicCredentials::parse(header).ok_or_else(unreadable)?;
        Ok(self.by_password(credentials, basic).await.map_err(denied)?.identity)
    }

    /// The secrets of sessions: one from each signing key in use, the first for new sessions. `None` if the key lasts no longer
    /// than this process.
    pub fn session_secrets(&self) -> Option<Vec<[u8; 32]>> {
        self.issuer.session_secrets()
    }

    /// The rules as they are now.
    pub async fn rules(&self) -> Policy {
        self.policy.current().await
    }
}

fn denied(rejected: Rejected) -> Denied {
    match rejected {
        Rejected::Denied(denied) => denied,
        Rejected::Challenge(reason) => Denied::Challenge { challenges: Vec::new(), reason },
    }
}
