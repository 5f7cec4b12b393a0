//! Purging: uploads that were given up, without a word, by their clients.

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
use crate::{Registry, Result};

/// What is to be purged.
#[derive(Clone, Copy, Debug)]
pub struct PurgeOptions {
    /// Uploads that nobody has touched since are given up.
    pub older_than: SystemTime,
    /// Only tells what would be purged.
    pub dry_run: bool,
}

impl PurgeOptions {
    /// Everything that nobody has touched for `age`.
    pub fn untouched_for(age: Duration, dry_run: bool) -> Self {
        Self { older_than: SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH), dry_run }
    }
}

/// What was purged.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PurgeReport {
    /// How many uploads were found.
    pub examined: u64,
    /// How many of them were (or would be) purged.
    pub purged: u64,
    /// How many bytes were in those.
    pub purged_bytes: u64,
    /// How many could not be examined or purged; the log says why.
    pub failed: u64,
}

impl Registry {
    /// Purges uploads that were given up, in all repositories. One that makes trouble does not keep the others from it.
    ///
    /// An upload's age is that of the last sign of life: its beginning (`startedat`) or its youngest file.
    /// Leftovers without a beginning are purged alike, which Distribution never does; those that a walk does not show are given
    /// one, and purged when that is old.
    ///
    /// # Errors
    ///
    /// When the repositories cannot be listed.
    pub async fn purge_uploads(&self, options: &PurgeOptions) -> Result<PurgeReport> {
        let mut report = PurgeReport::default();
        let mut names = self.repositories_with(Content::Uploads, "");
        while let Some(name) = names.try_next().await? {
            let mut uploads = self.driver().list(&layout::uploads(&name), None);
            while let Some(entry) = uploads.try_next().await? {
                let Ok(id) = entry.name().parse::<UploadId>() else { continue };
                report.examined += 1;
                match self.purge_upload(&name, &id, options).await {
                    Ok(Some(bytes)) => {
                        report.purged += 1;
                        report.purged_bytes += bytes;
                        tracing::info!(repository = %name, upload = %id, bytes, dry_run = options.dry_run, "purged upload {id} of {name}");
                    }
                    Ok(None) => {}
                    Err(error) => {
                        report.failed += 1;
                        tracing::warn!(repository = %name, upload = %id, %error, "upload {id} of {name} could not be purged");
                    }
                }
            }
        }
        Ok(report)
    }

    /// Purges one upload if it was given up, and tells how many bytes it had.
    pub(crate) async fn purge_upload(
        &self,
        name: &RepositoryName,
        id: &UploadId,
        options: &PurgeOptions,
    ) -> Result<Option<u64>> {
        // While it is held here, no request of this process can take it up again.
        let Ok(mut claim) = self.inner.locks.claim(id, LockMode::PendingSnapshot).await else {
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

    /// Gives an upload a beginning, now, of which nothing is to be seen. Nothing is known of its age; in time it is purged.
    ///
    /// It may have been cancelled by one process while another wrote its first bytes, and in some stores staged bytes are
    /// shown by no walk. Where nothing is staged, it is an empty directory, which may be about to be filled.
    async fn date_hidden(&self, name: &RepositoryName, id: &UploadId) -> Result<()> {
        let staged = Entry::UploadData(name.clone(), id.clone()).path();
        match self.driver().writer(&staged, WriteMode::Append).await {
            Ok(writer) => {
                let note = writer.note().unwrap_or_default();
                writer.close(note).await?;
            }
            Err(error) if error.is_not_found() => return Ok(()),
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
        // An unreadable one counts by its age as a file.
        Ok(text.and_then(|text| OffsetDateTime::parse(text.trim(), &Rfc3339).ok()).map(SystemTime::from))
    }
}
