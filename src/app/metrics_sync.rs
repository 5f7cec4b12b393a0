//! The metrics of jobs that copy from other registries.

use std::sync::Arc;
use std::time::SystemTime;

use prometheus::core::Collector;

use crate::maintenance::{SyncTotals, Syncer};
use crate::telemetry::metrics::Sample;
use crate::telemetry::{CallbackMetric, MetricsError};

pub(super) fn of_sync(syncer: &Arc<Syncer>) -> Result<Vec<Box<dyn Collector>>, MetricsError> {
    let by_outcome = |name, help, read: fn(SyncTotals) -> [(&'static str, u64); 3]| {
        let syncer = syncer.clone();
        CallbackMetric::counters(name, help, &["sync", "outcome"], move || {
            let samples = |(job, totals)| {
                read(totals).map(|(outcome, count)| Sample::new([job, outcome], count as f64))
            };
            syncer.totals().flat_map(samples).collect()
        })
    };
    let (bytes, last) = (syncer.clone(), syncer.clone());
    Ok(vec![
        by_outcome("sampan_sync_runs_total", "Runs of jobs of `sync`.", |totals| {
            [("whole", totals.whole), ("incomplete", totals.incomplete), ("stopped", totals.stopped)]
        })?,
        by_outcome("sampan_sync_images_total", "Images that jobs of `sync` looked at.", |totals| {
            [("copied", totals.copied), ("unchanged", totals.unchanged), ("failed", totals.failed)]
        })?,
        CallbackMetric::counters(
            "sampan_sync_bytes_total",
            "Bytes of blobs that jobs of `sync` stored.",
            &["sync"],
            move || bytes.totals().map(|(job, totals)| Sample::new([job], totals.bytes as f64)).collect(),
        )?,
        CallbackMetric::gauges(
            "sampan_sync_last_whole_timestamp_seconds",
            "When a run of the job last ended after which everything was here.",
            &["sync"],
            move || {
                let sample = |(job, totals): (&str, SyncTotals)| {
                    let since = totals.last_whole?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
                    Some(Sample::new([job], since.as_secs_f64()))
                };
                last.totals().filter_map(sample).collect()
            },
        )?,
    ])
}
