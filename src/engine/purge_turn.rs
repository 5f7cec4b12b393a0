//! `PurgeTurn`: of many registries over one store, one purges uploads in each interval.
//!
//! Each purge is a file of its own, `purge/<number>`, which its registry creates before it begins, and removes when it fails: of
//! two that begin at once, one finds that there is such a file. Two purges at a time do no harm, so a store that creates
//! whatever is there already costs a walk, and so does a clock that is wrong. A purge whose process dies counts as made.

use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use sampan_driver::{ErrorKind, PutMode, StorageDriverExt};

use crate::layout::{Entry, purges_root};
use crate::lease::millis;
use crate::{PurgeOptions, PurgeReport, Registry, Result};

/// What came of a purge that is made once in an interval.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PurgeTurn {
    /// It was made.
    Purged(PurgeReport),
    /// Another registry has made it, or this one in an earlier life; it is due again in so long.
    NotDue(Duration),
}

impl Registry {
    /// Purges uploads as [`purge_uploads`](Self::purge_uploads), unless that was done within the `interval` before, by
    /// whatever registry over this store. A dry run does nothing for the others, so it takes no turn.
    ///
    /// # Errors
    ///
    /// As `purge_uploads`: then it is still due. Whatever the store fails with.
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
            // One in the future is of a clock that was wrong, maybe by years.
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
                    tracing::warn!(error = %again, "a purge of uploads failed, and counts as made: {turn} is left");
                }
                return Err(error);
            }
        };
        for number in purges {
            let path = Entry::UploadPurge(number).path();
            if let Err(error) = self.driver().delete(&path).await {
                tracing::debug!(%path, %error, "the note of an earlier purge is left to the next one");
            }
        }
        Ok(PurgeTurn::Purged(report))
    }

    /// The numbers of the purges that are noted.
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

    /// When a purge began; `None` when that cannot be read, as after a power failure, or is no longer noted.
    async fn purge_begun(&self, number: u64) -> Result<Option<SystemTime>> {
        let content = self.driver().get_content_if_any(&Entry::UploadPurge(number).path()).await?;
        let text = content.as_deref().and_then(|content| std::str::from_utf8(content).ok());
        let millis = text.and_then(|text| text.trim().parse().ok()).map(Duration::from_millis);
        Ok(millis.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since)))
    }
}
