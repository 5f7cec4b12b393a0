//! The index: its entries and its marker.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{Deadline, DirEntry, DriverPath, PutMode, StorageDriver, StorageDriverExt};

use super::Referrers;
use crate::Result;
use crate::layout::{self, Entry};
use crate::oci::{Algorithm, Digest};

/// The top level of an index.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Summary {
    /// Whether the marker exists.
    pub(super) is_complete: bool,
    /// The algorithms of the subjects.
    pub(super) algorithms: Vec<Algorithm>,
}

impl Referrers {
    /// Writes the entry of a manifest that is attached to `subject`. Call this before writing its revision link.
    ///
    /// It also rewrites an existing entry: the fresh modification time protects it from the collector.
    pub(crate) async fn add(&self, subject: &Digest, canonical: &Digest) -> Result<()> {
        let (path, content) = self.file(subject, canonical);
        Ok(self.driver().put_content(&path, content, PutMode::Overwrite).await?)
    }

    /// The entry as a file, for `link::write_all`.
    pub(crate) fn file(&self, subject: &Digest, canonical: &Digest) -> (DriverPath, Bytes) {
        (self.entry(subject, canonical).path(), Bytes::from(canonical.to_string()))
    }

    /// Writes the entry if it is missing.
    pub(crate) async fn add_if_missing(&self, subject: &Digest, canonical: &Digest) -> Result<()> {
        match self.driver().exists(&self.entry(subject, canonical).path()).await? {
            true => Ok(()),
            false => self.add(subject, canonical).await,
        }
    }

    /// The subject of a manifest, for [`remove`](Self::remove) after the manifest is deleted.
    pub(crate) async fn subject_of(&self, canonical: &Digest) -> Result<Option<Digest>> {
        Ok(self.known(canonical).await?.and_then(|known| known.subject().cloned()))
    }

    /// Removes the entry of a manifest whose revision link was removed; restores it if the link is back.
    ///
    /// Failures are only logged: the manifest is deleted, and the entry means nothing without it.
    pub(crate) async fn remove(&self, subject: &Digest, canonical: &Digest) {
        let removed = self.delete_entry(subject, canonical).await;
        let restored = match self.is_linked(canonical).await {
            Ok(true) => self.add(subject, canonical).await,
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = removed.and(restored) {
            let name = &self.repository.name;
            tracing::warn!(
                repository = %name, %subject, digest = %canonical, error = &error as &dyn std::error::Error,
                "the entry of {canonical} in the index of referrers of {name} could not be removed; a collection does it"
            );
        }
    }

    /// Removes an entry, and the directories that are then empty.
    async fn delete_entry(&self, subject: &Digest, canonical: &Digest) -> Result<()> {
        let path = self.entry(subject, canonical).path();
        let mut deleted = self.driver().delete_all(stream::iter([path]).boxed(), Deadline::NONE);
        while let Some((_, result)) = deleted.next().await {
            result?;
        }
        Ok(())
    }

    /// Reads the top level of the index: one listing of a directory with a handful of names.
    pub(super) async fn summary(&self) -> Result<Summary> {
        let mut summary = Summary::default();
        let mut entries = self.driver().list(&layout::referrers(&self.repository.name), None);
        while let Some(entry) = entries.try_next().await? {
            match entry {
                DirEntry::File(name) => summary.is_complete |= name == layout::COMPLETE,
                DirEntry::Directory(name) => summary.algorithms.extend(name.parse::<Algorithm>()),
            }
        }
        Ok(summary)
    }

    /// Marks the index as complete.
    pub(crate) async fn mark_complete(&self) -> Result<()> {
        let marker = Entry::ReferrersComplete(self.repository.name.clone());
        Ok(self.driver().put_content(&marker.path(), Bytes::from_static(b"1"), PutMode::Overwrite).await?)
    }

    fn entry(&self, subject: &Digest, canonical: &Digest) -> Entry {
        Entry::Referrer(self.repository.name.clone(), subject.clone(), canonical.clone())
    }
}
