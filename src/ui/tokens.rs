//! `AccessTokens`: the access tokens of visitors, as far as the page shows, creates and revokes them.

use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use http::request::Parts;
use sampan_engine::Error;

/// The access tokens of visitors. A token can do nothing that its user cannot do.
#[async_trait]
pub trait AccessTokens: fmt::Debug + Send + Sync + 'static {
    /// The longest lifetime of a token; `None` for no limit.
    fn longest(&self) -> Option<Duration>;

    /// The tokens of a user, the newest first.
    ///
    /// # Errors
    ///
    /// The store failed.
    async fn list(&self, user: &str) -> Result<Vec<VisitorToken>, Error>;

    /// Creates a token of a user.
    ///
    /// # Errors
    ///
    /// The form is not valid, or the store failed.
    async fn create(
        &self,
        request: &Parts,
        user: &str,
        form: TokenForm,
    ) -> Result<NewSecret, CannotCreateToken>;

    /// Revokes a token of a user, and returns its name; `None` if the user has no such token.
    ///
    /// # Errors
    ///
    /// The store failed.
    async fn revoke(&self, request: &Parts, user: &str, id: &str) -> Result<Option<String>, Error>;
}

/// A token of a visitor.
#[derive(Clone, Debug)]
pub struct VisitorToken {
    /// Its id.
    pub id: String,
    /// The name, under which programs log in.
    pub name: String,
    /// Why it exists.
    pub note: String,
    /// The actions that it grants.
    pub may: Vec<String>,
    /// The patterns of the repositories.
    pub on: Vec<String>,
    /// The patterns of repositories that are left out.
    pub except: Vec<String>,
    /// When it was created.
    pub created: Option<SystemTime>,
    /// When it ends; `None` for never.
    pub ends: Option<SystemTime>,
    /// Whether it has ended.
    pub has_ended: bool,
    /// When it was last used, to the hour; `None` if no use is known.
    pub last_use: Option<SystemTime>,
}

/// The form of a new token, as it was filled in.
#[derive(Clone, Debug, Default)]
pub struct TokenForm {
    /// The name, without that of the user.
    pub name: String,
    /// Why it exists.
    pub note: String,
    /// `pull`, `push`, `delete`.
    pub may: Vec<String>,
    /// Patterns of repositories.
    pub on: Vec<String>,
    /// Patterns of repositories that are left out.
    pub except: Vec<String>,
    /// How long it is valid, such as `12h` or `90d`.
    pub expires: String,
}

/// A token that was created. No `Debug`, so that its secret cannot be logged.
pub struct NewSecret {
    /// The whole name, under which programs log in.
    pub name: String,
    /// The secret, which is never shown again.
    pub secret: String,
}

/// A field of the form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TokenField {
    /// The name.
    Name,
    /// The note.
    Note,
    /// The actions and repositories.
    Rights,
    /// The lifetime.
    Expires,
}

/// Why a token is not created.
#[derive(Debug, thiserror::Error)]
pub enum CannotCreateToken {
    /// A field is not valid.
    #[error("{reason}")]
    Invalid {
        /// The field.
        field: TokenField,
        /// The reason, in English.
        reason: String,
    },
    /// There is a user or token of this name.
    #[error("a user or token named {0} exists already")]
    Taken(String),
    /// The user has as many tokens as a user may have.
    #[error("a user may have at most {0} tokens")]
    TooMany(usize),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}
