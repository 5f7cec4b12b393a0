//! `Patience`: tells an image that fails from an upstream that does.

use crate::error::Stop;

/// The failures since the last image that was copied which may be the upstream's.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    count: usize,
    /// The last of them, if it may pass by itself.
    passing: Option<String>,
}

/// So many such failures in a row are the upstream's.
const MAX_FAILURES: usize = 3;

impl Patience {
    /// An image was copied: the upstream is there.
    pub(crate) fn renew(&mut self) {
        *self = Self::default();
    }

    /// Fails if this failure is one too many.
    pub(crate) fn lose(&mut self, reason: &str, is_passing: bool) -> Result<(), Stop> {
        self.count += 1;
        self.passing = is_passing.then(|| reason.to_owned());
        match self.count < MAX_FAILURES {
            true => Ok(()),
            false => Err(Stop::because(reason)),
        }
    }

    /// Why the run has to be repeated soon: no image after the last failure has shown that the upstream is there.
    pub(crate) fn end(self) -> Option<Stop> {
        self.passing.as_deref().map(Stop::because)
    }
}
