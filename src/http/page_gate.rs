//! `PageGate`: who visits the web page, by the same passwords and rules as the API.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use http::request::Parts;
use sampan_engine::oci::RepositoryName;
use sampan_ui::{AllRights, Gate, Login, Refusal, Right, Rights, Visitor};

use super::context::RequestContext;
use super::credentials::presented;
use super::metrics::HttpMetrics;
use crate::auth::{Access, Action, ChallengeReason, Denied, Guard, Htpasswd, Identity, Policy};

/// Who may visit the page.
#[derive(Debug)]
pub enum PageGate {
    /// Everybody, and all may do everything: `auth: none`.
    Open,
    /// The users of a password file; all may do everything.
    Passwords(Arc<Htpasswd>),
    /// Those whom the rules of `access` let in.
    Rules(Arc<Guard>),
}

#[async_trait]
impl Gate for PageGate {
    fn has_login(&self) -> bool {
        match self {
            Self::Open => false,
            Self::Passwords(_) => true,
            Self::Rules(guard) => guard.passwords().is_some(),
        }
    }

    async fn visitor(&self, request: &Parts, session: Option<&Login>) -> Result<Visitor, Refusal> {
        match self {
            Self::Open => Ok(Visitor { user: None, has_password: false, rights: Arc::new(AllRights) }),
            Self::Passwords(passwords) => {
                let user = match session {
                    Some(login) => {
                        let is_current =
                            passwords.password_id(&login.user).await.as_ref() == Some(&login.credential);
                        is_current.then(|| login.user.clone()).ok_or(Refusal::LoginNeeded)?
                    }
                    None => {
                        use crate::auth::AccessController;
                        let grant = passwords
                            .authorize(&presented(request), &[])
                            .await
                            .map_err(|denied| refusal(request, &denied))?;
                        grant.user.ok_or(Refusal::LoginNeeded)?
                    }
                };
                Ok(Visitor { user: Some(user), has_password: true, rights: Arc::new(AllRights) })
            }
            Self::Rules(guard) => {
                let identity = match session {
                    Some(login) => guard
                        .resume(&login.user, &login.credential)
                        .await
                        .map_err(|denied| refusal(request, &denied))?,
                    None => Some(
                        guard
                            .identity(&presented(request))
                            .await
                            .map_err(|denied| refusal(request, &denied))?,
                    ),
                };
                let identity = identity.ok_or(Refusal::LoginNeeded)?;
                if let (Some(token), Some(context)) =
                    (identity.token(), request.extensions.get::<Arc<RequestContext>>())
                {
                    context.set_token(token);
                }
                let policy = guard.rules().await;
                // An empty list helps no visitor; the form for a login does.
                if !identity.is_known() && !policy.has_rules_for_anonymous() {
                    return Err(Refusal::LoginNeeded);
                }
                let user = identity.is_known().then(|| identity.name().to_owned());
                // Without a session and without credentials, a certificate proves the user.
                let is_by_password = match session {
                    Some(login) => login.credential.starts_with("password:"),
                    None => request.headers.contains_key(AUTHORIZATION),
                };
                let has_password = is_by_password && matches!(identity, Identity::User(_));
                let rights = ByRules { policy, identity };
                Ok(Visitor { user, has_password, rights: Arc::new(rights) })
            }
        }
    }

    async fn log_in(&self, request: &Parts, user: &str, password: &str) -> Result<Login, Refusal> {
        let credentials = presented(request);
        let (user, credential) = match self {
            Self::Open => return Err(Refusal::Wrong),
            Self::Passwords(passwords) => {
                let id = passwords
                    .log_in_with(credentials.client, user, password)
                    .await
                    .map_err(|denied| refusal(request, &denied))?;
                (user.to_owned(), id)
            }
            Self::Rules(guard) => guard
                .log_in_with(&credentials, user, password)
                .await
                .map_err(|denied| refusal(request, &denied))?,
        };
        Ok(Login { user, credential })
    }
}

/// The decision of the rules.
#[derive(Debug)]
struct ByRules {
    policy: Policy,
    identity: Identity,
}

impl Rights for ByRules {
    fn may(&self, right: Right, repository: &RepositoryName) -> bool {
        self.policy.allows(&self.identity, &access(right, repository))
    }

    fn everywhere(&self, right: Right) -> bool {
        let action = match right {
            Right::Pull => Action::Pull,
            Right::Push => Action::Push,
            Right::Delete => Action::Delete,
        };
        self.policy.allows_everywhere(&self.identity, action)
    }
}

/// The right as an access of the API.
pub(super) fn access(right: Right, repository: &RepositoryName) -> Access {
    match right {
        Right::Pull => Access::pull(repository.clone()),
        Right::Push => Access::push(repository.clone()),
        Right::Delete => Access::delete(repository.clone()),
    }
}

/// Counts a refusal as the API does, and says it as the page does.
fn refusal(request: &Parts, denied: &Denied) -> Refusal {
    if let Some(metrics) = request.extensions.get::<Arc<HttpMetrics>>() {
        metrics.refused(denied);
    }
    match denied {
        Denied::Challenge { reason: ChallengeReason::Wrong, .. } => Refusal::Wrong,
        Denied::Challenge { .. } | Denied::Forbidden { .. } | Denied::Ambiguous => Refusal::LoginNeeded,
        Denied::TooManyAttempts { retry_after } | Denied::TooManyAtOnce { retry_after } => {
            Refusal::TooMany { retry_after: *retry_after }
        }
        Denied::Unavailable => Refusal::Unavailable,
    }
}
