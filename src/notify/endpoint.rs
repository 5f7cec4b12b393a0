//! `Endpoint`: delivers events one by one, each until the endpoint accepts it.

use std::time::Duration;

use aws_lc_rs::hmac;
use http::{HeaderMap, HeaderValue};
use reqwest::Client;
use tokio::time::sleep;
use url::Url;

use super::envelope::{CONTENT_TYPE, Record, envelope};
use super::queue::{PendingEvent, Queue};
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
                    let Some(line) = waiting.line() else {
                        self.drop_damaged(waiting).await;
                        continue;
                    };
                    if let Err(trouble) = self.post(line).await {
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

    /// Drops what a damaged file has in place of an event: no endpoint would accept it, and all others wait behind it.
    async fn drop_damaged(&self, damaged: PendingEvent) {
        let (queue, name) = (self.queue.clone(), &self.settings.name);
        tracing::error!(endpoint = name, "the notification queue of {name} is damaged, and an event is lost");
        if let Err(error) = on_blocking_pool(move || queue.drop_damaged(&damaged)).await {
            self.complain_of_the_queue(&error).await;
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

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;
    use crate::notify::backlog::Disk;
    use crate::notify::write_buffer::Wait;

    /// Accepts every request, and passes on its body.
    async fn accept_all(listener: TcpListener, bodies: mpsc::UnboundedSender<String>) {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut received = String::new();
            let body = loop {
                let mut bytes = [0; 4096];
                let read = client.read(&mut bytes).await.unwrap();
                received.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
                let Some((head, body)) = received.split_once("\r\n\r\n") else { continue };
                let length = head.to_lowercase().split_once("content-length: ").unwrap().1.to_owned();
                if body.len() >= length.lines().next().unwrap().parse().unwrap() {
                    break body;
                }
            };
            bodies.send(body.to_owned()).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            client.write_all(answer).await.unwrap();
        }
    }

    fn settings(url: Url) -> EndpointSettings {
        EndpointSettings {
            name: "test".to_owned(),
            url,
            headers: HeaderMap::new(),
            timeout: Duration::from_secs(60),
            threshold: 10,
            backoff: Duration::from_secs(1),
            ignored: Ignored::default(),
            secret: None,
        }
    }

    #[tokio::test]
    async fn damaged_events_do_not_hold_up_those_behind_them() {
        let dir = tempfile::tempdir().unwrap();
        let queue = || {
            let (disk, events, bytes) = Disk::open(dir.path()).unwrap();
            Queue::on_disk("test", 1 << 20, disk, events, bytes).unwrap()
        };
        let before = queue();
        (1..=5).for_each(|number| before.push(&format!(r#"{{"n":{number}}}"#), Wait::UntilWritten));
        drop(before);
        let segment = dir.path().join(format!("{:020}.events", 1));
        let mut bytes = fs::read(&segment).unwrap();
        assert_eq!(bytes.len(), 5 * 8);
        // A byte that is no text, another letter, and a page that a power failure left empty.
        bytes[8] = 0xff;
        bytes[17] = b'n';
        bytes[24..31].fill(0);
        fs::write(&segment, bytes).unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let (sender, mut bodies) = mpsc::unbounded_channel();
        let receiving = tokio::spawn(accept_all(listener, sender));
        let client = http_client::client(Duration::from_secs(60), None).unwrap();
        let endpoint = Endpoint::new(settings(url), client, queue());
        let both = async { [bodies.recv().await.unwrap(), bodies.recv().await.unwrap()] };
        let both = tokio::select! {
            both = tokio::time::timeout(Duration::from_secs(60), both) => both.expect("they are not sent"),
            () = endpoint.run() => panic!("it never ends"),
        };
        assert!(both[0].contains("\"n\": 1") && both[1].contains("\"n\": 5"), "{both:?}");
        assert_eq!(endpoint.queue.counts().dropped(), 3);
        receiving.abort();
    }
}
