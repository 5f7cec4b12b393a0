//! `OwnTokens`: the access tokens of a user, as the web page shows, creates and revokes them.
//!
//! Such a token acts for its user, so it can do nothing that the user cannot do. Its name begins with that of the user and a `/`:
//! the log and the record show whose it is. When it is created, no user and no other token of its user has this name; a robot, and
//! a token that has ended, may have it. Changes are recorded before they happen, since the client may leave while they do.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::{StreamExt, TryStreamExt, stream};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sampan_engine::{AccessTokenId, Error, Registry};
use tokio::sync::Mutex;

use super::controller::Credentials;
use super::ended_tokens::remove_if_old;
use super::guard::Guard;
use super::new_token::{InvalidToken, NewToken, token_event};
use super::stored_token::{StoredToken, StoredTokenError};
use super::token_record::TokenRecord;
use super::token_secret::TokenSecret;

/// The most tokens of a user that the page creates, not counted those that have ended.
const MAX_OWN: usize = 100;

/// How many tokens are read from the store at a time.
const CONCURRENT_READS: usize = 16;

/// The expected number of ids whose user is remembered, and the most bytes that they may take.
const USUAL_IDS: usize = 4096;
const MAX_BYTES: u64 = 4 << 20;

/// The access tokens of users.
#[derive(Debug)]
pub struct OwnTokens {
    guard: Arc<Guard>,
    registry: Registry,
    longest: Duration,
    /// The user of each token, which never changes.
    owners: Cache<AccessTokenId, Owner, ByBytes>,
    /// Held across the store's answers, so that several requests cannot create more tokens than a user may have.
    creating: Mutex<()>,
}

/// The user of a token; `None` for a robot's, or a damaged record.
type Owner = Option<Arc<str>>;

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<AccessTokenId, Owner> for ByBytes {
    fn weight(&self, _: &AccessTokenId, owner: &Owner) -> u64 {
        64 + owner.as_ref().map_or(0, |owner| owner.len() as u64)
    }
}

/// A token of a user, and when it was last used.
#[derive(Debug)]
pub struct OwnToken {
    /// The token.
    pub token: StoredToken,
    /// Its last use, to the hour; `None` if none was noted.
    pub last_use: Option<SystemTime>,
}

/// Why a user's token is not created.
#[derive(Debug, thiserror::Error)]
pub enum CannotCreate {
    /// It cannot be as it is wanted.
    #[error(transparent)]
    Invalid(#[from] InvalidToken),
    /// The name is in use.
    #[error("a user or token named {0} exists already: choose another name")]
    Taken(String),
    /// The user has enough of them.
    #[error("a user may have at most {0} tokens: revoke one first")]
    TooMany(usize),
    /// The store failed, or the registry is read-only.
    #[error(transparent)]
    Store(#[from] Error),
}

impl OwnTokens {
    /// The tokens of the registry's users, which may live for `longest` at most; zero is no limit.
    pub fn new(guard: Arc<Guard>, registry: Registry, longest: Duration) -> Self {
        let owners = Cache::with_weighter(USUAL_IDS, MAX_BYTES, ByBytes);
        Self { guard, registry, longest, owners, creating: Mutex::default() }
    }

    /// The longest lifetime; `None` for no limit.
    pub fn longest(&self) -> Option<Duration> {
        Some(self.longest).filter(|longest| !longest.is_zero())
    }

    /// The tokens of a user, the newest first.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn list(&self, user: &str) -> Result<Vec<OwnToken>, Error> {
        let ids = self.registry.access_tokens().await?;
        let found =
            stream::iter(ids).map(|id| self.own_if_readable(user, id)).buffer_unordered(CONCURRENT_READS);
        let mut tokens: Vec<OwnToken> =
            found.try_filter_map(|token| async move { Ok(token) }).try_collect().await?;
        tokens.sort_by(|a, b| {
            let key = |own: &OwnToken| (own.token.record.created.clone(), own.token.record.name.clone());
            key(b).cmp(&key(a))
        });
        Ok(tokens)
    }

    /// A token, if it is the user's. One that cannot be read hides no other.
    async fn own_if_readable(&self, user: &str, id: AccessTokenId) -> Result<Option<OwnToken>, Error> {
        match self.own(user, id).await {
            Err(error) if !error.is_temporary() => {
                tracing::warn!(%id, %error, "an access token cannot be read: `registry token revoke {id}` removes it");
                Ok(None)
            }
            own => own,
        }
    }

    /// A token, if it is the user's.
    async fn own(&self, user: &str, id: AccessTokenId) -> Result<Option<OwnToken>, Error> {
        if self.owners.get(&id).is_some_and(|owner| owner.as_deref() != Some(user)) {
            return Ok(None);
        }
        let Some(token) = self.find(id).await? else { return Ok(None) };
        if token.record.on_behalf_of.as_deref() != Some(user) {
            return Ok(None);
        }
        let last_use = self.registry.access_token_use(id).await?;
        Ok(Some(OwnToken { token, last_use }))
    }

    /// Reads a token; `None` if there is none, or its record is damaged.
    async fn find(&self, id: AccessTokenId) -> Result<Option<StoredToken>, Error> {
        let found = match StoredToken::find(&self.registry, id).await {
            Ok(Some(token)) => Some(token),
            // It was revoked meanwhile.
            Ok(None) => return Ok(None),
            Err(StoredTokenError::Record(_)) => None,
            Err(StoredTokenError::Store(error)) => return Err(error),
        };
        let owner = found.as_ref().and_then(|token| token.record.on_behalf_of.as_deref());
        self.owners.insert(id, owner.map(Arc::from));
        Ok(found)
    }

    /// Creates a token for a user. Its name gets that of the user, and a `/`, before it.
    ///
    /// # Errors
    ///
    /// It cannot be as it is wanted, or the store failed.
    pub async fn create(
        &self,
        credentials: &Credentials<'_>,
        user: &str,
        token: NewToken,
    ) -> Result<(TokenSecret, TokenRecord), CannotCreate> {
        if token.name.trim().is_empty() {
            return Err(InvalidToken::Name.into());
        }
        let token = NewToken {
            name: format!("{user}/{}", token.name.trim()),
            on_behalf_of: Some(user.to_owned()),
            created_by: user.to_owned(),
            ..token
        };
        let token = token.check(self.longest)?;
        let name = token.record().name.clone();
        let _turn = self.creating.lock().await;
        let (ended, own): (Vec<_>, Vec<_>) =
            self.list(user).await?.into_iter().partition(|own| own.token.has_ended());
        for ended in ended {
            remove_if_old(&self.registry, &ended.token).await;
        }
        if own.iter().any(|own| own.token.record.name == name) || self.is_user(&name).await {
            return Err(CannotCreate::Taken(name));
        }
        if own.len() >= MAX_OWN {
            return Err(CannotCreate::TooMany(MAX_OWN));
        }
        self.note("token created", credentials, user, token.id(), token.record());
        Ok(token.create(&self.registry).await?)
    }

    async fn is_user(&self, name: &str) -> bool {
        match self.guard.passwords() {
            Some(passwords) => passwords.password_id(name).await.is_some(),
            None => false,
        }
    }

    /// Revokes a token of a user, and returns its name; `None` if the user has no such token.
    ///
    /// # Errors
    ///
    /// The store failed, or the registry is read-only; then the token may be left.
    pub async fn revoke(
        &self,
        credentials: &Credentials<'_>,
        user: &str,
        id: &str,
    ) -> Result<Option<String>, Error> {
        let Ok(id) = id.parse() else { return Ok(None) };
        let Some(StoredToken { record, .. }) = self.find(id).await? else { return Ok(None) };
        if record.on_behalf_of.as_deref() != Some(user) {
            return Ok(None);
        }
        self.note("token revoked", credentials, user, id, &record);
        let was_there = self.registry.remove_access_token(id).await?;
        self.guard.forget_access_token(id);
        Ok(was_there.then_some(record.name))
    }

    fn note(
        &self,
        event: &'static str,
        credentials: &Credentials<'_>,
        user: &str,
        id: AccessTokenId,
        record: &TokenRecord,
    ) {
        let client = credentials.client_text();
        let event = token_event(event, id, Some(record)).with("user", Some(user)).with("client", client);
        self.guard.audit().note(event.with("requestId", credentials.request_id));
    }
}
