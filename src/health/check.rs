//! `Check`: something that is looked at regularly.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sampan_driver::{Condition, StorageDriver};
use tokio::net::TcpStream;

use crate::http_client;
use crate::shown_url::ShownUrl;

/// Something that is looked at regularly, and is well or not.
#[async_trait]
pub trait Check: fmt::Debug + Send + Sync + 'static {
    /// Looks once.
    ///
    /// # Errors
    ///
    /// When it is not well; the text is for the person who reads `/debug/health`.
    async fn look(&self) -> Result<Seen, String>;
}

/// What a check has seen of something that works.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Seen {
    /// It is well.
    Well,
    /// It can be read and not written to, for this reason.
    ReadOnly(String),
}

/// `health.storagedriver`: whether the store answers, is the one that was opened, and takes writes.
#[derive(Debug)]
pub struct StorageCheck(pub Arc<dyn StorageDriver>);

#[async_trait]
impl Check for StorageCheck {
    async fn look(&self) -> Result<Seen, String> {
        match self.0.check().await {
            Ok(Condition::Writable) => Ok(Seen::Well),
            Ok(Condition::ReadOnly(reason)) => Ok(Seen::ReadOnly(reason)),
            Err(error) => Err(chain(&error)),
        }
    }
}

/// `health.file`: a file whose existence takes the registry out of service.
#[derive(Debug)]
pub struct FileCheck(pub PathBuf);

#[async_trait]
impl Check for FileCheck {
    async fn look(&self) -> Result<Seen, String> {
        match tokio::fs::symlink_metadata(&self.0).await {
            Ok(_) => Err("file exists".to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Seen::Well),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// `health.tcp`: a port that must take connections.
#[derive(Debug)]
pub struct TcpCheck {
    /// `host:port`.
    pub address: String,
    /// How long that may take; as long as a check may take, if there is none.
    pub timeout: Option<Duration>,
}

#[async_trait]
impl Check for TcpCheck {
    async fn look(&self) -> Result<Seen, String> {
        let failed = |why: &dyn fmt::Display| format!("connection to {} failed: {why}", self.address);
        let connecting = TcpStream::connect(&self.address);
        let connected = match self.timeout {
            Some(timeout) => tokio::time::timeout(timeout, connecting)
                .await
                .map_err(|_| failed(&format_args!("no answer within {timeout:?}")))?,
            None => connecting.await,
        };
        connected.map(|_| Seen::Well).map_err(|error| failed(&error))
    }
}

/// `health.http`: a server that must answer a `HEAD` with one status.
#[derive(Debug)]
pub struct HttpCheck {
    /// What asks.
    pub client: reqwest::Client,
    /// What is asked, its headers and its own time limit included.
    pub request: HttpRequest,
    /// The status that is well.
    pub status: u16,
}

/// The request of an [`HttpCheck`]. Its `Debug` shows no headers, which often hold a token.
#[derive(Clone)]
pub struct HttpRequest {
    /// Where to.
    pub url: reqwest::Url,
    /// Added to it.
    pub headers: http::HeaderMap,
    /// How long an answer may take; as long as a check may take, if there is none.
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
    async fn look(&self) -> Result<Seen, String> {
        let HttpRequest { url, headers, timeout } = self.request.clone();
        let mut request = self.client.head(url.clone()).headers(headers);
        if let Some(timeout) = timeout {
            request = request.timeout(timeout);
        }
        let answer = request.send().await.map_err(http_client::explain)?;
        let status = answer.status().as_u16();
        if status == self.status {
            return Ok(Seen::Well);
        }
        let mut problem = format!("downstream service returned unexpected status: {status}");
        let location =
            answer.headers().get(http::header::LOCATION).filter(|_| answer.status().is_redirection());
        if let Some(location) = location.and_then(|location| location.to_str().ok()) {
            let location = ShownUrl::new(location);
            problem
                .push_str(&format!(" to {location}, and redirects are not followed: give that URL as `uri`"));
        }
        Err(problem)
    }
}

/// An error with its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
