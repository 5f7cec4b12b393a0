//! The metrics of caches: Distribution's names, and ours.

use std::sync::Arc;

use prometheus::core::Collector;
use sampan_cache::{CacheRequestKind, CacheStatistics, Caches, Upstream, UpstreamOutcome};
use sampan_engine::fill::{FillStatistics, UnstoredReason};

use crate::telemetry::metrics::Sample;
use crate::telemetry::{CallbackMetric, MetricsError};

pub(super) fn of_caches(caches: &Caches) -> Result<Vec<Box<dyn Collector>>, MetricsError> {
    let mut metrics = of_answers(caches)?;
    metrics.extend(of_upstreams(caches)?);
    metrics.extend(of_fills(caches)?);
    Ok(metrics)
}

/// Distribution's counters (`registry/proxy/proxymetrics.go`): manifests and blobs of caches.
fn of_answers(caches: &Caches) -> Result<Vec<Box<dyn Collector>>, MetricsError> {
    let counter = |name, help, read: fn(&CacheStatistics, &FillStatistics) -> [u64; 2]| {
        let caches = caches.clone();
        CallbackMetric::counters(name, help, &["type"], move || {
            let [manifests, blobs] = read(caches.statistics(), &caches.fills().statistics());
            vec![Sample::new(["manifest"], manifests as f64), Sample::new(["blob"], blobs as f64)]
        })
    };
    Ok(vec![
        counter("registry_proxy_requests_total", "Answers of caches.", |answers, _| {
            [answers.manifests().all(), answers.blobs().all()]
        })?,
        counter("registry_proxy_hits_total", "Answers from the store.", |answers, _| {
            let hits = |answers: &sampan_cache::Answers| answers.hits() + answers.stale();
            [hits(answers.manifests()), hits(answers.blobs())]
        })?,
        counter("registry_proxy_misses_total", "Answers from an upstream.", |answers, _| {
            [answers.manifests().misses(), answers.blobs().misses()]
        })?,
        counter("registry_proxy_pulled_bytes_total", "Bytes from upstreams.", |answers, fills| {
            [answers.pulled_manifest_bytes(), fills.received_bytes]
        })?,
        counter("registry_proxy_pushed_bytes_total", "Bytes for clients of caches.", |answers, _| {
            [answers.manifests().sent_bytes(), answers.blobs().sent_bytes()]
        })?,
        counter(
            "sampan_cache_stale_total",
            "Answers from the store that the upstream did not confirm, since it was away or had no answer.",
            |answers, _| [answers.manifests().stale(), answers.blobs().stale()],
        )?,
    ])
}

fn of_upstreams(caches: &Caches) -> Result<Vec<Box<dyn Collector>>, MetricsError> {
    let gauge = |name, help, read: fn(&Upstream) -> f64| {
        let caches = caches.clone();
        CallbackMetric::gauges(name, help, &["upstream"], move || {
            let sample = |upstream: &Arc<Upstream>| Sample::new([upstream.name()], read(upstream));
            caches.upstreams().iter().map(sample).collect()
        })
    };
    let (asked, waited, offline, limited) = (caches.clone(), caches.clone(), caches.clone(), caches.clone());
    Ok(vec![
        CallbackMetric::counters(
            "sampan_upstream_requests_total",
            "Requests to upstreams, by what they said.",
            &["upstream", "kind", "outcome"],
            move || {
                let mut samples = Vec::new();
                for upstream in asked.upstreams() {
                    for (kind, outcome) in CacheRequestKind::ALL
                        .iter()
                        .flat_map(|kind| UpstreamOutcome::ALL.iter().map(move |outcome| (*kind, *outcome)))
                    {
                        let count = upstream.statistics().requests(kind, outcome);
                        let labels = [upstream.name(), kind.as_str(), outcome.as_str()];
                        samples.push(Sample::new(labels, count as f64));
                    }
                }
                samples
            },
        )?,
        CallbackMetric::counters(
            "sampan_upstream_request_seconds_total",
            "How long these requests took, up to the head of the answer.",
            &["upstream"],
            move || {
                let sample = |upstream: &Arc<Upstream>| {
                    Sample::new([upstream.name()], upstream.statistics().waited().as_secs_f64())
                };
                waited.upstreams().iter().map(sample).collect()
            },
        )?,
        gauge("sampan_upstream_away", "Whether the upstream counts as away.", |upstream| {
            f64::from(u8::from(upstream.is_away()))
        })?,
        CallbackMetric::gauges(
            "sampan_upstream_ratelimit_remaining",
            "How many pulls the upstream still allows, as it said last.",
            &["upstream"],
            move || {
                let sample = |upstream: &Arc<Upstream>| {
                    let limit = upstream.rate_limit()?;
                    Some(Sample::new([upstream.name()], limit.remaining as f64))
                };
                limited.upstreams().iter().filter_map(sample).collect()
            },
        )?,
        CallbackMetric::gauge("sampan_cache_offline", "Whether upstreams are not asked.", move || {
            f64::from(u8::from(offline.is_offline()))
        })?,
    ])
}

fn of_fills(caches: &Caches) -> Result<Vec<Box<dyn Collector>>, MetricsError> {
    let counter = |name, help, read: fn(&FillStatistics) -> u64| {
        let caches = caches.clone();
        CallbackMetric::counter(name, help, move || read(&caches.fills().statistics()))
    };
    let (running, unstored) = (caches.clone(), caches.clone());
    Ok(vec![
        CallbackMetric::gauge(
            "sampan_cache_fills",
            "Transfers from upstreams that are running.",
            move || running.fills().running() as f64,
        )?,
        counter("sampan_cache_fills_total", "Transfers from upstreams.", |fills| fills.started)?,
        counter("sampan_cache_joined_total", "Requests that joined the transfer of another one.", |fills| {
            fills.joined
        })?,
        counter(
            "sampan_cache_digest_mismatch_total",
            "Transfers whose content did not have its digest.",
            |fills| fills.digest_mismatches,
        )?,
        counter("sampan_cache_failed_fills_total", "Transfers that failed otherwise.", |fills| fills.failed)?,
        CallbackMetric::counters(
            "sampan_cache_unstored_total",
            "Content that was served without being stored, by the reason.",
            &["reason"],
            move || {
                let fills = unstored.fills().statistics();
                let blobs = UnstoredReason::ALL.iter();
                let mut samples: Vec<_> = blobs
                    .map(|reason| Sample::new([reason.as_str()], fills.unstored_for(*reason) as f64))
                    .collect();
                let manifests = unstored.statistics().unstored_manifests();
                samples.push(Sample::new(["manifest"], manifests as f64));
                samples
            },
        )?,
    ])
}
