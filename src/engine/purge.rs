//! Purging: deletes uploads that their clients abandoned.

use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use sampan_driver::{ErrorKind, PutMode, StorageDriverExt, WriteMode};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::catalog::Content;
use crate::layout::{self, Entry};
use crate::oci::RepositoryName;
use crate::upload::UploadId;
use crate::upload::locks::LockMode;
use crate::upload::started_now;
use crate::{Clock, Registry, Result};

/// Which uploads to purge.
#[derive(Clone, Copy, Debug)]
pub struct PurgeOptions {
    /// An upload without activity since this time is abandoned.
    pub older_than: SystemTime,
    /// Only report what a purge would delete.
    pub dry_run: bool,
}

impl PurgeOptions {
    /// Selects every upload without activity for `age`.
    pub fn untouched_for(age: Duration, dry_run: bool) -> Self {
        Self { older_than: Clock::default().ago(age), dry_run }
    }
}

/// The result of a purge.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PurgeReport {
    /// How many uploads exist.
    pub examined: u64,
    /// How many of them were (or would be) purged.
    pub purged: u64,
    /// How many bytes those had.
    pub purged_bytes: u64,
    /// How many uploads the purge could not examine or delete; the log gives the reasons.
    pub failed: u64,
}

impl Registry {
    /// Purges abandoned uploads in all repositories. A failure with one upload does not stop the purge of the others.
    ///
    /// The age of an upload counts from its last activity: its beginning (`startedat`) or its youngest file. The purge also
    /// deletes leftovers without a `startedat`, which Distribution never does. For leftovers that a walk does not show it
    /// writes a `startedat`, and purges them once that is old.
    ///
    /// # Errors
    ///
    /// When the store cannot list the repositories. `ReadOnly`, also where the registry becomes read-only meanwhile.
    pub async fn purge_uploads(&self, options: &PurgeOptions) -> Result<PurgeReport> {
        let mut report = PurgeReport::default();
        let mut names = self.repositories_with(Content::Uploads, "");
        while let Some(name) = names.try_next().await? {
            let mut uploads = self.driver().list(&layout::uploads(&name), None);
            while let Some(entry) = uploads.try_next().await? {
                let Ok(id) = entry.name().parse::<UploadId>() else { continue };
                report.examined += 1;
                let _write = (!options.dry_run).then(|| self.begin_write()).transpose()?;
                match self.purge_upload(&name, &id, options).await {
                    Ok(Some(bytes)) => {
                        report.purged += 1;
                        report.purged_bytes += bytes;
                        tracing::info!(repository = %name, upload = %id, bytes, dry_run = options.dry_run, "purged upload {id} of {name}");
                    }
                    Ok(None) => {}
                    Err(error) => {
                        report.failed += 1;
                        tracing::warn!(repository = %name, upload = %id, %error, "cannot purge upload {id} of {name}");
                    }
                }
            }
        }
        Ok(report)
    }

    /// Purges one upload if its client abandoned it, and returns how many bytes it had.
    pub(crate) async fn purge_upload(
        &self,
        name: &RepositoryName,
        id: &UploadId,
        options: &PurgeOptions,
    ) -> Result<Option<u64>> {
        // While the purge holds the lock, no request of this process can resume the upload.
        let Ok(mut claim) = self.inner.locks.claim(id, LockMode::Read).await else {
            return Ok(None);
        };
        let directory = layout::upload(name, id);
        let started = self.started_at(name, id).await?;
        let (mut bytes, mut youngest) = (0, started);
        let mut files = self.driver().walk(&directory, None);
        while let Some(file) = files.try_next().await? {
            bytes += file.size_bytes;
            youngest = youngest.max(Some(file.modified));
        }
        let Some(youngest) = youngest else {
            if !options.dry_run {
                self.date_hidden(name, id).await?;
            }
            return Ok(None);
        };
        if youngest >= options.older_than {
            return Ok(None);
        }
        if !options.dry_run {
            claim.forget_begun();
            self.driver().delete_tree(&directory).await?;
        }
        Ok(Some(bytes))
    }

    /// Writes the present time as the beginning of an upload without visible files. Its age is unknown; a later purge deletes
    /// it.
    ///
    /// One process may have cancelled the upload while another wrote its first bytes, and in some stores a walk shows no
    /// staged bytes. If nothing is staged, the upload is an empty directory, which a request may be about to fill.
    async fn date_hidden(&self, name: &RepositoryName, id: &UploadId) -> Result<()> {
        let staged = Entry::UploadData(name.clone(), id.clone()).path();
        match self.driver().writer(&staged, WriteMode::Append).await {
            Ok(writer) => {
                let note = writer.note().unwrap_or_default();
                writer.close(note).await?;
            }
            // Another registry that writes it has dated it.
            Err(error) if error.is_not_found() || error.kind() == ErrorKind::Busy => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let started = Entry::UploadStartedAt(name.clone(), id.clone()).path();
        match self.driver().put_content(&started, started_now(), PutMode::Create).await {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn started_at(&self, name: &RepositoryName, id: &UploadId) -> Result<Option<SystemTime>> {
        let path = Entry::UploadStartedAt(name.clone(), id.clone()).path();
        let content = self.driver().get_content_if_any(&path).await?;
        let text = content.as_deref().and_then(|content| std::str::from_utf8(content).ok());
        // If it is unreadable, the age of the file counts.
        Ok(text.and_then(|text| OffsetDateTime::parse(text.trim(), &Rfc3339).ok()).map(SystemTime::from))
    }
}
