//! Issues bearer tokens.

use std::time::Duration;

use super::caller::Rejected;
use super::{Guard, event, name};
use crate::auth::access::{Access, Action, Resource};
use crate::auth::basic::BasicCredentials;
use crate::auth::controller::{ChallengeReason, Credentials, Denied};
use crate::auth::identity::Identity;
use crate::auth::issuer::Statement;
use crate::auth::logged_text::LoggedText;
use crate::auth::policy::Policy;
use crate::auth::scope::Scope;

/// A question to the token endpoint.
#[derive(Debug, Default)]
pub struct TokenRequest {
    /// The scopes that the token must grant, as in challenges.
    pub scopes: Vec<String>,
    /// The user and password of a form; otherwise the credentials of the request count.
    pub login: Option<(String, String)>,
    /// The program that asks, by its own account; for the log.
    pub client_id: Option<String>,
}

/// An issued bearer token.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: String,
    /// How long it is valid.
    pub lifetime: Duration,
    /// The scopes that it grants.
    pub scope: String,
}

impl Guard {
    /// Issues a bearer token for what the request asks for and the rules give, which may be less, or nothing.
    ///
    /// # Errors
    ///
    /// As [`authorize`](crate::auth::AccessController::authorize), with a challenge for a password.
    pub async fn issue(
        &self,
        credentials: &Credentials<'_>,
        request: &TokenRequest,
    ) -> Result<IssuedToken, Denied> {
        let refuse = |rejected| match rejected {
            Rejected::Denied(denied) => denied,
            Rejected::Challenge(reason) => Denied::Challenge { challenges: vec![self.basic.clone()], reason },
        };
        if credentials.is_ambiguous {
            return Err(Denied::Ambiguous);
        }
        let caller = match (&request.login, credentials.authorization) {
            (Some((user, password)), _) => {
                let (user, password) = (user.clone().into_bytes(), password.clone().into_bytes());
                let basic = BasicCredentials { user, password };
                self.by_password(credentials, basic).await.map_err(refuse)?
            }
            (None, Some(header)) => {
                let basic = BasicCredentials::parse(header)
                    .ok_or_else(|| refuse(Rejected::Challenge(ChallengeReason::Unreadable)))?;
                self.by_password(credentials, basic).await.map_err(refuse)?
            }
            (None, None) => self.by_certificate(credentials),
        };
        let policy = self.policy.current().await;
        if !caller.identity.is_known() && !policy.has_rules_for_anonymous() {
            return Err(refuse(Rejected::Challenge(ChallengeReason::Missing)));
        }
        let granted: Vec<(Scope, Vec<Action>)> = request
            .scopes
            .iter()
            .filter_map(|text| Scope::parse(text))
            .map(|scope| {
                let actions = scope.asks_for(&possible(&policy, &caller.identity, scope.resource()));
                (scope, actions)
            })
            .filter(|(_, actions)| !actions.is_empty())
            .collect();
        let texts: Vec<String> = granted.iter().map(|(scope, actions)| scope.with(actions)).collect();
        let scope = texts.join(" ");
        let user = name(&caller.identity);
        let token = self.issuer.issue(&Statement { user, credential: &caller.credential, access: &granted });
        self.counts.issued(caller.kind());
        if user.is_some() {
            let issued = event("token issued", credentials)
                .with("user", user)
                .with("credential", caller.credential.split(':').next())
                .with("clientId", request.client_id.as_deref())
                .with("asked", Some(request.scopes.join(" ")))
                .with("granted", Some(&scope))
                .with("requestId", credentials.request_id);
            self.audit.note(issued);
        }
        tracing::debug!(
            user,
            client = credentials.client_text(),
            client_id = request.client_id.as_deref().map(LoggedText::new).as_ref().map(LoggedText::as_str),
            asked = %LoggedText::new(&request.scopes.join(" ")).as_str(),
            granted = %LoggedText::new(&scope).as_str(),
            "issued a token"
        );
        Ok(IssuedToken { token, lifetime: self.issuer.lifetime(), scope })
    }
}

/// The actions that the rules grant on a resource.
fn possible(policy: &Policy, identity: &Identity, resource: &Resource) -> Vec<Action> {
    match resource {
        Resource::Repository(name) => policy.actions(identity, name),
        Resource::Catalog if policy.allows(identity, &Access::catalog()) => vec![Action::All],
        Resource::Catalog => Vec::new(),
    }
}
