//! `TurnState`: of several registries over one store, only one does a periodic task in each interval.
//!
//! Each turn has its own file with a number in its name, such as `purge/<number>`. Its registry creates the file before it
//! begins and removes it when the work fails; of two registries that begin at once, one finds the file. Doing the work twice
//! does no harm, so a store that overwrites existing files costs one extra walk, and so does a wrong clock. A turn whose
//! process dies counts as done.

use std::fmt;
use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use sampan_driver::{DriverPath, ErrorKind, PutMode, StorageDriverExt};

use crate::clock::{millis, time_of_millis};
use crate::layout::{Entry, purges_root, surveys_root, verification_turns_root};
use crate::space_reserve::put_in_reserve;
use crate::{Registry, Result};

/// A periodic task.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PeriodicTask {
    /// The purge of abandoned uploads.
    Purge,
    /// The survey of the store.
    Survey,
    /// A part of a verification.
    Verification,
}

/// Whether a task is due.
pub(crate) enum TurnState {
    /// It is, and this registry does it.
    Taken(TakenTurn),
    /// It is due after this time.
    NotDue(Duration),
}

/// The right to do a task now.
pub(crate) struct TakenTurn {
    work: PeriodicTask,
    mark: DriverPath,
    earlier: Vec<u64>,
}

impl PeriodicTask {
    fn root(self) -> DriverPath {
        match self {
            Self::Purge => purges_root(),
            Self::Survey => surveys_root(),
            Self::Verification => verification_turns_root(),
        }
    }

    fn mark(self, number: u64) -> DriverPath {
        match self {
            Self::Purge => Entry::UploadPurge(number).path(),
            Self::Survey => Entry::SurveyTurn(number).path(),
            Self::Verification => Entry::VerificationTurn(number).path(),
        }
    }
}

impl fmt::Display for PeriodicTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Purge => "purge of uploads",
            Self::Survey => "survey",
            Self::Verification => "verification",
        })
    }
}

impl Registry {
    /// Takes the turn, unless a registry over this store did within the last `interval`.
    pub(crate) async fn take_turn(&self, work: PeriodicTask, interval: Duration) -> Result<TurnState> {
        let earlier = self.turns(work).await?;
        let last = earlier.iter().max().copied();
        let now = self.clock().now();
        if let Some(number) = last
            && let Some(begun) = self.turn_begun(work, number).await?
        {
            // A time in the future comes from a clock that was wrong, possibly by years.
            let age = now.duration_since(begun).unwrap_or_else(|error| error.duration());
            if age < interval {
                return Ok(TurnState::NotDue(interval - age));
            }
        }
        let _write = self.begin_write()?;
        let mark = work.mark(last.map_or(0, |number| number.wrapping_add(1)));
        match put_in_reserve(self.driver(), &mark, millis(now).to_string().into(), PutMode::Create).await {
            Ok(()) => Ok(TurnState::Taken(TakenTurn { work, mark, earlier })),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(TurnState::NotDue(interval)),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends a turn: removes the marks of earlier ones, or its own if the work failed.
    pub(crate) async fn end_turn<T, E>(
        &self,
        turn: TakenTurn,
        result: std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let TakenTurn { work, mark, earlier } = turn;
        // Without a write this turn counts as done, and the next one removes the marks.
        let Ok(_write) = self.begin_write() else { return result };
        if result.is_err() {
            if let Err(again) = self.driver().delete(&mark).await {
                tracing::warn!(error = %again, "a {work} failed, and its mark {mark} cannot be removed, so the next one waits for a whole interval");
            }
            return result;
        }
        for path in earlier.into_iter().map(|number| work.mark(number)) {
            if let Err(error) = self.driver().delete(&path).await {
                tracing::debug!(%path, %error, "the mark of an earlier {work} stays until the next one");
            }
        }
        result
    }

    /// The numbers of the recorded turns.
    async fn turns(&self, work: PeriodicTask) -> Result<Vec<u64>> {
        let mut files = self.driver().walk(&work.root(), None);
        let mut numbers = Vec::new();
        while let Some(file) = files.try_next().await? {
            let entry = Entry::parse(&file.path);
            if let Some(Entry::UploadPurge(n) | Entry::SurveyTurn(n) | Entry::VerificationTurn(n)) = entry {
                numbers.push(n);
            }
        }
        Ok(numbers)
    }

    /// When a turn began; `None` when its file is gone or unreadable, as after a power failure.
    async fn turn_begun(&self, work: PeriodicTask, number: u64) -> Result<Option<SystemTime>> {
        let content = self.driver().get_content_if_any(&work.mark(number)).await?;
        Ok(content.as_deref().and_then(time_of_millis))
    }
}
