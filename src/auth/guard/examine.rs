//! Examines a token for an operator: what it says, what the rules give, and whether it counts.

use std::fmt;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Guard;
use crate::auth::access::{Access, Action};
use crate::auth::access_tokens::Unavailable;
use crate::auth::identity::Identity;
use crate::auth::policy::Policy;
use crate::auth::token::own::{Claims, Jws};
use crate::auth::token_secret::{PREFIX, TokenSecret};

/// The kind and the claims of a token. Displays as several lines of text, and serializes for `--format json`.
#[derive(Debug, Serialize)]
pub struct ExaminedToken {
    /// `bearer token`, or `access token` for the secret of one.
    pub kind: &'static str,
    /// The user or robot, or `anonymous`; `None` if the token does not say it.
    pub who: Option<String>,
    /// The credential for which a bearer token was issued: `a password`, `the access token ID`, `a certificate`, `no login`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_for: Option<String>,
    /// The facts in the record of an access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rights: Option<String>,
    /// When a bearer token expires, as in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The most that a bearer token grants.
    pub grants: Vec<ExaminedGrant>,
    /// Why the registry refuses it; `None` if it counts.
    pub refusal: Option<String>,
}

/// One scope of a bearer token.
#[derive(Debug, Serialize)]
pub struct ExaminedGrant {
    /// The scope, as the token has it.
    pub scope: String,
    /// Those of its actions that the rules give now.
    pub given: Vec<&'static str>,
    /// Those that they do not give.
    pub lacking: Vec<String>,
}

impl Guard {
    /// Examines a bearer token, or the secret of an access token, against the files and the store as they are now. Logs,
    /// counts and records nothing.
    pub async fn examine(&self, token: &str) -> ExaminedToken {
        if token.starts_with(PREFIX) {
            return self.examine_secret(token).await;
        }
        let claims = Jws::parse(token).and_then(|jws| Claims::parse(&jws.payload));
        let counts = self.by_token(token.as_bytes()).await;
        let refusal = match &counts {
            Ok(Ok(_)) => None,
            Ok(Err(refusal)) => Some(refusal.to_string()),
            Err(Unavailable) => Some("the store cannot be asked for it".to_owned()),
        };
        let mut examined = ExaminedToken {
            kind: "bearer token",
            who: None,
            issued_for: None,
            rights: None,
            expires: None,
            grants: Vec::new(),
            refusal,
        };
        let Ok(claims) = claims else { return examined };
        examined.who = Some(claims.user().unwrap_or("anonymous").to_owned());
        examined.issued_for = claims.credential().map(credential);
        examined.expires = claims.expires().map(date);
        let identity = match counts {
            Ok(Ok(caller)) => Some(caller.identity),
            _ => self.claimed_identity(&claims).await,
        };
        let policy = self.policy.current().await;
        examined.grants = claims
            .granted()
            .map(|(kind, name, actions)| {
                let scope = format!("{kind}:{name}:{}", actions.join(","));
                let given = identity.as_ref().map_or_else(Vec::new, |who| given(&policy, who, kind, name));
                let asked = |action: &Action| actions.iter().any(|one| one == "*" || one == action.as_str());
                let given: Vec<&str> =
                    given.iter().filter(|one| asked(one)).map(|one| one.as_str()).collect();
                let is_lacking = |one: &&String| *one != "*" && !given.contains(&one.as_str());
                let lacking = actions.iter().filter(is_lacking).cloned().collect();
                ExaminedGrant { scope, given, lacking }
            })
            .collect();
        examined
    }

    async fn examine_secret(&self, text: &str) -> ExaminedToken {
        let secret = TokenSecret::parse(text.as_bytes());
        let robot = match &secret {
            None => {
                Err("it is damaged: a secret is `spn_`, 16 characters, `_`, and 43 characters".to_owned())
            }
            Some(secret) => match self.tokens.robot_of(secret).await {
                Ok(Some(robot)) => {
                    let user = robot.on_behalf_of.clone().unwrap_or_default();
                    let robot = self.with_its_user(Some(robot)).await;
                    robot.ok_or_else(|| format!("the password file does not have its user {user}"))
                }
                Ok(None) => Err(format!(
                    "there is no access token {0}, or it has ended, or this is not its secret: see `registry token show {0}`",
                    secret.id()
                )),
                Err(Unavailable) => Err("the store cannot be asked for it".to_owned()),
            },
        };
        let rights = robot.as_ref().ok().map(|robot| match &robot.on_behalf_of {
            None => robot.rights.to_string(),
            Some(user) => format!("{}, and no more than {user} may", robot.rights),
        });
        ExaminedToken {
            kind: "access token",
            who: robot.as_ref().ok().map(|robot| robot.name.clone()),
            issued_for: None,
            rights,
            expires: None,
            grants: Vec::new(),
            refusal: robot.err(),
        }
    }

    /// Whom a token that does not count would be for.
    async fn claimed_identity(&self, claims: &Claims) -> Option<Identity> {
        match (claims.user(), claims.credential().and_then(|credential| credential.strip_prefix("token:"))) {
            (None, _) => Some(Identity::Anonymous),
            (Some(_), Some(id)) => self.tokens.robot(id).await.ok().flatten().map(Identity::Robot),
            (Some(user), None) => Some(Identity::User(user.to_owned())),
        }
    }
}

/// Whether a token is the whole secret of an access token, or a bearer token that was issued for one, so that the store has to be
/// asked about it.
pub fn is_of_access_token(token: &str) -> bool {
    let credential =
        |token| Claims::parse(&Jws::parse(token).ok()?.payload).ok()?.credential().map(str::to_owned);
    TokenSecret::parse(token.as_bytes()).is_some()
        || credential(token).is_some_and(|credential| credential.starts_with("token:"))
}

/// The actions that the rules grant on a resource, if there is one.
fn given(policy: &Policy, who: &Identity, kind: &str, name: &str) -> Vec<Action> {
    match kind {
        "repository" => name.parse().map(|name| policy.actions(who, &name)).unwrap_or_default(),
        "registry" if name == "catalog" && policy.allows(who, &Access::catalog()) => vec![Action::All],
        _ => Vec::new(),
    }
}

/// The credential of a bearer token, for people.
fn credential(credential: &str) -> String {
    match credential.split_once(':') {
        Some(("password", _)) => "a password".to_owned(),
        Some(("token", id)) => format!("the access token {id}"),
        _ if credential == super::caller::CERTIFICATE => "a certificate".to_owned(),
        _ if credential == super::caller::NO_CREDENTIAL => "no login".to_owned(),
        _ => "an unknown credential".to_owned(),
    }
}

fn date(seconds: i64) -> String {
    let date = OffsetDateTime::from_unix_timestamp(seconds).ok();
    date.and_then(|date| date.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{seconds} s after 1970"))
}

impl fmt::Display for ExaminedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.kind, self.who.as_deref().unwrap_or("unknown"))?;
        if let Some(issued_for) = &self.issued_for {
            write!(f, ", issued for {issued_for}")?;
        }
        if let Some(expires) = &self.expires {
            write!(f, ", ends at {expires}")?;
        }
        if let Some(rights) = &self.rights {
            write!(f, "\n  {rights}")?;
        }
        for ExaminedGrant { scope, given, lacking } in &self.grants {
            write!(f, "\n  grants {scope}; the rules give ")?;
            match given.as_slice() {
                [] => f.write_str("nothing of it")?,
                given => f.write_str(&given.join(", "))?,
            }
            if !given.is_empty() && !lacking.is_empty() {
                write!(f, ", not {}", lacking.join(", "))?;
            }
        }
        if self.kind == "bearer token" && self.grants.is_empty() && self.who.is_some() {
            f.write_str("\n  grants nothing")?;
        }
        match &self.refusal {
            None => f.write_str("\nthe registry takes it"),
            Some(refusal) => write!(f, "\nthe registry refuses it: {refusal}"),
        }
    }
}
