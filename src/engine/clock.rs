//! `Clock`: what time it is, for ages and expiries.
//!
//! A store's times come from the machine that holds it; they are compared with this clock. A grace period is therefore to be
//! longer than the clocks of all machines can differ.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A source of the present time. Cloning is cheap.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// A clock that shows what `now` says.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The present.
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }

    /// The moment `age` ago.
    pub fn ago(&self, age: Duration) -> SystemTime {
        self.now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl Default for Clock {
    /// The clock of the machine.
    fn default() -> Self {
        Self::new(SystemTime::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}
