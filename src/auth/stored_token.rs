//! `StoredToken`: an access token as the store has it.

use std::time::SystemTime;

use sampan_engine::{AccessTokenFiles, AccessTokenId, Registry};

use super::token_record::{InvalidRecord, TokenRecord};

/// An access token of the store.
#[derive(Clone, Debug)]
pub struct StoredToken {
    /// Its id.
    pub id: AccessTokenId,
    /// Its record.
    pub record: TokenRecord,
    /// When it ends, by its record or before; `None` if never.
    pub ends: Option<SystemTime>,
    /// Whether a rotation ends it before its record does.
    pub is_rotated: bool,
}

/// Why a token of the store is not known.
#[derive(Debug, thiserror::Error)]
pub enum StoredTokenError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] sampan_engine::Error),
    /// Its record is damaged, so it does not count.
    #[error(transparent)]
    Record(#[from] InvalidRecord),
}

impl StoredToken {
    /// Reads a token; `None` if there is none.
    ///
    /// # Errors
    ///
    /// The store failed, or the record is damaged.
    pub async fn find(registry: &Registry, id: AccessTokenId) -> Result<Option<Self>, StoredTokenError> {
        let Some(files) = registry.access_token(id).await? else { return Ok(None) };
        Ok(Some(Self::of(id, &files)?))
    }

    /// The token of these files.
    ///
    /// # Errors
    ///
    /// The record is damaged.
    pub(super) fn of(id: AccessTokenId, files: &AccessTokenFiles) -> Result<Self, InvalidRecord> {
        let record = TokenRecord::parse(&files.record)?;
        let ends = [record.expires()?, files.ends].into_iter().flatten().min();
        Ok(Self { id, record, ends, is_rotated: files.ends.is_some() })
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.ends.is_some_and(|ends| ends <= SystemTime::now())
    }
}
