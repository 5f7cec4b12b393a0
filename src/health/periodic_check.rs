//! `PeriodicCheck`: a check with its interval and failure threshold.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Check, CheckResult, HealthStatus};

/// A check that runs periodically and reports to a [`HealthStatus`].
#[derive(Clone, Debug)]
pub struct PeriodicCheck {
    /// The check's name.
    pub name: String,
    /// The check.
    pub check: Arc<dyn Check>,
    /// The interval. A run that takes longer fails.
    pub interval: Duration,
    /// The number of consecutive failures that count; 0 and 1 mean the first.
    pub threshold: u32,
}

impl PeriodicCheck {
    /// Runs forever, starting at once. Dropping the future stops it; the status keeps its last result.
    pub async fn run(self, health: HealthStatus) {
        let mut ticks = interval(self.interval);
        // After a slow run, do not run twice in a row to catch up.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures = 0u32;
        loop {
            ticks.tick().await;
            match self.probe().await {
                Ok(seen) => {
                    self.note_writes(&health, seen);
                    if failures > 0 {
                        tracing::info!(check = self.name, "health check {} succeeds again", self.name);
                    }
                    failures = 0;
                    health.pass(&self.name);
                }
                Err(reason) => {
                    failures = failures.saturating_add(1);
                    // Before the log line: its reader may look at the status at once.
                    if failures >= self.threshold {
                        health.fail(&self.name, &reason);
                    }
                    // Log the first failure and the one that reaches the threshold, not every one.
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

    /// Refuses writes from the first time on, because an upload would fail.
    fn note_writes(&self, health: &HealthStatus, seen: CheckResult) {
        match seen {
            CheckResult::ReadOnly(reason) => {
                if health.refuse_writes(&self.name, &reason) {
                    tracing::error!(check = self.name, "refusing new uploads: {reason}");
                }
            }
            CheckResult::Well => {
                if health.allow_writes(&self.name) {
                    tracing::info!(check = self.name, "accepting new uploads again");
                }
            }
        }
    }

    async fn probe(&self) -> Result<CheckResult, String> {
        match timeout(self.interval, self.check.probe()).await {
            Ok(result) => result,
            Err(_) => Err(format!("no response within {:?}", self.interval)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;

    /// Returns the scripted results, then hangs.
    #[derive(Debug)]
    struct Script(Mutex<VecDeque<Result<CheckResult, String>>>);

    #[async_trait]
    impl Check for Script {
        async fn probe(&self) -> Result<CheckResult, String> {
            let next = self.0.lock().unwrap().pop_front();
            match next {
                Some(result) => result,
                None => std::future::pending().await,
            }
        }
    }

    /// The reasons in the status after each run, 10 seconds apart, and after one that hangs.
    async fn looks(threshold: u32, script: &[Result<CheckResult, &str>]) -> Vec<Option<String>> {
        let script: VecDeque<_> = script.iter().map(|look| look.clone().map_err(str::to_owned)).collect();
        let count = script.len();
        let (health, interval) = (HealthStatus::default(), Duration::from_secs(10));
        let check = Arc::new(Script(Mutex::new(script)));
        let watch = PeriodicCheck { name: "it".to_owned(), check, interval, threshold };
        let running = tokio::spawn(watch.run(health.clone()));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut seen = Vec::new();
        for _ in 0..=count {
            seen.push(health.failing().get("it").cloned());
            tokio::time::sleep(interval).await;
        }
        running.abort();
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_threshold_the_first_failure_counts() {
        for threshold in [0, 1] {
            let seen = looks(threshold, &[Err("gone"), Ok(CheckResult::Well)]).await;
            assert_eq!(seen, [Some("gone".to_owned()), None, None]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn with_a_threshold_only_consecutive_failures_count() {
        let seen = looks(
            3,
            &[Err("a"), Err("b"), Ok(CheckResult::Well), Err("c"), Err("d"), Err("e"), Ok(CheckResult::Well)],
        )
        .await;
        assert_eq!(seen, [None, None, None, None, None, Some("e".to_owned()), None, None]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_hangs_fails() {
        let (health, interval) = (HealthStatus::default(), Duration::from_secs(10));
        let check = Arc::new(Script(Mutex::default()));
        let watch = PeriodicCheck { name: "it".to_owned(), check, interval, threshold: 0 };
        let running = tokio::spawn(watch.run(health.clone()));
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(health.failing()["it"], "no response within 10s");
        running.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_only_store_is_healthy_and_refuses_writes_until_it_recovers() {
        let script = [Ok(CheckResult::ReadOnly("the disk failed".to_owned())), Ok(CheckResult::Well)];
        let (health, interval) = (HealthStatus::default(), Duration::from_secs(10));
        let check = Arc::new(Script(Mutex::new(script.into())));
        let watch = PeriodicCheck { name: "store".to_owned(), check, interval, threshold: 3 };
        let running = tokio::spawn(watch.run(health.clone()));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(health.writes_blocked_by().as_deref(), Some("the disk failed"));
        assert!(health.is_healthy() && health.unready().is_none());
        assert_eq!(health.ailing()["store"], "the disk failed");
        tokio::time::sleep(interval).await;
        assert_eq!(health.writes_blocked_by(), None);
        running.abort();
    }
}
