//! Surveys the store of the running registry between collections, and learns what its images share.

use std::time::{Duration, Instant};

use sampan_engine::Registry;
use sampan_engine::gc::{self, SurveyTurn};
use tokio_util::sync::CancellationToken;

use super::background::in_background;

/// The rest for every second of work, in seconds.
const REST_PER_WORK: f32 = 1.0;

/// The largest random delay, to spread the replicas of a store.
const MAX_JITTER: Duration = Duration::from_secs(60);

/// Surveys the store repeatedly, until dropped: from one survey to the next it waits for `interval`, whether a collection or any
/// registry over the store made it. One of the replicas over a store surveys it per interval, and a store whose collections come
/// at least as often needs no survey. Which images share a layer each replica learns for itself, about as often.
pub async fn survey_store(registry: Registry, interval: Duration) {
    let spread = || MAX_JITTER.min(interval / 10).mul_f64(rand::random_range(0.0..1.0));
    tokio::time::sleep(spread()).await;
    loop {
        let pause = survey_in_turn(&registry, interval).await + spread();
        learn_layer_users(&registry, interval).await;
        tokio::time::sleep(pause).await;
    }
}

/// Surveys the store if a survey is due, and returns the time until the next attempt. After a failure that is the interval too,
/// since a survey walks over the whole store.
async fn survey_in_turn(registry: &Registry, interval: Duration) -> Duration {
    // A read-only registry writes nothing, so it surveys nothing.
    if registry.limits().read_only {
        return interval;
    }
    let begin = Instant::now();
    let walking = registry.clone();
    // A survey that is dropped ends at its next await.
    let work =
        async move { gc::survey_in_turn(&walking, interval, REST_PER_WORK, &CancellationToken::new()).await };
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
            interval
        }
        Err(error) => {
            tracing::warn!(%error, "cannot start a thread for a survey of the store");
            interval
        }
    }
}

/// Learns which images share a layer, unless that is known as of half an interval ago. A failure leaves the former result.
async fn learn_layer_users(registry: &Registry, interval: Duration) {
    let before = registry.layer_users();
    let age = before.as_ref().and_then(|known| registry.clock().now().duration_since(known.as_of()).ok());
    if age.is_some_and(|age| age < interval / 2) {
        return;
    }
    let walking = registry.clone();
    let work = async move {
        gc::layer_users(&walking, REST_PER_WORK, &CancellationToken::new(), before.as_deref()).await
    };
    match in_background(work).await {
        Ok(Ok(users)) => registry.keep_layer_users(users),
        Ok(Err(error)) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot find out which images share a layer"
            );
        }
        Err(error) => {
            tracing::warn!(%error, "cannot start a thread to find out which images share a layer");
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
    use crate::test_log::TestLog;

    const INTERVAL: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn one_of_the_replicas_surveys_their_store_and_a_read_only_one_does_not() {
        let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
        let [one, other] = [(); 2].map(|()| Registry::builder(driver.clone()).build());
        one.set_read_only(true);
        let log = TestLog::default();
        let capture = log.capture();
        assert_eq!(survey_in_turn(&one, INTERVAL).await, INTERVAL);
        drop(capture);
        assert!(Survey::read(&one).await.is_err());
        assert_eq!(log.text(), "", "a survey that was begun would fail");
        assert_eq!(survey_in_turn(&other, INTERVAL).await, INTERVAL);
        let made = Survey::read(&one).await.unwrap();
        one.set_read_only(false);
        let due_in = survey_in_turn(&one, INTERVAL).await;
        assert!(due_in > Duration::ZERO && due_in <= INTERVAL, "{due_in:?}");
        assert_eq!(Survey::read(&one).await.unwrap(), made);
    }

    #[tokio::test]
    async fn the_store_is_surveyed_again_after_the_interval() {
        let registry = Registry::builder(Arc::new(InMemoryDriver::new())).build();
        let surveys = tokio::spawn(survey_store(registry.clone(), Duration::from_millis(20)));
        let first = next_survey(&registry, None).await;
        next_survey(&registry, Some(&first)).await;
        surveys.abort();
    }

    #[tokio::test]
    async fn each_registry_learns_what_images_share_also_one_that_is_read_only() {
        let registry = Registry::builder(Arc::new(InMemoryDriver::new())).build();
        registry.set_read_only(true);
        learn_layer_users(&registry, INTERVAL).await;
        let first = registry.layer_users().unwrap();
        learn_layer_users(&registry, INTERVAL).await;
        assert!(Arc::ptr_eq(&first, &registry.layer_users().unwrap()), "it is young");
        learn_layer_users(&registry, Duration::ZERO).await;
        assert!(!Arc::ptr_eq(&first, &registry.layer_users().unwrap()), "it is old");
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
