//! `Clock`: the present time, for ages and expiries, and the time elapsed since a [`Moment`].
//!
//! The store's times come from the machine that holds it, and this clock measures their age. The grace period must therefore
//! exceed the largest difference between the clocks of all machines.
//!
//! Files name a time by its milliseconds since 1970: [`millis`], [`time_of`].
//!
//! Elapsed time is the maximum over several clocks: the monotonic clock may stop while the machine sleeps, and an
//! administrator may set the wall clock back.

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

/// Which clocks, besides the wall clock, measure elapsed time.
#[derive(Clone)]
enum Steady {
    /// The monotonic clock, and the clock that also counts the time that the machine sleeps.
    OfMachine,
    /// The monotonic clock of the runtime.
    OfRuntime,
    /// A custom clock.
    Other(Arc<dyn Fn() -> Duration + Send + Sync>),
}

/// A moment on every clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) instant: Instant,
    steady: Duration,
    wall: SystemTime,
}

impl Clock {
    /// Creates a clock that reads `now`.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { wall: Arc::new(now), steady: Steady::OfRuntime }
    }

    /// Creates a clock that reads `now` and measures elapsed time by `now` and `steady` alone. `steady` counts from any
    /// origin. Tests use it for clocks that stop or jump.
    pub fn with_steady(
        now: impl Fn() -> SystemTime + Send + Sync + 'static,
        steady: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        Self { wall: Arc::new(now), steady: Steady::Other(Arc::new(steady)) }
    }

    /// The present time.
    pub fn now(&self) -> SystemTime {
        (self.wall)()
    }

    /// The moment `age` ago.
    pub fn ago(&self, age: Duration) -> SystemTime {
        self.now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// The present moment, for [`since`](Self::since).
    pub(crate) fn moment(&self) -> Moment {
        let steady = match &self.steady {
            Steady::OfMachine => awake_or_asleep(),
            Steady::OfRuntime => Duration::ZERO,
            Steady::Other(steady) => steady(),
        };
        Moment { instant: Instant::now(), steady, wall: self.now() }
    }

    /// The time elapsed since `moment`, by the clock that shows the most.
    pub(crate) fn since(&self, moment: &Moment) -> Duration {
        let steady = match &self.steady {
            Steady::OfMachine => {
                moment.instant.elapsed().max(awake_or_asleep().saturating_sub(moment.steady))
            }
            Steady::OfRuntime => moment.instant.elapsed(),
            Steady::Other(steady) => steady().saturating_sub(moment.steady),
        };
        // A wall clock that was set back adds nothing.
        steady.max(self.now().duration_since(moment.wall).unwrap_or_default())
    }
}

/// Milliseconds since 1970.
pub(crate) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The time that [`millis`] has written; `None` for another text, as after a power failure.
pub(crate) fn time_of_millis(text: &[u8]) -> Option<SystemTime> {
    let millis = std::str::from_utf8(text).ok()?.trim().parse().ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

/// The time `millis` milliseconds after 1970; the beginning of 1970 if the clock cannot represent it.
pub(crate) fn time_of(millis: u64) -> SystemTime {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The time since an arbitrary origin, including the time that the machine slept.
fn awake_or_asleep() -> Duration {
    #[cfg(any(target_os = "android", target_os = "linux"))]
    let clock = rustix::time::ClockId::Boottime;
    // On other systems this clock also counts while the machine sleeps.
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
