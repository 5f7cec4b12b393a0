//! `CollectorClient`: the HTTP client of the exporter, whose own errors have neither address nor cause.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT, OTEL_EXPORTER_OTLP_TRACES_TIMEOUT,
};
use parking_lot::Mutex;
use reqwest::blocking::Client;
use sampan_shown_url::ShownUrl;

use crate::http_client;

/// The result of the last request, with the collector's URL.
pub(super) type LastAnswer = Arc<Mutex<String>>;

/// Sends requests, and keeps what the last one came to.
#[derive(Debug)]
pub(super) struct CollectorClient {
    client: Client,
    last: LastAnswer,
}

impl CollectorClient {
    /// Creates a client with the timeout of the environment.
    pub(super) fn new(last: LastAnswer) -> Result<Self, String> {
        let timeout = timeout(|name| std::env::var(name).ok());
        // The blocking client has a runtime, which cannot begin within another one.
        let made = std::thread::spawn(move || {
            let builder = || Client::builder().timeout(timeout);
            // A machine without authorities can still speak plain HTTP.
            builder().build().or_else(|_| builder().tls_certs_only([]).build())
        });
        let client = made.join().map_err(|_| "the thread that sets up the client failed".to_owned())?;
        Ok(Self { client: client.map_err(http_client::explain)?, last })
    }
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let url = ShownUrl::new(&request.uri().to_string());
        let (text, answer) = match self.client.send_bytes(request).await {
            Ok(answer) => (format!("answered with {}", answer.status()), Ok(answer)),
            Err(error) => match error.downcast::<reqwest::Error>() {
                Ok(error) => {
                    let text = http_client::explain(*error);
                    (text.clone(), Err(HttpError::from(text)))
                }
                Err(error) => (error.to_string(), Err(error)),
            },
        };
        *self.last.lock() = format!("{url}: {text}");
        answer
    }
}

/// The timeout of a request, by the standard variables in milliseconds.
fn timeout(variable: impl Fn(&str) -> Option<String>) -> Duration {
    [OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT]
        .into_iter()
        .find_map(|name| variable(name)?.parse().ok())
        .map_or(OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT, Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_of_traces_comes_before_that_of_all_signals() {
        let of = |variables: &[(&str, &str)]| {
            timeout(|name| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(of(&[]), Duration::from_secs(10));
        let all = ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000");
        assert_eq!(of(&[all]), Duration::from_secs(2));
        assert_eq!(of(&[all, ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "3000")]), Duration::from_secs(3));
    }
}
