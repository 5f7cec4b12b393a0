//! What a running registry does by itself: purging uploads that were given up.

use std::time::{Duration, Instant};

use sampan_engine::{PurgeOptions, Registry};

use crate::config::UploadPurgingConfig;

/// Purges again and again, until it is dropped.
pub(super) async fn purge_uploads(registry: Registry, config: UploadPurgingConfig) {
    // Several replicas that start together are not to walk the store together.
    let first = Duration::from_secs(rand::random_range(0..3600)).min(config.interval);
    tokio::time::sleep(first).await;
    loop {
        // A read-only registry writes nothing by itself either.
        if !registry.limits().read_only {
            purge_once(&registry, &config).await;
        }
        tokio::time::sleep(config.interval).await;
    }
}

async fn purge_once(registry: &Registry, config: &UploadPurgingConfig) {
    let begin = Instant::now();
    let options = PurgeOptions::untouched_for(config.age, config.dryrun);
    match registry.purge_uploads(&options).await {
        Ok(report) => tracing::info!(
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
        ),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "uploads could not be purged");
        }
    }
}
