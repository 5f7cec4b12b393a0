//! `AccessTokenFiles`: the files of an access token in the store.
//!
//! A token is a directory. Its record is written once and never changed, so that no two processes change one file; an earlier
//! end and the last use are files beside it. Removing the record revokes the token, for every registry over the store. The
//! engine knows no more of a record than its bytes.

use std::time::SystemTime;

use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{PutMode, StorageDriverExt};

use crate::clock::{millis, time_of_millis};
use crate::layout::{Entry, access_token, access_tokens_root};
use crate::{AccessTokenId, Registry, Result};

/// The files of an access token in the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessTokenFiles {
    /// The record, as it was created.
    pub record: Bytes,
    /// When the token ends, earlier than its record says; the epoch if the file is unreadable.
    pub ends: Option<SystemTime>,
}

impl Registry {
    /// Creates an access token.
    ///
    /// # Errors
    ///
    /// The registry is read-only, there is a token with this id, or the store failed.
    pub async fn create_access_token(&self, id: AccessTokenId, record: Bytes) -> Result<()> {
        let _write = self.begin_write()?;
        let path = Entry::AccessTokenRecord(id).path();
        Ok(self.driver().put_content(&path, record, PutMode::Create).await?)
    }

    /// The files of an access token; `None` if there is no such token.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn access_token(&self, id: AccessTokenId) -> Result<Option<AccessTokenFiles>> {
        let record = self.driver().get_content_if_any(&Entry::AccessTokenRecord(id).path()).await?;
        let Some(record) = record else { return Ok(None) };
        let ends = self.driver().get_content_if_any(&Entry::AccessTokenEnds(id).path()).await?;
        // A token whose earlier end is unreadable has ended.
        let ends = ends.map(|ends| time_of_millis(&ends).unwrap_or(SystemTime::UNIX_EPOCH));
        Ok(Some(AccessTokenFiles { record, ends }))
    }

    /// Lets an access token end at `time`, if its record does not end it before. The first such call for a token wins.
    ///
    /// # Errors
    ///
    /// The registry is read-only, the token has such an end, or the store failed.
    pub async fn end_access_token(&self, id: AccessTokenId, time: SystemTime) -> Result<()> {
        let _write = self.begin_write()?;
        let path = Entry::AccessTokenEnds(id).path();
        Ok(self.driver().put_content(&path, millis(time).to_string().into(), PutMode::Create).await?)
    }

    /// Removes an access token; false if there was none.
    ///
    /// # Errors
    ///
    /// The registry is read-only, or the store failed; then the token may be left.
    pub async fn remove_access_token(&self, id: AccessTokenId) -> Result<bool> {
        let _write = self.begin_write()?;
        let record = Entry::AccessTokenRecord(id).path();
        // A record that cannot be read can be removed.
        let existed = self.driver().exists(&record).await.unwrap_or(true);
        // The record first: without it the rest means nothing. It must not come back after a power failure, also if an
        // earlier call removed it and could not say so.
        self.driver().delete(&record).await?;
        self.driver().sync_deletions(&[record]).await?;
        self.driver().delete_tree(&access_token(&id)).await?;
        Ok(existed)
    }

    /// The ids of all access tokens, in their order. It reads no record, so an unreadable one hides no other; an id may have none
    /// any more.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn access_tokens(&self) -> Result<Vec<AccessTokenId>> {
        let mut entries = self.driver().list(&access_tokens_root(), None);
        let mut ids: Vec<AccessTokenId> = Vec::new();
        while let Some(entry) = entries.try_next().await? {
            ids.extend(entry.name().parse::<AccessTokenId>().ok());
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// Notes that an access token was used at `time`. A power failure may lose the note.
    ///
    /// # Errors
    ///
    /// The registry is read-only, or the store failed.
    pub async fn note_access_token_use(&self, id: AccessTokenId, time: SystemTime) -> Result<()> {
        let _write = self.begin_write()?;
        let path = Entry::AccessTokenUsed(id).path();
        Ok(self.driver().put_content(&path, millis(time).to_string().into(), PutMode::Transient).await?)
    }

    /// When an access token was last used, as far as it was noted.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn access_token_use(&self, id: AccessTokenId) -> Result<Option<SystemTime>> {
        let noted = self.driver().get_content_if_any(&Entry::AccessTokenUsed(id).path()).await?;
        Ok(noted.as_deref().and_then(time_of_millis))
    }
}
