//! `AccessController`: decides whether a request may do what it wants.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use sampan_engine::AccessTokenId;
use sampan_engine::oci::RepositoryName;

use super::access::Access;
use super::identity::Identity;
use super::policy::Policy;

/// Decides whether a request may do what it wants. Object-safe; shared as `Arc<dyn AccessController>`.
#[async_trait]
pub trait AccessController: fmt::Debug + Send + Sync + 'static {
    /// Grants every access in `wanted`, or denies the request.
    ///
    /// An empty `wanted` asks for authentication only, as `GET /v2/` does.
    ///
    /// # Errors
    ///
    /// See [`Denied`]. Dropping the future has no effect, except that a failed login may already be counted.
    async fn authorize(&self, credentials: &Credentials<'_>, wanted: &[Access]) -> Result<Grant, Denied>;
}

/// A request's credentials and origin. `Debug` omits the header.
#[derive(Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// The value of the `Authorization` header.
    pub authorization: Option<&'a HeaderValue>,
    /// The client's address, as far as trusted proxies tell it; `None` behind a unix socket.
    pub client: Option<IpAddr>,
    /// Returns the registry's URL as the client knows it, such as `https://registry.example.com`. Few
    /// challenges need it.
    pub origin: Option<&'a (dyn Fn() -> Option<String> + Sync)>,
    /// As `origin`, with the scheme of the connection where no proxy says another one, and with the prefix.
    pub base: Option<&'a (dyn Fn() -> Option<String> + Sync)>,
    /// The client's TLS certificate in DER, if it was verified.
    pub certificate: Option<&'a [u8]>,
    /// The id of the request.
    pub request_id: Option<&'a str>,
    /// Whether the request has several `Authorization` headers, of which `authorization` is the first.
    pub is_ambiguous: bool,
}

impl Credentials<'_> {
    /// The client's address as the log and the audit record show it: one text for each address.
    pub fn client_text(&self) -> Option<String> {
        client_text(self.client)
    }

    /// The scheme and host under which the client knows this registry, if known. Taken from the client's or a
    /// proxy's headers.
    pub fn origin(&self) -> Option<String> {
        self.origin?()
    }

    /// The URL below which the client called this registry, if known; as [`origin`](Self::origin), but for the
    /// scheme and the prefix.
    pub fn base(&self) -> Option<String> {
        self.base?()
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authorization = self.authorization.map(|_| "***");
        f.debug_struct("Credentials")
            .field("authorization", &authorization)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// As [`Credentials::client_text`].
pub(super) fn client_text(client: Option<IpAddr>) -> Option<String> {
    client.map(|client| client.to_canonical().to_string())
}

/// Permission for every access in `wanted`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Grant {
    /// The user that the permission belongs to; `None` for an anonymous client.
    pub user: Option<String>,
    /// The access token that was used, if it was one.
    pub token: Option<AccessTokenId>,
    /// The repositories that the client may see.
    pub view: View,
    /// A bearer token limits the client to its scopes, whatever it may see.
    pub is_limited: bool,
}

impl Grant {
    /// Permission for a user who sees everything.
    pub fn to(user: impl Into<String>) -> Self {
        Self { user: Some(user.into()), ..Self::default() }
    }
}

/// The repositories that a client may see.
#[derive(Clone, Debug, Default)]
pub enum View {
    /// All of them.
    #[default]
    Everything,
    /// Those that the rules let this client pull from.
    ByRules(Policy, Identity),
}

impl PartialEq for View {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everything, Self::Everything) => true,
            (Self::ByRules(policy, identity), Self::ByRules(other, of)) => {
                std::ptr::eq(policy.source(), other.source()) && identity == of
            }
            _ => false,
        }
    }
}

impl Eq for View {}

impl View {
    /// Whether the client may see all repositories, those of the future included.
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::Everything)
    }

    /// Whether the client may see the repository.
    pub fn shows(&self, name: &RepositoryName) -> bool {
        match self {
            Self::Everything => true,
            Self::ByRules(policy, identity) => policy.allows(identity, &Access::pull(name.clone())),
        }
    }
}

/// Why a request is denied.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Denied {
    /// The client needs (other) credentials: 401.
    #[error("{reason}")]
    Challenge {
        /// Values of `WWW-Authenticate`, one header each, the preferred first.
        challenges: Vec<HeaderValue>,
        /// The problem with the credentials.
        reason: ChallengeReason,
    },
    /// The user is authenticated but lacks permission: 403.
    #[error("access is not granted to user `{user}`")]
    Forbidden {
        /// The denied user.
        user: String,
    },
    /// Too many failed logins from this address: 429.
    #[error("too many failed logins, try again in {} seconds", .retry_after.as_secs())]
    TooManyAttempts {
        /// The time until the next attempt, in whole seconds for `Retry-After`.
        retry_after: Duration,
    },
    /// Too many logins of this address are waiting: 429.
    #[error("too many logins at once from this address, try again in {} seconds", .retry_after.as_secs())]
    TooManyAtOnce {
        /// The time until the next attempt, in whole seconds for `Retry-After`.
        retry_after: Duration,
    },
    /// The request has several `Authorization` headers: 400.
    #[error("the request has several Authorization headers")]
    Ambiguous,
    /// The registry cannot check credentials at the moment: 503. The log has the reason.
    #[error("authentication is not available at the moment")]
    Unavailable,
}

/// The problem with the credentials of a challenged request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChallengeReason {
    /// The request has none.
    #[error("authentication required")]
    Missing,
    /// The scheme is not the expected one, or the header is malformed.
    #[error("the authorization header has another scheme than requested")]
    Unreadable,
    /// The user is unknown or the password wrong; clients do not learn which.
    #[error("unknown user or wrong password")]
    Wrong,
    /// The token is not valid; the log has the reason.
    #[error("the token is not valid")]
    Invalid,
    /// The token is valid but does not grant enough.
    #[error("the token does not allow this")]
    Insufficient,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_omits_the_header() {
        let header = HeaderValue::from_static("Basic c2VjcmV0");
        let shown = format!("{:?}", Credentials { authorization: Some(&header), ..Credentials::default() });
        assert!(!shown.contains("c2VjcmV0"), "{shown}");
    }
}
