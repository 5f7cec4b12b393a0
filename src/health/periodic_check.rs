//! `PeriodicCheck`: a check, how often, and after how many failures it counts.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Check, HealthStatus, Seen};

/// A check that is made again and again, with its result on a [`HealthStatus`].
#[derive(Clone, Debug)]
pub struct PeriodicCheck {
    /// Its name there.
    pub name: String,
    /// What is looked at.
    pub check: Arc<dyn Check>,
    /// How often. A look that takes longer has failed.
    pub interval: Duration,
    /// How many failures in a row make it unhealthy; 0 and 1 mean the first.
    pub threshold: u32,
}

impl PeriodicCheck {
    /// Looks for ever, at once for the first time. Dropping the future ends it; the board keeps what it has.
    pub async fn run(self, board: HealthStatus) {
        let mut ticks = interval(self.interval);
        // A look that took long is not made up for by two at once.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures = 0u32;
        loop {
            ticks.tick().await;
            match self.look().await {
                Ok(seen) => {
                    self.note_writes(&board, seen);
                    if failures > 0 {
                        tracing::info!(check = self.name, "health check {} is well again", self.name);
                    }
                    failures = 0;
                    board.pass(&self.name);
                }
                Err(reason) => {
                    failures = failures.saturating_add(1);
                    // Before it is said: who reads it may ask at once.
                    if failures >= self.threshold {
                        board.fail(&self.name, &reason);
                    }
                    // Said when it begins, when it begins to count, and not every ten seconds after that.
                    if failures == 1 || failures == self.threshold {
                        tracing::error!(
                            check = self.name,
                            failures,
                            threshold = self.threshold,
                            "health check {} failed: {reason}",
                            self.name
                        );
                    }
                }
            }
        }
    }

    /// Writes are refused from the first time on: whoever begins one would fail.
    fn note_writes(&self, board: &HealthStatus, seen: Seen) {
        match seen {
            Seen::ReadOnly(reason) => {
                if board.refuse_writes(&self.name, &reason) {
                    tracing::error!(check = self.name, "new uploads are refused: {reason}");
                }
            }
            Seen::Well => {
                if board.allow_writes(&self.name) {
                    tracing::info!(check = self.name, "new uploads are taken again");
                }
            }
        }
    }

    async fn look(&self) -> Result<Seen, String> {
        match timeout(self.interval, self.check.look()).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {:?}", self.interval)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;

    /// Does what it is told, and hangs when it has been told nothing more.
    #[derive(Debug)]
    struct Script(Mutex<VecDeque<Result<Seen, String>>>);

    #[async_trait]
    impl Check for Script {
        async fn look(&self) -> Result<Seen, String> {
            let next = self.0.lock().unwrap().pop_front();
            match next {
                Some(result) => result,
                None => std::future::pending().await,
            }
        }
    }

    /// The reasons on the board after each of the looks, 10 seconds apart, and after one that hangs.
    async fn looks(threshold: u32, script: &[Result<Seen, &str>]) -> Vec<Option<String>> {
        let script: VecDeque<_> = script.iter().map(|look| look.clone().map_err(str::to_owned)).collect();
        let count = script.len();
        let (board, interval) = (HealthStatus::default(), Duration::from_secs(10));
        let check = Arc::new(Script(Mutex::new(script)));
        let watch = PeriodicCheck { name: "it".to_owned(), check, interval, threshold };
        let running = tokio::spawn(watch.run(board.clone()));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut seen = Vec::new();
        for _ in 0..=count {
            seen.push(board.failing().get("it").cloned());
            tokio::time::sleep(interval).await;
        }
        running.abort();
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_threshold_the_first_failure_counts() {
        for threshold in [0, 1] {
            let seen = looks(threshold, &[Err("gone"), Ok(Seen::Well)]).await;
            assert_eq!(seen, [Some("gone".to_owned()), None, None]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn with_a_threshold_only_so_many_in_a_row_count() {
        let seen =
            looks(3, &[Err("a"), Err("b"), Ok(Seen::Well), Err("c"), Err("d"), Err("e"), Ok(Seen::Well)])
                .await;
        assert_eq!(seen, [None, None, None, None, None, Some("e".to_owned()), None, None]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_has_failed() {
        let (board, interval) = (HealthStatus::default(), Duration::from_secs(10));
        let check = Arc::new(Script(Mutex::default()));
        let watch = PeriodicCheck { name: "it".to_owned(), check, interval, threshold: 0 };
        let running = tokio::spawn(watch.run(board.clone()));
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(board.failing()["it"], "no answer within 10s");
        running.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_only_be_read_is_healthy_and_refuses_writes_until_it_is_well() {
        let script = [Ok(Seen::ReadOnly("the disk failed".to_owned())), Ok(Seen::Well)];
        let (board, interval) = (HealthStatus::default(), Duration::from_secs(10));
        let check = Arc::new(Script(Mutex::new(script.into())));
        let watch = PeriodicCheck { name: "store".to_owned(), check, interval, threshold: 3 };
        let running = tokio::spawn(watch.run(board.clone()));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(board.writes_blocked_by().as_deref(), Some("the disk failed"));
        assert!(board.is_healthy() && board.unready().is_none());
        assert_eq!(board.ailing()["store"], "the disk failed");
        tokio::time::sleep(interval).await;
        assert_eq!(board.writes_blocked_by(), None);
        running.abort();
    }
}
