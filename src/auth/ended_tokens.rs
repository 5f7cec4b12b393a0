//! Removes access tokens that ended long ago.

use std::time::{Duration, SystemTime};

use sampan_engine::{Error, Registry};

use super::stored_token::{StoredToken, StoredTokenError};

/// How long a token that has ended stays in the list.
const RETENTION: Duration = Duration::from_secs(30 * 86_400);

/// Removes the tokens of a user, or those of no user, that ended more than 30 days ago. A failure is logged: the next call tries
/// again.
pub async fn remove_ended_tokens(registry: &Registry, user: Option<&str>) {
    let ids = match registry.access_tokens().await {
        Ok(ids) => ids,
        Err(error) => return warn(&error),
    };
    for id in ids {
        match StoredToken::find(registry, id).await {
            Ok(Some(token)) if token.record.on_behalf_of.as_deref() == user => {
                remove_if_old(registry, &token).await;
            }
            Err(StoredTokenError::Store(error)) if error.is_temporary() => return warn(&error),
            // It is of another user, is gone, or cannot be read.
            Ok(_) | Err(_) => {}
        }
    }
}

/// Removes a token if it ended more than 30 days ago. A failure is logged.
pub(super) async fn remove_if_old(registry: &Registry, token: &StoredToken) {
    // A damaged end is the epoch.
    let is_old = |ends: SystemTime| ends > SystemTime::UNIX_EPOCH && ends + RETENTION < SystemTime::now();
    if token.ends.is_some_and(is_old) {
        match registry.remove_access_token(token.id).await {
            Ok(_) => {
                tracing::info!(token = %token.id, name = token.record.name, "removed a token that ended long ago");
            }
            Err(error) => warn(&error),
        }
    }
}

fn warn(error: &Error) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "cannot remove access tokens that ended long ago"
    );
}
