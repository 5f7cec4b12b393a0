//! `FailureBudget`: decides whether failures are those of an image, of a repository, or of the upstream.

use crate::error::StopReason;

/// The failures since the last copied image that may be the upstream's fault.
#[derive(Debug, Default)]
pub(crate) struct FailureBudget {
    /// Those in the repository that is copied.
    in_repository: usize,
    /// The repositories that have some.
    repositories: usize,
    /// The last of them.
    reason: String,
    /// Whether it may pass by itself.
    is_passing: bool,
}

/// Where a run continues after a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AfterFailure {
    /// The next image.
    Image,
    /// The next repository: the failures are this one's.
    Repository,
}

/// After this many such failures in a row, the repository is at fault; after this many such repositories in a row, the upstream is.
const MAX_FAILURES: usize = 3;

impl FailureBudget {
    /// An image was copied: the upstream is there.
    pub(crate) fn renew(&mut self) {
        *self = Self::default();
    }

    /// Counts a failure, and says where the run continues.
    pub(crate) fn add_failure(&mut self, reason: String, is_passing: bool) -> AfterFailure {
        self.repositories += usize::from(self.in_repository == 0);
        self.in_repository += 1;
        (self.reason, self.is_passing) = (reason, is_passing);
        if self.in_repository < MAX_FAILURES { AfterFailure::Image } else { AfterFailure::Repository }
    }

    /// The next failure is of another repository. Fails if too many repositories in a row have failed.
    pub(crate) fn end_repository(&mut self) -> Result<(), StopReason> {
        self.in_repository = 0;
        match self.repositories < MAX_FAILURES {
            true => Ok(()),
            false => Err(StopReason::because(&self.reason)),
        }
    }

    /// Why the run has to be repeated soon: no image after the last failure has shown that the upstream is there.
    pub(crate) fn end(self) -> Option<StopReason> {
        self.is_passing.then(|| StopReason::because(&self.reason))
    }
}
