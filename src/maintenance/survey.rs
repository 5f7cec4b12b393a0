//! Surveys the store of the running registry between collections.

use std::time::{Duration, Instant};

use sampan_engine::Registry;
use sampan_engine::gc::{self, SurveyTurn};
use tokio_util::sync::CancellationToken;

use super::background::in_background;

/// How often the running registry surveys its store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SurveySettings {
    /// From one survey to the next, whether a collection or any registry over the store made it. A store whose collections
    /// come at least as often needs none.
    pub interval: Duration,
}

impl Default for SurveySettings {
    fn default() -> Self {
        Self { interval: Duration::from_secs(60 * 60) }
    }
}

/// The rest for every second of work, in seconds.
const REST: f32 = 1.0;

/// The largest random delay, to spread the replicas of a store.
const SPREAD: Duration = Duration::from_secs(60);

/// The shortest pause after a failure.
const RETRY: Duration = Duration::from_secs(10);

/// Surveys the store repeatedly, until dropped. One of the replicas over a store surveys it per interval.
pub async fn survey_store(registry: Registry, settings: SurveySettings) {
    let spread = || SPREAD.min(settings.interval / 10).mul_f64(rand::random_range(0.0..1.0));
    tokio::time::sleep(spread()).await;
    loop {
        // A read-only registry writes nothing, so it surveys nothing.
        let pause = match registry.limits().read_only {
            true => settings.interval,
            false => survey_once(&registry, settings.interval).await + spread(),
        };
        tokio::time::sleep(pause).await;
    }
}

/// Surveys the store if a survey is due, and returns the time until the next attempt.
async fn survey_once(registry: &Registry, interval: Duration) -> Duration {
    let begin = Instant::now();
    let walking = registry.clone();
    // A survey that is dropped ends at its next await.
    let work = async move { gc::survey_in_turn(&walking, interval, REST, &CancellationToken::new()).await };
    match in_background(work).await {
        Ok(Ok(SurveyTurn::Made(survey))) => {
            tracing::debug!(
                repositories = survey.totals().repositories,
                seconds = begin.elapsed().as_secs_f64(),
                "surveyed the store"
            );
            interval
        }
        Ok(Ok(SurveyTurn::NotDue(due_in))) => due_in,
        Ok(Err(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot survey the store");
            interval.max(RETRY)
        }
        Err(error) => {
            tracing::warn!(%error, "cannot start a thread for a survey of the store");
            interval.max(RETRY)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sampan_driver::StorageDriver;
    use sampan_driver_inmemory::InMemoryDriver;
    use sampan_engine::Survey;

    use super::*;

    #[tokio::test]
    async fn replicas_survey_their_store_and_a_read_only_one_does_not() {
        let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
        let registry = Registry::builder(driver.clone()).build();
        registry.set_read_only(true);
        let settings = SurveySettings { interval: Duration::from_millis(20) };
        let mut replicas = tokio::task::JoinSet::new();
        replicas.spawn(survey_store(registry.clone(), settings));
        // The read-only replica has passed its turn when one that began later has written.
        let other = Registry::builder(driver.clone()).build();
        assert!(Survey::read(&registry).await.is_err());
        replicas.spawn(survey_store(other, settings));
        let first = next_survey(&registry, None).await;
        next_survey(&registry, Some(&first)).await;
    }

    /// Waits until there is a survey other than `before`.
    async fn next_survey(registry: &Registry, before: Option<&Survey>) -> Survey {
        loop {
            match Survey::read(registry).await {
                Ok(survey) if before != Some(&survey) => return survey,
                _ => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }
}
