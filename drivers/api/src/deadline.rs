//! `Deadline`: the time after which a deletion must not start.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A time after which a deletion must not start. Cheap to clone.
///
/// Only the caller knows which clock to trust, so a driver asks for the time left, as close to the deletion
/// as it can: a process may be stopped for any time between two of its steps.
#[derive(Clone)]
pub struct Deadline(Option<Arc<dyn Fn() -> Duration + Send + Sync>>);

impl Deadline {
    /// No deadline.
    pub const NONE: Self = Self(None);

    /// A deadline that is `left()` away; `left` is called each time.
    pub fn new(left: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(left)))
    }

    /// The time left; `None` without a deadline.
    pub fn left(&self) -> Option<Duration> {
        self.0.as_ref().map(|left| left())
    }

    /// Whether deletions must no longer start.
    pub fn has_passed(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Deadline").field(&self.left()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_deadline_is_evaluated_each_time() {
        assert!(!Deadline::NONE.has_passed());
        let left = Arc::new(AtomicU64::new(1));
        let clock = left.clone();
        let deadline = Deadline::new(move || Duration::from_secs(clock.load(Ordering::Relaxed)));
        assert!(!deadline.has_passed());
        left.store(0, Ordering::Relaxed);
        assert!(deadline.has_passed());
    }
}
