//! `Check`: a health check that runs periodically.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sampan_driver::{Condition, StorageDriver, with_causes};
use sampan_shown_url::ShownUrl;
use tokio::net::TcpStream;

use crate::http_client;

/// A health check that runs periodically.
#[async_trait]
pub trait Check: fmt::Debug + Send + Sync + 'static {
    /// Runs the check once.
    ///
    /// # Errors
    ///
    /// The check fails; the text is for readers of `/debug/health`.
    async fn probe(&self) -> Result<CheckResult, String>;
}

/// The result of a successful check.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CheckResult {
    /// No problem.
    Well,
    /// Reads work, writes do not, for this reason.
    ReadOnly(String),
}

/// `health.storagedriver`: whether the store responds, is still the one that was opened, and accepts writes.
#[derive(Debug)]
pub struct StorageCheck(pub Arc<dyn StorageDriver>);

#[async_trait]
impl Check for StorageCheck {
    async fn probe(&self) -> Result<CheckResult, String> {
        match self.0.check().await {
            Ok(Condition::Writable) => Ok(CheckResult::Well),
            Ok(Condition::ReadOnly(reason)) => Ok(CheckResult::ReadOnly(reason)),
            Err(error) => Err(with_causes(&error)),
        }
    }
}

/// `health.file`: a file that takes the registry out of service while it exists.
#[derive(Debug)]
pub struct FileCheck(pub PathBuf);

#[async_trait]
impl Check for FileCheck {
    async fn probe(&self) -> Result<CheckResult, String> {
        match tokio::fs::symlink_metadata(&self.0).await {
            Ok(_) => Err("file exists".to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(CheckResult::Well),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// `health.tcp`: a port that must accept connections.
#[derive(Debug)]
pub struct TcpCheck {
    /// `host:port`.
    pub address: String,
    /// The connection timeout; by default the check's interval.
    pub timeout: Option<Duration>,
}

#[async_trait]
impl Check for TcpCheck {
    async fn probe(&self) -> Result<CheckResult, String> {
        let failed = |why: &dyn fmt::Display| format!("connection to {} failed: {why}", self.address);
        let connecting = TcpStream::connect(&self.address);
        let connected = match self.timeout {
            Some(timeout) => tokio::time::timeout(timeout, connecting)
                .await
                .map_err(|_| failed(&format_args!("no response within {timeout:?}")))?,
            None => connecting.await,
        };
        connected.map(|_| CheckResult::Well).map_err(|error| failed(&error))
    }
}

/// `health.http`: a server that must respond to `HEAD` with a given status.
#[derive(Debug)]
pub struct HttpCheck {
    /// The HTTP client.
    pub client: reqwest::Client,
    /// The request.
    pub request: HttpRequest,
    /// The expected status.
    pub status: u16,
}

/// The request of an [`HttpCheck`]. `Debug` omits the headers, which often contain a token.
#[derive(Clone)]
pub struct HttpRequest {
    /// The URL.
    pub url: reqwest::Url,
    /// Additional headers.
    pub headers: http::HeaderMap,
    /// The response timeout; by default the check's interval.
    pub timeout: Option<Duration>,
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("url", &format_args!("{}", ShownUrl::from(&self.url)))
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("timeout", &self.timeout)
            .finish()
    }
}

#[async_trait]
impl Check for HttpCheck {
    async fn probe(&self) -> Result<CheckResult, String> {
        let HttpRequest { url, headers, timeout } = self.request.clone();
        let mut request = self.client.head(url.clone()).headers(headers);
        if let Some(timeout) = timeout {
            request = request.timeout(timeout);
        }
        let answer = request.send().await.map_err(http_client::explain)?;
        let status = answer.status().as_u16();
        if status == self.status {
            return Ok(CheckResult::Well);
        }
        let mut problem = format!("downstream service returned unexpected status: {status}");
        let location =
            answer.headers().get(http::header::LOCATION).filter(|_| answer.status().is_redirection());
        if let Some(location) = location.and_then(|location| location.to_str().ok()) {
            let location = ShownUrl::new(location);
            problem
                .push_str(&format!(" to {location}, and redirects are not followed: use that URL as `uri`"));
        }
        Err(problem)
    }
}
