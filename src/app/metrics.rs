//! The page of metrics, assembled from the metrics of each module.

use std::sync::Arc;
use std::time::SystemTime;

use prometheus::core::Collector;
use sampan_driver_object_store::{RequestCount, request_counts};

use super::AppError;
use sampan_config::HttpConfig;
use sampan_driver::StorageDriver;
use sampan_engine::Registry;
use sampan_engine::gc::Amount;

use crate::auth::{DecisionCounts, Guard};
use crate::decorators::{DriverMetrics, Metered};
use crate::health::{DiskSpace, FileSystemSpace, HealthStatus};
use crate::http::HttpMetrics;
use crate::maintenance::{self, Totals, Verifier, VerifyTotals};
use crate::redis_cache::RedisDescriptors;
use crate::serve::{Security, Statistics};
use crate::telemetry::metrics::Sample;
use crate::telemetry::{CallbackMetric, Metrics, MetricsError};

/// The page, with the metrics of every process; `None` unless configured.
pub(super) fn metrics_if_enabled(http: &HttpConfig) -> Result<Option<Metrics>, AppError> {
    let asked = http.debug.as_ref().is_some_and(|debug| debug.addr.is_some() && debug.prometheus.enabled);
    if !asked {
        return Ok(None);
    }
    let metrics = Metrics::new();
    metrics.register_process()?;
    metrics.register(of_object_stores()?)?;
    Ok(Some(metrics))
}

/// Requests to object stores; empty without an object store.
fn of_object_stores() -> Result<Vec<Box<dyn Collector>>, MetricsError> {
    let counter = |name, help, value: fn(&RequestCount) -> f64| {
        let labels = |count: &RequestCount| [count.kind.as_str(), count.outcome.as_str()];
        CallbackMetric::counters(name, help, &["request", "outcome"], move || {
            request_counts().map(|count| Sample::new(labels(&count), value(&count))).collect()
        })
    };
    Ok(vec![
        counter(
            "sampan_object_store_requests_total",
            "Requests to the object store, retries included.",
            |count| count.requests as f64,
        )?,
        counter(
            "sampan_object_store_request_seconds_total",
            "How long these requests took, up to the head of the answer.",
            |count| count.duration.as_secs_f64(),
        )?,
    ])
}

/// `driver`, with metrics of its calls.
pub(super) fn of_driver(
    metrics: &Metrics,
    driver: Arc<dyn StorageDriver>,
) -> Result<Arc<dyn StorageDriver>, MetricsError> {
    let calls = DriverMetrics::new(driver.name())?;
    metrics.register(calls.collectors())?;
    Ok(Arc::new(Metered::new(driver, Arc::new(calls))))
}

/// The expiry of the current certificate.
pub(super) fn of_certificate(security: &Security) -> Result<Vec<Box<dyn Collector>>, MetricsError> {
    let Security::Tls(tls) = security else { return Ok(Vec::new()) };
    let tls = Arc::clone(tls);
    Ok(vec![CallbackMetric::gauge(
        "sampan_tls_certificate_expiry_timestamp_seconds",
        "When the certificate that is served expires, in seconds since 1970.",
        move || tls.expires_at().unix_timestamp() as f64,
    )?])
}

/// The manifest cache, under the names of Distribution's descriptor cache; and Redis behind it.
pub(super) fn of_cache(
    registry: &Registry,
    redis: Option<Arc<RedisDescriptors>>,
) -> Result<Vec<Box<dyn Collector>>, MetricsError> {
    let (asked, found) = (registry.clone(), registry.clone());
    let seconds = redis.as_ref().map(|redis| redis.collector());
    let cache = [
        CallbackMetric::counter(
            "registry_storage_cache_requests_total",
            "The number of cache requests received.",
            move || asked.cache_statistics().requests,
        )?,
        CallbackMetric::counter(
            "registry_storage_cache_hits_total",
            "The number of cache requests that found what they asked for.",
            move || found.cache_statistics().hits,
        )?,
        CallbackMetric::counter(
            "registry_storage_cache_errors_total",
            "The number of cache requests that failed; a cache in memory does not fail, one in Redis may.",
            move || redis.as_ref().map_or(0, |redis| redis.failures()),
        )?,
    ];
    Ok(cache.into_iter().chain(seconds).collect())
}

/// The health checks: the number of failures, and whether uploads can begin.
pub(super) fn of_health(board: &HealthStatus) -> Result<Vec<Box<dyn Collector>>, MetricsError> {
    let (failing, unwritable) = (board.clone(), board.clone());
    Ok(vec![
        CallbackMetric::gauge("sampan_health_failing_checks", "Health checks that fail.", move || {
            failing.failing().len() as f64
        })?,
        CallbackMetric::gauge(
            "sampan_health_uploads_refused",
            "1 while no upload can be begun because the store has no room or cannot be written to.",
            move || f64::from(u8::from(unwritable.writes_blocked_by().is_some())),
        )?,
    ])
}

/// The file system of the store, if it has one.
pub(super) fn of_disk(space: Option<DiskSpace>) -> Result<Vec<Box<dyn Collector>>, MetricsError> {
    let Some(space) = space else { return Ok(Vec::new()) };
    let gauge = |name, help, read: fn(FileSystemSpace) -> Option<u64>| {
        let space = space.clone();
        CallbackMetric::gauges(name, help, &[], move || {
            let seen = space.room().and_then(read);
            seen.map(|value| Sample::new([""; 0], value as f64)).into_iter().collect()
        })
    };
    Ok(vec![
        gauge("sampan_storage_capacity_bytes", "Size of the store's file system.", |room| {
            Some(room.capacity_bytes)
        })?,
        gauge("sampan_storage_free_bytes", "Room left in the store's file system.", |room| {
            Some(room.free_bytes)
        })?,
        gauge("sampan_storage_free_files", "Files that the store's file system can still hold.", |room| {
            room.free_files
        })?,
    ])
}

/// The counters of requests, on the page.
pub(super) fn of_requests(metrics: &Metrics, http: &HttpConfig) -> Result<Arc<HttpMetrics>, MetricsError> {
    let repositories = http.debug.as_ref().map_or(0, |debug| debug.prometheus.repositories);
    let requests = HttpMetrics::new(repositories)?;
    metrics.register(requests.collectors())?;
    Ok(Arc::new(requests))
}

/// Decisions by rules, and tokens; empty without rules.
pub(super) fn of_rules(guard: Option<&Arc<Guard>>) -> Result<Vec<Box<dyn Collector>>, MetricsError> {
    let Some(guard) = guard else { return Ok(Vec::new()) };
    let counter = |name, help, label, read: fn(&DecisionCounts) -> Vec<(&'static str, u64)>| {
        let guard = Arc::clone(guard);
        CallbackMetric::counters(name, help, &[label], move || {
            read(guard.counts()).into_iter().map(|(of, count)| Sample::new([of], count as f64)).collect()
        })
    };
    let stale = Arc::clone(guard);
    Ok(vec![
        counter(
            "sampan_auth_decisions_total",
            "Decisions about requests by the rules of `access`.",
            "result",
            DecisionCounts::decisions,
        )?,
        counter(
            "sampan_auth_tokens_issued_total",
            "Bearer tokens that were issued, by the credential that they were issued for.",
            "kind",
            DecisionCounts::tokens_issued,
        )?,
        counter(
            "sampan_auth_tokens_refused_total",
            "Bearer tokens that did not count.",
            "reason",
            DecisionCounts::tokens_refused,
        )?,
        CallbackMetric::gauge(
            "sampan_auth_rules_stale",
            "1 while the policy file is not usable, and the last valid rules stay in effect.",
            move || f64::from(u8::from(stale.policy().is_stale())),
        )?,
    ])
}

/// The connections of a server.
pub(super) fn of_connections(statistics: &Statistics) -> Result<Vec<Box<dyn Collector>>, MetricsError> {
    let counter = |name, help, read: fn(&Statistics) -> u64| {
        let statistics = statistics.clone();
        CallbackMetric::counter(name, help, move || read(&statistics))
    };
    let open = statistics.clone();
    Ok(vec![
        CallbackMetric::gauge(
            "sampan_connections_open",
            "Connections of clients that are open.",
            move || open.open() as f64,
        )?,
        counter("sampan_connections_total", "Connections of clients so far.", Statistics::accepted)?,
        counter(
            "sampan_connections_cut_total",
            "Connections that were ended because the client was too slow.",
            Statistics::cut,
        )?,
        counter(
            "sampan_tls_failed_handshakes_total",
            "TLS handshakes that came to nothing.",
            Statistics::failed_handshakes,
        )?,
    ])
}

/// The outcomes of garbage collections.
pub(super) fn of_collections(
    collector: &Arc<maintenance::Collector>,
) -> Result<Vec<Box<dyn Collector>>, MetricsError> {
    let counter = |name, help, read: fn(Totals) -> u64| {
        let collector = collector.clone();
        CallbackMetric::counter(name, help, move || read(collector.totals()))
    };
    let gauge = |name, help, read: fn(Totals) -> Option<f64>| {
        let collector = collector.clone();
        CallbackMetric::gauges(name, help, &[], move || {
            read(collector.totals()).map(|value| Sample::new([""; 0], value)).into_iter().collect()
        })
    };
    let by_reason = |name, help, read: fn(Amount) -> u64| {
        let collector = collector.clone();
        CallbackMetric::counters(name, help, &["reason"], move || {
            let totals = collector.totals();
            let reasons = [("ttl", totals.evicted_ttl), ("size", totals.evicted_size)];
            reasons.map(|(reason, amount)| Sample::new([reason], read(amount) as f64)).to_vec()
        })
    };
    let runs = collector.clone();
    let running = collector.clone();
    Ok(vec![
        CallbackMetric::counters(
            "sampan_gc_runs_total",
            "Collections of garbage, by what came of them.",
            &["outcome"],
            move || {
                let totals = runs.totals();
                vec![
                    Sample::new(["finished"], totals.finished as f64),
                    Sample::new(["stopped"], totals.stopped as f64),
                    Sample::new(["elsewhere"], totals.elsewhere as f64),
                    Sample::new(["failed"], totals.failed as f64),
                ]
            },
        )?,
        CallbackMetric::gauge("sampan_gc_running", "Whether this process is collecting.", move || {
            f64::from(u8::from(running.is_running()))
        })?,
        counter("sampan_gc_candidates_total", "Blobs that were found to be garbage.", |totals| {
            totals.candidates
        })?,
        counter("sampan_gc_deleted_blobs_total", "Blobs that were deleted.", |totals| totals.blobs)?,
        counter("sampan_gc_freed_bytes_total", "Bytes that were freed.", |totals| totals.bytes)?,
        by_reason("sampan_cache_evicted_total", "Manifests that were evicted from caches.", |amount| {
            amount.count
        })?,
        by_reason(
            "sampan_cache_evicted_bytes_total",
            "Bytes that only manifests evicted from caches needed.",
            |amount| amount.bytes,
        )?,
        gauge(
            "sampan_gc_young_blobs",
            "Blobs that the last collection kept because they were too young.",
            |totals| totals.last_success.map(|_| totals.last_young as f64),
        )?,
        gauge(
            "sampan_gc_last_duration_seconds",
            "How long the last collection that finished took.",
            |totals| totals.last_success.map(|_| totals.last_duration.as_secs_f64()),
        )?,
        gauge("sampan_gc_last_success_timestamp_seconds", "When the last collection finished.", |totals| {
            totals
                .last_success
                .map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64())
        })?,
    ])
}

/// The findings of the verifications of this process.
pub(super) fn of_verifications(verifier: &Arc<Verifier>) -> Result<Vec<Box<dyn Collector>>, MetricsError> {
    let counter = |name, help, read: fn(VerifyTotals) -> u64| {
        let verifier = verifier.clone();
        CallbackMetric::counter(name, help, move || read(verifier.totals()))
    };
    let last = verifier.clone();
    Ok(vec![
        counter("sampan_verify_blobs_total", "Blobs and manifests that were hashed.", |totals| totals.blobs)?,
        counter("sampan_verify_bytes_total", "Bytes that were hashed.", |totals| totals.bytes)?,
        counter(
            "sampan_verify_damaged_total",
            "Files that were found damaged, missing or unreadable; one that stays so counts each time.",
            |totals| totals.problems,
        )?,
        counter("sampan_verify_healed_total", "Files that were found so, and repaired.", |totals| {
            totals.repaired
        })?,
        counter("sampan_verify_moved_total", "Damaged data that were moved aside.", |totals| totals.moved)?,
        counter("sampan_verify_failures_total", "Verifications that failed.", |totals| totals.failed)?,
        CallbackMetric::gauges(
            "sampan_verify_last_cycle_timestamp_seconds",
            "When everything had last been hashed once; before that, since when it is tried.",
            &[],
            move || {
                let seconds = last.last_hashed().map(|time| {
                    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
                });
                seconds.map(|seconds| Sample::new([""; 0], seconds)).into_iter().collect()
            },
        )?,
    ])
}
