//! `PurgeTurn`: of several registries over one store, one purges uploads in each interval.

use std::time::Duration;

use crate::turn::{PeriodicTask, TurnState};
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
        match self.take_turn(PeriodicTask::Purge, interval).await? {
            TurnState::NotDue(wait) => Ok(PurgeTurn::NotDue(wait)),
            TurnState::Taken(turn) => {
                let purged = self.purge_uploads(options).await;
                self.end_turn(turn, purged).await.map(PurgeTurn::Purged)
            }
        }
    }
}
