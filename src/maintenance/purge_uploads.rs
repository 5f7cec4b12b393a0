//! Purges abandoned uploads in the running registry.

use std::time::{Duration, Instant};

use sampan_config::UploadPurgingConfig;
use sampan_engine::{PurgeOptions, PurgeTurn, Registry};

/// Purges repeatedly, until dropped. One of the replicas over a store purges per interval.
pub async fn purge_uploads(registry: Registry, config: UploadPurgingConfig) {
    // A random delay, so that replicas that start together do not use the store together.
    tokio::time::sleep(at_random(MAX_JITTER.min(config.interval))).await;
    loop {
        // A read-only registry writes nothing, so it does not purge.
        let pause = match registry.limits().read_only {
            true => config.interval,
            false => purge_once(&registry, &config).await,
        };
        tokio::time::sleep(pause).await;
    }
}

/// Purges if a purge is due, and returns the time until the next attempt.
async fn purge_once(registry: &Registry, config: &UploadPurgingConfig) -> Duration {
    let begin = Instant::now();
    let options = PurgeOptions::untouched_for(config.age, config.dryrun);
    match registry.purge_uploads_in_turn(&options, config.interval).await {
        Ok(PurgeTurn::Purged(report)) => {
            tracing::info!(
                examined = report.examined,
                purged = report.purged,
                bytes = report.purged_bytes,
                failed = report.failed,
                dry_run = config.dryrun,
                seconds = begin.elapsed().as_secs_f64(),
                "purged {} of {} uploads, {} bytes",
                report.purged,
                report.examined,
                report.purged_bytes
            );
            config.interval
        }
        Ok(PurgeTurn::NotDue(due_in)) => {
            let due_in = due_in + at_random(MAX_JITTER.min(config.interval / 10));
            tracing::debug!(
                seconds = due_in.as_secs(),
                "another registry has purged the uploads of this store"
            );
            due_in
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot purge uploads");
            config.interval
        }
    }
}

/// A random part of `most`.
fn at_random(most: Duration) -> Duration {
    most.mul_f64(rand::random_range(0.0..1.0))
}

/// The largest random delay, to spread the replicas of a store.
const MAX_JITTER: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use sampan_driver::{DriverPath, StorageDriver};
    use sampan_driver_inmemory::InMemoryDriver;
    use sampan_engine::Clock;

    use super::*;

    /// Ten days of three replicas with staggered starts. The number in the last file's name counts the purges.
    #[tokio::test(start_paused = true)]
    async fn replicas_purge_once_in_each_interval() {
        let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
        let (begun, began) = (tokio::time::Instant::now(), SystemTime::now());
        let config = UploadPurgingConfig { enabled: true, age: 7 * DAY, interval: DAY, dryrun: false };
        let mut replicas = tokio::task::JoinSet::new();
        for _ in 0..3 {
            let clock = Clock::new(move || began + begun.elapsed());
            let registry = Registry::builder(driver.clone()).clock(clock).build();
            replicas.spawn(purge_uploads(registry, config.clone()));
            tokio::time::sleep(DAY / 10).await;
        }
        tokio::time::sleep(10 * DAY).await;
        let files: Vec<_> =
            futures::TryStreamExt::try_collect(driver.walk(&path("/docker"), None)).await.unwrap();
        let [last] = &files[..] else { panic!("more than one file: {files:?}") };
        let purges: u64 = last.path.below(&path("/docker/registry/sampan/purge")).unwrap().parse().unwrap();
        assert!((8..=10).contains(&purges), "{purges} purges after the first, in ten days");
    }

    fn path(text: &str) -> DriverPath {
        text.parse().unwrap()
    }

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
}
