//! `Clock`: what time it is, for ages and expiries; and how much time went by since some [`Moment`].
//!
//! A store's times come from the machine that holds it; they are compared with this clock. A grace period is therefore to be
//! longer than the clocks of all machines can differ.
//!
//! How much time went by is asked of several clocks, and the one that shows most is believed: the monotonic clock may stand still
//! while the machine sleeps, and the wall clock may be set back.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A source of the present time. Cloning is cheap.
#[derive(Clone)]
pub struct Clock {
    wall: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    steady: Steady,
}

/// Which clocks beside the wall clock tell how much time went by.
#[derive(Clone)]
enum Steady {
    /// The monotonic clock, and the one that also counts the time for which the machine sleeps.
    OfMachine,
    /// The monotonic clock of the runtime.
    OfRuntime,
    /// Another one.
    Other(Arc<dyn Fn() -> Duration + Send + Sync>),
}

/// A moment, by all clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) instant: Instant,
    steady: Duration,
    wall: SystemTime,
}

impl Clock {
    /// A clock that shows what `now` says.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { wall: Arc::new(now), steady: Steady::OfRuntime }
    }

    /// A clock that shows what `now` says, and that tells how much time went by from nothing but that and `steady`, which counts
    /// from any beginning: for tests of clocks that stand still or jump.
    pub fn with_steady(
        now: impl Fn() -> SystemTime + Send + Sync + 'static,
        steady: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        Self { wall: Arc::new(now), steady: Steady::Other(Arc::new(steady)) }
    }

    /// The present.
    pub fn now(&self) -> SystemTime {
        (self.wall)()
    }

    /// The moment `age` ago.
    pub fn ago(&self, age: Duration) -> SystemTime {
        self.now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// The present, to be compared with [`since`](Self::since).
    pub(crate) fn moment(&self) -> Moment {
        let steady = match &self.steady {
            Steady::OfMachine => awake_or_asleep(),
            Steady::OfRuntime => Duration::ZERO,
            Steady::Other(steady) => steady(),
        };
        Moment { instant: Instant::now(), steady, wall: self.now() }
    }

    /// How much time went by since `moment`, by the clock that shows most.
    pub(crate) fn since(&self, moment: &Moment) -> Duration {
        let steady = match &self.steady {
            Steady::OfMachine => {
                moment.instant.elapsed().max(awake_or_asleep().saturating_sub(moment.steady))
            }
            Steady::OfRuntime => moment.instant.elapsed(),
            Steady::Other(steady) => steady().saturating_sub(moment.steady),
        };
        // A wall clock that was set back says nothing.
        steady.max(self.now().duration_since(moment.wall).unwrap_or_default())
    }
}

/// The time since some beginning, including that for which the machine slept.
fn awake_or_asleep() -> Duration {
    #[cfg(any(target_os = "android", target_os = "linux"))]
    let clock = rustix::time::ClockId::Boottime;
    // Elsewhere it counts on while the machine sleeps.
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    let clock = rustix::time::ClockId::Monotonic;
    Duration::try_from(rustix::time::clock_gettime(clock)).unwrap_or_default()
}

impl Default for Clock {
    /// The clocks of the machine.
    fn default() -> Self {
        Self { wall: Arc::new(SystemTime::now), steady: Steady::OfMachine }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn the_clock_that_shows_most_is_believed() {
        let clocks: [Arc<AtomicU64>; 2] = [1000, 1000].map(|secs| Arc::new(AtomicU64::new(secs)));
        let [wall, steady] = clocks.clone();
        let secs = |clock: &AtomicU64| Duration::from_secs(clock.load(Ordering::Relaxed));
        let clock = Clock::with_steady(move || SystemTime::UNIX_EPOCH + secs(&wall), move || secs(&steady));
        let moment = clock.moment();
        let set = |wall: u64, steady: u64| {
            clocks[0].store(wall, Ordering::Relaxed);
            clocks[1].store(steady, Ordering::Relaxed);
        };
        for (wall, steady, since) in [(1000, 1000, 0), (1060, 1005, 60), (1005, 1060, 60), (10, 1007, 7)] {
            set(wall, steady);
            assert_eq!(clock.since(&moment), Duration::from_secs(since), "{wall} and {steady}");
        }
        let clock = Clock::default();
        assert!(clock.since(&clock.moment()) < Duration::from_secs(600));
    }
}
