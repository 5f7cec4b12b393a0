//! `NewToken`: an access token before it is created, by the command or on the web page.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sampan_config::{GoDuration, Permission, RepositoryPattern};
use sampan_engine::{AccessTokenId, Registry};

use super::access_tokens::MAX_RECORD_BYTES;
use super::audit::AuditEvent;
use super::lifetime::Lifetime;
use super::policy::{InvalidRights, Rights};
use super::token_record::{TokenRecord, rfc3339};
use super::token_secret::TokenSecret;

/// The longest name and note, in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 128;

/// An access token as it is wanted.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The name, under which a client logs in and the log shows it.
    pub name: String,
    /// Why it exists; may be empty.
    pub note: String,
    /// The actions that it grants.
    pub may: Vec<Permission>,
    /// The repositories.
    pub on: Vec<RepositoryPattern>,
    /// Repositories that `on` does not mean.
    pub except: Vec<RepositoryPattern>,
    /// The user whose rights bound those of the token.
    pub on_behalf_of: Option<String>,
    /// The user who creates it.
    pub created_by: String,
    /// How long it is valid.
    pub lifetime: Lifetime,
}

/// Why a token cannot be as it is wanted.
#[derive(Debug, thiserror::Error)]
pub enum InvalidToken {
    /// The name.
    #[error(
        "the name must have 1 to {MAX_TEXT_BYTES} bytes, no `:` and no control characters, and not be `token`"
    )]
    Name,
    /// The note.
    #[error("the note must be one line of {MAX_TEXT_BYTES} bytes at most")]
    Note,
    /// The rights.
    #[error(transparent)]
    Rights(#[from] InvalidRights),
    /// It would have ended at once.
    #[error("a lifetime of {0} is too short: it must be at least a second")]
    Ended(Lifetime),
    /// It would be valid for too long.
    #[error("a lifetime of {lifetime} is longer than access.tokens.longest, which is {longest}")]
    Lifetime {
        /// As it is wanted.
        lifetime: Lifetime,
        /// The longest one.
        longest: GoDuration,
    },
    /// Its record would be too large to count.
    #[error("its record would have {0} bytes, more than the limit of {MAX_RECORD_BYTES}: use fewer patterns")]
    Size(usize),
    /// Its record cannot be written.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// A valid token that the store does not have yet.
#[derive(Debug)]
pub struct CheckedToken {
    secret: TokenSecret,
    record: TokenRecord,
    json: Bytes,
}

impl NewToken {
    /// Checks the token, which may live for `longest` at most; zero is no limit. Makes its secret.
    ///
    /// # Errors
    ///
    /// A name, note, right or lifetime that is not valid, or too many patterns.
    pub fn check(self, longest: Duration) -> Result<CheckedToken, InvalidToken> {
        let Self { name, note, may, on, except, on_behalf_of, created_by, lifetime } = self;
        let is_plain =
            |text: &str| !text.is_empty() && text.len() <= MAX_TEXT_BYTES && !text.contains(char::is_control);
        if !is_plain(&name) || name.contains(':') || name == "token" {
            return Err(InvalidToken::Name);
        }
        if !note.is_empty() && !is_plain(&note) {
            return Err(InvalidToken::Note);
        }
        Rights::new(may.clone(), on.clone(), except.clone())?;
        lifetime.check(longest)?;
        let now = SystemTime::now();
        let secret = TokenSecret::random();
        let texts = |patterns: Vec<RepositoryPattern>| patterns.iter().map(ToString::to_string).collect();
        let record = TokenRecord {
            name,
            note,
            may: may.iter().map(|permission| permission.as_str().to_owned()).collect(),
            on: texts(on),
            except: texts(except),
            on_behalf_of,
            created: rfc3339(Some(now)),
            created_by,
            expires: rfc3339(lifetime.end(now)),
            sha256: secret.hash(),
        };
        let json = Bytes::from(serde_json::to_vec(&record)?);
        if json.len() > MAX_RECORD_BYTES {
            return Err(InvalidToken::Size(json.len()));
        }
        Ok(CheckedToken { secret, record, json })
    }
}

impl CheckedToken {
    /// The id that it will have.
    pub fn id(&self) -> AccessTokenId {
        self.secret.id()
    }

    /// The record that the store will keep.
    pub fn record(&self) -> &TokenRecord {
        &self.record
    }

    /// Creates the token.
    ///
    /// # Errors
    ///
    /// The registry is read-only, or the store failed.
    pub async fn create(self, registry: &Registry) -> sampan_engine::Result<(TokenSecret, TokenRecord)> {
        registry.create_access_token(self.secret.id(), self.json).await?;
        Ok((self.secret, self.record))
    }
}

/// The event of a change of an access token.
pub fn token_event(name: &'static str, id: AccessTokenId, record: Option<&TokenRecord>) -> AuditEvent {
    AuditEvent::new(name)
        .with("token", Some(id.to_string()))
        .with("name", record.map(|record| &record.name))
        .with("may", record.map(|record| record.may.join(",")))
        .with("on", record.map(|record| record.on.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> NewToken {
        NewToken {
            name: "ci".to_owned(),
            note: String::new(),
            may: vec![Permission::Push],
            on: vec!["team/**".parse().unwrap()],
            except: Vec::new(),
            on_behalf_of: None,
            created_by: "alice".to_owned(),
            lifetime: Lifetime::For(Duration::from_secs(60)),
        }
    }

    #[test]
    fn a_checked_token_is_read_as_it_was_wanted() {
        let checked = token().check(Duration::from_secs(60)).unwrap();
        let record = TokenRecord::parse(&checked.json).unwrap();
        assert_eq!(&record, checked.record());
        assert!(record.rights().is_ok() && record.expires().unwrap().is_some());
    }

    #[test]
    fn what_no_registry_would_take_is_refused() {
        let check = |change: &dyn Fn(&mut NewToken)| {
            let mut token = token();
            change(&mut token);
            token.check(Duration::from_secs(60)).unwrap_err()
        };
        for name in ["", "a:b", "a\nb", "token", &"x".repeat(129)] {
            assert!(matches!(check(&|token| name.clone_into(&mut token.name)), InvalidToken::Name), "{name}");
        }
        assert!(matches!(check(&|token| token.note = "a\u{1b}b".to_owned()), InvalidToken::Note));
        assert!(matches!(check(&|token| token.may.clear()), InvalidToken::Rights(_)));
        assert!(matches!(check(&|token| token.lifetime = Lifetime::Never), InvalidToken::Lifetime { .. }));
        let longer = Lifetime::For(Duration::from_secs(61));
        assert!(matches!(check(&|token| token.lifetime = longer), InvalidToken::Lifetime { .. }));
        // Registries read no more of a record.
        let many = || (0..1000).map(|number| format!("team-team-{number}/**").parse().unwrap()).collect();
        assert!(matches!(check(&|token| token.on = many()), InvalidToken::Size(_)));
        let none = Lifetime::For(Duration::from_millis(999));
        assert!(matches!(check(&|token| token.lifetime = none), InvalidToken::Ended(_)));
        let endless = NewToken { lifetime: Lifetime::Never, ..token() };
        assert_eq!(endless.check(Duration::ZERO).unwrap().record().expires, "never");
    }
}
