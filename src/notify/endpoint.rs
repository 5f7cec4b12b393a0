//! `Endpoint`: delivers events one by one, each until the endpoint accepts it.

use std::time::Duration;

use aws_lc_rs::hmac;
use http::{HeaderMap, HeaderValue};
use reqwest::Client;
use tokio::time::sleep;
use url::Url;

use super::envelope::{CONTENT_TYPE, Record, envelope};
use super::queue::Queue;
use crate::blocking::on_blocking_pool;
use crate::http_client;

/// The delay before a retry while the threshold is not reached.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// The settings of an endpoint.
#[derive(Clone)]
pub struct EndpointSettings {
    /// The name in logs, metrics and the queue.
    pub name: String,
    /// The URL that events are posted to.
    pub url: Url,
    /// Additional request headers.
    pub headers: HeaderMap,
    /// The response timeout.
    pub timeout: Duration,
    /// The number of consecutive failures after which each retry waits for `backoff`.
    pub threshold: u32,
    /// The mean delay between retries.
    pub backoff: Duration,
    /// The events not to deliver.
    pub ignored: Ignored,
    /// The key for signing bodies, if any.
    pub secret: Option<String>,
}

/// Events not to deliver: those with a listed media type or action.
#[derive(Clone, Debug, Default)]
pub struct Ignored {
    /// Media types.
    pub media_types: Vec<String>,
    /// Actions, such as `pull`.
    pub actions: Vec<String>,
}

/// A notification endpoint.
pub(super) struct Endpoint {
    settings: EndpointSettings,
    client: Client,
    pub(super) queue: Queue,
}

impl Ignored {
    pub(super) fn covers(&self, record: &Record<'_>) -> bool {
        let media_type = &*record.target.media_type;
        self.actions.iter().any(|action| action == record.action)
            || (!media_type.is_empty() && self.media_types.iter().any(|ignored| ignored == media_type))
    }
}

impl Endpoint {
    pub(super) fn new(settings: EndpointSettings, client: Client, queue: Queue) -> Self {
        Self { settings, client, queue }
    }

    pub(super) fn settings(&self) -> &EndpointSettings {
        &self.settings
    }

    /// Delivers queued and new events while it is polled.
    pub(super) async fn run(&self) {
        let mut failures = 0;
        loop {
            let queue = self.queue.clone();
            match on_blocking_pool(move || queue.first()).await {
                Ok(Some(waiting)) => {
                    if let Err(trouble) = self.post(&waiting.line).await {
                        failures += 1;
                        self.log_failure(failures, &trouble);
                        sleep(self.pause(failures)).await;
                        continue;
                    }
                    if failures > 0 {
                        tracing::info!(
                            endpoint = self.settings.name,
                            "{} accepts notifications again",
                            self.settings.name
                        );
                    }
                    failures = 0;
                    let queue = self.queue.clone();
                    if let Err(error) = on_blocking_pool(move || queue.delivered(&waiting)).await {
                        self.complain_of_the_queue(&error).await;
                    }
                }
                Ok(None) => self.queue.news().await,
                Err(error) => self.complain_of_the_queue(&error).await,
            }
        }
    }

    async fn post(&self, line: &str) -> Result<(), String> {
        let body = envelope(line);
        let mut request = self.client.post(self.settings.url.clone()).headers(self.settings.headers.clone());
        if let Some(secret) = &self.settings.secret {
            request = request.header("x-sampan-signature", signature(secret, body.as_bytes()));
        }
        let answer = request.header("content-type", CONTENT_TYPE).body(body).send().await;
        if let Ok(answer) = &answer {
            self.queue.counts().answered(answer.status().to_string());
        }
        match answer {
            Err(error) => {
                self.queue.counts().error();
                Err(http_client::explain(error))
            }
            // As in Distribution, a redirect counts as success and is not followed.
            Ok(answer) if answer.status().is_success() || answer.status().is_redirection() => {
                self.queue.counts().success();
                Ok(())
            }
            Ok(answer) => {
                self.queue.counts().failure();
                Err(format!("the response was {}", answer.status()))
            }
        }
    }

    /// A short delay for the first retries, then `backoff`, randomized so that replicas do not retry
    /// together.
    fn pause(&self, failures: u32) -> Duration {
        if failures < self.settings.threshold {
            return RETRY_DELAY.min(self.settings.backoff);
        }
        self.settings.backoff.mul_f64(rand::random_range(0.5..1.5))
    }

    fn log_failure(&self, failures: u32, trouble: &str) {
        let name = &self.settings.name;
        if failures == 1 {
            tracing::warn!(endpoint = name, "{name} did not accept a notification, retrying: {trouble}");
        } else if failures == self.settings.threshold.max(2) {
            let (pending, backoff) = (self.queue.counts().pending(), self.settings.backoff);
            tracing::error!(
                endpoint = name,
                pending,
                "{name} did not accept a notification {failures} times, retrying every {backoff:?}: {trouble}"
            );
        }
    }

    async fn complain_of_the_queue(&self, error: &std::io::Error) {
        let name = &self.settings.name;
        tracing::error!(endpoint = name, %error, "the notification queue of {name} is not usable: {error}");
        sleep(Duration::from_secs(5)).await;
    }
}

/// `sha256=` and the HMAC of the body in hexadecimal.
fn signature(secret: &str, body: &[u8]) -> HeaderValue {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body);
    let text = format!("sha256={}", data_encoding::HEXLOWER.encode(tag.as_ref()));
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("sha256="))
}
