//! `PurgeTurn`: of several registries over one store, one purges uploads in each interval.
//!
//! Each purge has its own file, `purge/<number>`. Its registry creates the file before it begins and removes it when the
//! purge fails; of two registries that begin at once, one finds the file. Two purges at a time do no harm, so a store that
//! overwrites existing files costs one extra walk, and so does a wrong clock. A purge whose process dies counts as done.

use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use sampan_driver::{ErrorKind, PutMode, StorageDriverExt};

use crate::layout::{Entry, purges_root};
use crate::lease::{millis, time_of_millis};
use crate::{PurgeOptions, PurgeReport, Registry, Result};

/// The result of a purge that runs once per interval.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PurgeTurn {
    /// This registry ran the purge.
    Purged(PurgeReport),
    /// Another registry ran the purge, or this one before a restart; the next one is due after this time.
    NotDue(Duration),
}

impl Registry {
    /// Purges uploads like [`purge_uploads`](Self::purge_uploads), unless a registry over this store did so within the last
    /// `interval`. A dry run purges nothing for the others, so it takes no turn.
    ///
    /// # Errors
    ///
    /// As `purge_uploads`; then the purge is still due. Any error of the store.
    pub async fn purge_uploads_in_turn(
        &self,
        options: &PurgeOptions,
        interval: Duration,
    ) -> Result<PurgeTurn> {
        if options.dry_run {
            return Ok(PurgeTurn::Purged(self.purge_uploads(options).await?));
        }
        let purges = self.purges().await?;
        let last = purges.iter().max().copied();
        let now = self.clock().now();
        if let Some(number) = last
            && let Some(begun) = self.purge_begun(number).await?
        {
            // A time in the future comes from a clock that was wrong, possibly by years.
            let age = now.duration_since(begun).unwrap_or_else(|error| error.duration());
            if age < interval {
                return Ok(PurgeTurn::NotDue(interval - age));
            }
        }
        let turn = Entry::UploadPurge(last.map_or(0, |number| number.wrapping_add(1))).path();
        match self.driver().put_content(&turn, millis(now).to_string().into(), PutMode::Create).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(PurgeTurn::NotDue(interval)),
            Err(error) => return Err(error.into()),
        }
        let report = match self.purge_uploads(options).await {
            Ok(report) => report,
            Err(error) => {
                if let Err(again) = self.driver().delete(&turn).await {
                    tracing::warn!(error = %again, "a purge of uploads failed, and its mark {turn} cannot be removed, so the next purge waits for its interval");
                }
                return Err(error);
            }
        };
        for number in purges {
            let path = Entry::UploadPurge(number).path();
            if let Err(error) = self.driver().delete(&path).await {
                tracing::debug!(%path, %error, "the mark of an earlier purge stays until the next one");
            }
        }
        Ok(PurgeTurn::Purged(report))
    }

    /// The numbers of the recorded purges.
    async fn purges(&self) -> Result<Vec<u64>> {
        let mut files = self.driver().walk(&purges_root(), None);
        let mut numbers = Vec::new();
        while let Some(file) = files.try_next().await? {
            if let Some(Entry::UploadPurge(number)) = Entry::parse(&file.path) {
                numbers.push(number);
            }
        }
        Ok(numbers)
    }

    /// When a purge began; `None` when its file is gone or unreadable, as after a power failure.
    async fn purge_begun(&self, number: u64) -> Result<Option<SystemTime>> {
        let content = self.driver().get_content_if_any(&Entry::UploadPurge(number).path()).await?;
        Ok(content.as_deref().and_then(time_of_millis))
    }
}
