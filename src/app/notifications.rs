//! Makes the notifier from `notifications`.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use prometheus::core::Collector;
use sampan_config::{Config, EndpointConfig, ListenAddress, Node};
use sampan_driver_filesystem::FilesystemConfig;
use sampan_engine::EventSink;
use sampan_shown_url::ShownUrl;
use tokio::time::{sleep, timeout};

use super::AppError;
use crate::blocking::on_blocking_pool;
use crate::http_client;
use crate::notify::{
    EndpointSettings, Ignored, Notifier, NotifierSettings, NotifyError, RequestRecord, RequestSink,
};
use crate::telemetry::{CallbackMetric, MetricsError, Sample};

/// How long a registry that stops still sends events. Events on disk stay there.
const EVENT_FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// The notifier; `None` without an endpoint.
pub(super) async fn notifier(config: &Config) -> Result<Option<Arc<Notifier>>, AppError> {
    let Some(notifications) = &config.notifications else { return Ok(None) };
    let mut endpoints: Vec<EndpointSettings> = Vec::new();
    for endpoint in notifications.endpoints.iter().filter(|endpoint| !endpoint.disabled) {
        let Some(settings) = settings(endpoint, &endpoints) else { continue };
        endpoints.push(settings);
    }
    if endpoints.is_empty() {
        return Ok(None);
    }
    let settings = NotifierSettings {
        include_references: notifications.events.includereferences,
        endpoints,
        directory: notifications.queue.directory.clone().or_else(|| beside_the_store(config)),
        max_bytes: notifications.queue.maxsize.0,
        source: source(config),
    };
    Ok(Some(Arc::new(Notifier::open(settings).await?)))
}

/// Checks whether the clients of the endpoints can be made.
pub(super) async fn check(config: &Config) -> Result<(), AppError> {
    let endpoints = config.notifications.iter().flat_map(|notifications| &notifications.endpoints);
    if endpoints.filter(|endpoint| !endpoint.disabled).count() == 0 {
        return Ok(());
    }
    let client = on_blocking_pool(|| http_client::client(Duration::from_secs(1), None)).await;
    Ok(client.map(drop).map_err(NotifyError::from)?)
}

/// Receives the events that no request causes.
pub(super) fn own_events(notifier: &Arc<Notifier>) -> Arc<dyn EventSink> {
    let notifier = notifier.clone();
    Arc::new(RequestSink { notifier, request: RequestRecord::default(), user: None, base: String::new() })
}

/// Sends events for as long as it is polled.
pub(super) async fn run(notifier: Option<&Notifier>) -> Infallible {
    if let Some(notifier) = notifier {
        notifier.run().await;
    }
    std::future::pending().await
}

/// Gives the last events time to arrive.
pub(super) async fn finish(notifier: Option<&Notifier>) {
    let Some(notifier) = notifier else { return };
    let done = async {
        while !notifier.is_done() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = timeout(EVENT_FLUSH_TIMEOUT, async {
        tokio::select! {
            () = done => {}
            () = notifier.run() => {}
        }
    })
    .await;
}

/// Metrics of each endpoint under Distribution's names, and of lost events under our own.
pub(super) fn metrics(notifier: &Notifier) -> Result<Vec<Box<dyn Collector>>, MetricsError> {
    let (events, pending, status, dropped) =
        (notifier.counts(), notifier.counts(), notifier.counts(), notifier.counts());
    Ok(vec![
        CallbackMetric::counters(
            "registry_notifications_events_total",
            "The number of total events",
            &["type", "endpoint"],
            move || {
                let kinds = |(name, counts): &(String, crate::notify::Counts)| {
                    [
                        ("Events", counts.events()),
                        ("Successes", counts.successes()),
                        ("Failures", counts.failures()),
                        ("Errors", counts.errors()),
                    ]
                    .map(|(kind, number)| Sample::new([kind, name], number as f64))
                };
                events.iter().flat_map(kinds).collect()
            },
        )?,
        CallbackMetric::gauges(
            "registry_notifications_pending_total",
            "The gauge of pending events in queue",
            &["endpoint"],
            move || {
                pending
                    .iter()
                    .map(|(name, counts)| Sample::new([name.as_str()], counts.pending() as f64))
                    .collect()
            },
        )?,
        CallbackMetric::counters(
            "registry_notifications_status_total",
            "The number of status code",
            &["code", "endpoint"],
            move || {
                let codes = |(name, counts): &(String, crate::notify::Counts)| {
                    let sample =
                        |(code, number): (String, u64)| Sample::new([code, name.clone()], number as f64);
                    counts.statuses().into_iter().map(sample).collect::<Vec<_>>()
                };
                status.iter().flat_map(codes).collect()
            },
        )?,
        CallbackMetric::counters(
            "sampan_notifications_dropped_total",
            "Events that were lost because the queue was full or could not be written.",
            &["endpoint"],
            move || {
                dropped
                    .iter()
                    .map(|(name, counts)| Sample::new([name.as_str()], counts.dropped() as f64))
                    .collect()
            },
        )?,
    ])
}

/// The check of the configuration guarantees the URL.
fn settings(config: &EndpointConfig, others: &[EndpointSettings]) -> Option<EndpointSettings> {
    let url = config.url.as_ref()?.parse().ok()?;
    let wanted =
        config.name.clone().or_else(|| config.url.as_deref().map(|url| ShownUrl::new(url).to_string()))?;
    let mut name = wanted.clone();
    // Distribution lets several endpoints share a name; queues and metrics need distinct ones.
    for number in 2.. {
        if others.iter().all(|other| other.name != name) {
            break;
        }
        name = format!("{wanted}#{number}");
    }
    let mut headers = HeaderMap::new();
    for (header, values) in &config.headers {
        for value in values {
            headers.append(HeaderName::try_from(header).ok()?, HeaderValue::try_from(value.expose()).ok()?);
        }
    }
    let or = |value: Duration, default| if value.is_zero() { default } else { value };
    let media_types = config.ignoredmediatypes.iter().chain(&config.ignore.mediatypes).cloned().collect();
    Some(EndpointSettings {
        name,
        url,
        headers,
        timeout: or(config.timeout, Duration::from_secs(1)),
        threshold: u32::try_from(config.threshold).ok().filter(|threshold| *threshold > 0).unwrap_or(10),
        backoff: or(config.backoff, Duration::from_secs(1)),
        ignored: Ignored { media_types, actions: config.ignore.actions.clone() },
        secret: config.secret.as_ref().map(|secret| secret.expose().clone()),
    })
}

/// In the directory of the store, but outside the store's files: Distribution and the collector only look below `docker/`,
/// and a container keeps this directory.
fn beside_the_store(config: &Config) -> Option<PathBuf> {
    let driver = &config.storage.driver;
    if driver.name() != "filesystem" {
        return None;
    }
    let root = driver.params().at("rootdirectory").and_then(Node::as_text).map(PathBuf::from);
    Some(root.unwrap_or_else(|| FilesystemConfig::default().rootdirectory).join("notifications"))
}

/// The host name and the port, as in Distribution.
fn source(config: &Config) -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy().into_owned();
    match &config.http.addr {
        ListenAddress::Tcp { port, .. } => format!("{host}:{port}"),
        ListenAddress::Unix(_) => host,
    }
}
