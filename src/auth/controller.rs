//! The question every request asks, and its possible answers.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;

use super::access::Access;

/// Decides whether a request may do what it wants. Object-safe; shared as `Arc<dyn AccessController>`.
#[async_trait]
pub trait AccessController: fmt::Debug + Send + Sync + 'static {
    /// Grants every access of `wanted`, or denies the request.
    ///
    /// An empty `wanted` asks for authentication only, as `GET /v2/` does.
    ///
    /// # Errors
    ///
    /// See [`Denied`]. Dropping the future leaves nothing behind but a failed login already counted.
    async fn authorize(&self, credentials: &Credentials<'_>, wanted: &[Access]) -> Result<Grant, Denied>;
}

/// Who a request says it comes from. Its `Debug` never shows the header.
#[derive(Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// The value of the `Authorization` header, if there is one.
    pub authorization: Option<&'a HeaderValue>,
    /// The client's address, as far as it can be trusted; `None` behind a unix socket.
    pub client: Option<IpAddr>,
    /// Tells what the client calls this registry, such as `https://registry.example.com`. Asked for in few challenges.
    pub origin: Option<&'a (dyn Fn() -> Option<String> + Sync)>,
}

impl Credentials<'_> {
    /// What the client calls this registry, if that is known: a scheme and a host. The client's word, or a proxy's.
    pub fn origin(&self) -> Option<String> {
        self.origin?()
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

/// Permission for everything that was wanted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Grant {
    /// Who it was given to; `None` is anybody.
    pub user: Option<String>,
}

/// Why a request may not do what it wants.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Denied {
    /// The client should come back with (other) credentials: 401.
    #[error("{reason}")]
    Challenge {
        /// Values of `WWW-Authenticate`, one header each, best first.
        challenges: Vec<HeaderValue>,
        /// What was wrong with the credentials.
        reason: ChallengeReason,
    },
    /// The client is known, and other credentials would be needed: 403.
    #[error("access is not granted to user `{user}`")]
    Forbidden {
        /// Who was refused.
        user: String,
    },
    /// Too many failed logins from here: 429.
    #[error("too many failed logins, try again in {} seconds", .retry_after.as_secs())]
    TooManyAttempts {
        /// When the next attempt is looked at; whole seconds, for `Retry-After`.
        retry_after: Duration,
    },
    /// Too many logins from here are waiting already: 429.
    #[error("too many logins at once from this address, try again in {} seconds", .retry_after.as_secs())]
    TooManyAtOnce {
        /// When to come back; whole seconds, for `Retry-After`.
        retry_after: Duration,
    },
    /// The credentials cannot be judged at the moment: 503. The reason is in the log.
    #[error("authentication is not available at the moment")]
    Unavailable,
}

/// What was wrong with the credentials of a challenged request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChallengeReason {
    /// There were none.
    #[error("authentication required")]
    Missing,
    /// They are of another scheme than is asked for, or cannot be read.
    #[error("the authorization header is not of the kind asked for")]
    Unreadable,
    /// The user is unknown or the password wrong; which of the two is never told.
    #[error("unknown user or wrong password")]
    Wrong,
    /// The token cannot be believed; why, is in the log.
    #[error("the token is not valid")]
    Invalid,
    /// The token can be believed, and does not allow enough.
    #[error("the token does not allow this")]
    Insufficient,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_shows_the_header() {
        let header = HeaderValue::from_static("Basic c2VjcmV0");
        let shown = format!("{:?}", Credentials { authorization: Some(&header), ..Credentials::default() });
        assert!(!shown.contains("c2VjcmV0"), "{shown}");
    }
}
