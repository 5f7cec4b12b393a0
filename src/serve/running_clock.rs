//! `RunningClock`: a clock that stands still while this process does, so that no client is charged for the time.
//!
//! A process stops by SIGSTOP, with its container, or with its machine; the system's clock continues. The bytes that a client sent or
//! took meanwhile are seen later, after timers that fire at once.
//!
//! Its owner reads the clock until [`due`](RunningClock::due) at the latest. A reading that comes much later shows that the process
//! was stopped, and the time since the reading before does not count. It does not matter which of the owner's tasks reads it first.

use std::time::Duration;

use tokio::time::Instant;

/// A reading that is this late is one after a stop; one that is less late is one of a busy process.
const STOPPED: Duration = Duration::from_secs(2);

/// The clock of one connection. Its times are those of the system, less the time in which the process was stopped.
#[derive(Debug)]
pub(super) struct RunningClock {
    /// The last reading, in the system's time.
    last: Instant,
    /// The latest time of the next reading, in the system's time.
    due: Option<Instant>,
    stopped: Duration,
}

impl RunningClock {
    /// A clock without a due reading, which shows the system's time.
    pub(super) fn new() -> Self {
        Self { last: Instant::now(), due: None, stopped: Duration::ZERO }
    }

    /// The time.
    pub(super) fn now(&mut self) -> Instant {
        let now = Instant::now();
        if self.due.is_some_and(|due| now.saturating_duration_since(due) >= STOPPED) {
            self.stopped += now.saturating_duration_since(self.last);
            self.due = None;
        }
        self.last = now;
        now.checked_sub(self.stopped).unwrap_or(now)
    }

    /// Promises a reading at `time` of this clock, and returns that time as the system's.
    pub(super) fn due(&mut self, time: Instant) -> Instant {
        let due = self.system_time(time);
        self.due = Some(due);
        due
    }

    /// A time of this clock as the system's, if the process does not stop until then.
    pub(super) fn system_time(&self, time: Instant) -> Instant {
        time + self.stopped
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const TICK: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_stop_does_not_count_whenever_it_begins() {
        for begins_after in [0, 1, 9] {
            let mut clock = RunningClock::new();
            let begun = clock.now();
            clock.due(begun + TICK);
            advance(Duration::from_secs(begins_after)).await;
            assert_eq!(clock.now() - begun, Duration::from_secs(begins_after));
            advance(Duration::from_secs(65)).await;
            let now = clock.now();
            assert_eq!(now - begun, Duration::from_secs(begins_after), "{begins_after}");
            assert_eq!(clock.due(now + TICK), Instant::now() + TICK);
            advance(TICK).await;
            assert_eq!(clock.now() - now, TICK, "it continues");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_process_and_one_without_a_due_reading_are_not_stopped() {
        let mut clock = RunningClock::new();
        let begun = clock.now();
        advance(Duration::from_secs(3600)).await;
        assert_eq!(clock.now() - begun, Duration::from_secs(3600));
        clock.due(clock.system_time(begun) + Duration::from_secs(3600) + TICK);
        advance(TICK + STOPPED - Duration::from_millis(1)).await;
        assert_eq!(Instant::now() - clock.now(), Duration::ZERO);
    }
}
