//! `Gate`: identifies visitors and decides what they may do. Implementations outside this crate authenticate them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::request::Parts;
use sampan_engine::oci::RepositoryName;

/// Identifies visitors. One implementation for each kind of authentication.
#[async_trait]
pub trait Gate: fmt::Debug + Send + Sync + 'static {
    /// Whether visitors can log in with a user and a password.
    fn has_login(&self) -> bool;

    /// The visitor of a request: the user of the session if there is one, else that of the credentials of the request.
    ///
    /// # Errors
    ///
    /// The session ended, or the credentials are wrong or needed.
    async fn visitor(&self, request: &Parts, session: Option<&Login>) -> Result<Visitor, Refusal>;

    /// Checks a user and a password. It counts failures.
    ///
    /// # Errors
    ///
    /// They are wrong, or are not checked at the moment.
    async fn log_in(&self, request: &Parts, user: &str, password: &str) -> Result<Login, Refusal>;
}

/// A successful login, as far as a session keeps it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// Identifies the present password or token; the session ends with it.
    pub credential: String,
}

/// Who looks at the page.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The user; `None` for a visitor without credentials.
    pub user: Option<String>,
    /// Whether a password proved the user, and not the secret of an access token, or a certificate.
    pub has_password: bool,
    /// Their rights.
    pub rights: Arc<dyn Rights>,
}

/// The rights of a visitor.
pub trait Rights: fmt::Debug + Send + Sync {
    /// Whether the visitor may do this in the repository.
    fn may(&self, right: Right, repository: &RepositoryName) -> bool;

    /// Whether the visitor may do this in every repository, those of the future included.
    fn everywhere(&self, right: Right) -> bool;
}

/// A right in a repository.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Right {
    /// See it and read its images.
    Pull,
    /// Change its tags.
    Push,
    /// Delete its tags and images.
    Delete,
}

/// Why a visitor is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Credentials are needed, or the session ended.
    #[error("a login is needed")]
    LoginNeeded,
    /// The user is unknown or the password wrong; visitors do not learn which.
    #[error("unknown user or wrong password")]
    Wrong,
    /// Too many logins failed, or wait.
    #[error("too many logins, try again in {} seconds", .retry_after.as_secs())]
    TooMany {
        /// The time until the next attempt.
        retry_after: Duration,
    },
    /// Credentials cannot be checked at the moment; the log has the reason.
    #[error("logins cannot be checked at the moment")]
    Unavailable,
}

/// The rights of a registry without authentication, and of one whose users may all do everything.
#[derive(Clone, Copy, Debug)]
pub struct AllRights;

impl Rights for AllRights {
    fn may(&self, _: Right, _: &RepositoryName) -> bool {
        true
    }

    fn everywhere(&self, _: Right) -> bool {
        true
    }
}
