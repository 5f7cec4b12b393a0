//! The rotation of an access token: a new one with the same rights, while the old one ends.

use std::time::{Duration, SystemTime};

use sampan_engine::AccessTokenId;

use super::access_tokens::MAX_RECORD_BYTES;
use super::lifetime::Lifetime;
use super::new_token::{InvalidToken, MAX_TEXT_BYTES};
use super::stored_token::StoredToken;
use super::token_record::{InvalidRecord, TokenRecord, rfc3339};
use super::token_secret::TokenSecret;

/// Why a token is not rotated.
#[derive(Debug, thiserror::Error)]
pub enum CannotRotate {
    /// It was rotated before.
    #[error("the token {0} was rotated already: rotate the token that replaced it")]
    Rotated(AccessTokenId),
    /// It has ended.
    #[error("the token {id} ended at {at}: create another one with `registry token create`")]
    Ended {
        /// The token.
        id: AccessTokenId,
        /// When it ended, as in RFC 3339.
        at: String,
    },
    /// The new one would be valid for too long.
    #[error("the token {id} cannot be rotated: {source}; create a shorter one with `registry token create`")]
    Lifetime {
        /// The token.
        id: AccessTokenId,
        /// The reason.
        source: InvalidToken,
    },
    /// Its record is damaged.
    #[error(transparent)]
    Record(#[from] InvalidRecord),
}

impl StoredToken {
    /// The secret and record of a token that replaces this one: with the same rights, and as long a life, for which `longest` is
    /// the limit; zero means no limit.
    ///
    /// # Errors
    ///
    /// The token was rotated before, has ended, or was to live longer.
    pub fn successor(
        &self,
        now: SystemTime,
        longest: Duration,
    ) -> Result<(TokenSecret, TokenRecord), CannotRotate> {
        let (id, old) = (self.id, &self.record);
        if self.is_rotated {
            return Err(CannotRotate::Rotated(id));
        }
        if self.has_ended() {
            return Err(CannotRotate::Ended { id, at: rfc3339(self.ends) });
        }
        let lifetime = match old.expires()? {
            Some(expires) => {
                let begin = old.created().unwrap_or(now);
                Lifetime::For(expires.duration_since(begin).unwrap_or_default())
            }
            None => Lifetime::Never,
        };
        lifetime.check(longest).map_err(|source| CannotRotate::Lifetime { id, source })?;
        let secret = TokenSecret::random();
        let mut record = TokenRecord {
            created: rfc3339(Some(now)),
            expires: rfc3339(lifetime.end(now)),
            sha256: secret.hash(),
            note: note_of_successor(&old.note, id),
            ..old.clone()
        };
        // A larger record would not count.
        if serde_json::to_vec(&record).is_ok_and(|json| json.len() > MAX_RECORD_BYTES) {
            record.note.clone_from(&old.note);
        }
        Ok((secret, record))
    }
}

/// The note of a token that replaces `id`, whose own note may name the token that it replaced.
fn note_of_successor(old: &str, id: AccessTokenId) -> String {
    let is_id = |text: &str| text.parse::<AccessTokenId>().is_ok();
    if old.is_empty() || old.strip_prefix("replaces ").is_some_and(is_id) {
        return format!("replaces {id}");
    }
    let own = old
        .rsplit_once(" (replaces ")
        .filter(|(_, rest)| rest.strip_suffix(')').is_some_and(is_id))
        .map_or(old, |(own, _)| own);
    let note = format!("{own} (replaces {id})");
    // The text of its user is worth more than the id, which the audit record has too.
    if note.len() <= MAX_TEXT_BYTES { note } else { own.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_names_the_token_that_was_replaced_last() {
        let (one, two) = (AccessTokenId::random(), AccessTokenId::random());
        for (old, expected) in [
            (String::new(), format!("replaces {two}")),
            (format!("replaces {one}"), format!("replaces {two}")),
            ("replaces Jenkins".to_owned(), format!("replaces Jenkins (replaces {two})")),
            (format!("nightly (replaces {one})"), format!("nightly (replaces {two})")),
            ("x".repeat(128), "x".repeat(128)),
        ] {
            assert_eq!(note_of_successor(&old, two), expected);
        }
    }
}
