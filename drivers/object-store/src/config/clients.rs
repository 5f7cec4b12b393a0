//! The HTTP clients of a store: their certificates and time limits.

use std::time::Duration;

use http::HeaderValue;
use object_store::{BackoffConfig, Certificate, ClientOptions, RetryConfig};
use sampan_driver::BuildError;

use crate::delete::DELETION_LIMIT;

/// The purpose of a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ClientKind {
    /// Small requests.
    Control,
    /// Content: no time limit, since a pull takes as long as the client does.
    Data,
    /// Deletions by the collector: each request is sent once.
    Deletion,
    /// The probe at the start, which gives up soon.
    Probe,
}

/// The connection settings of a section.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection {
    pub(crate) section: &'static str,
    pub(crate) allow_http: bool,
    pub(crate) skip_verify: bool,
    pub(crate) ca_file: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) max_retries: Option<u64>,
    pub(crate) retry_delay: Option<Duration>,
}

impl Connection {
    pub(crate) fn options(&self, purpose: ClientKind) -> Result<ClientOptions, BuildError> {
        let mut options = ClientOptions::new()
            .with_allow_http(self.allow_http)
            .with_allow_invalid_certificates(self.skip_verify)
            .with_connect_timeout(Duration::from_secs(if purpose == ClientKind::Probe { 3 } else { 5 }))
            .with_pool_idle_timeout(Duration::from_secs(30));
        options = match purpose {
            ClientKind::Control => options.with_timeout(Duration::from_secs(60)),
            ClientKind::Data => options.with_timeout_disabled(),
            ClientKind::Deletion => options.with_timeout(DELETION_LIMIT),
            ClientKind::Probe => options.with_timeout(Duration::from_secs(4)),
        };
        if let Some(agent) = &self.user_agent {
            let agent = HeaderValue::try_from(agent).map_err(|error| {
                BuildError::new(format!(
                    "storage.{}.useragent is not a valid HTTP header value",
                    self.section
                ))
                .with_source(error)
            })?;
            options = options.with_user_agent(agent);
        }
        for certificate in self.certificates()? {
            options = options.with_root_certificate(certificate);
        }
        Ok(options)
    }

    pub(crate) fn retries(&self, purpose: ClientKind) -> RetryConfig {
        let init_backoff = self.retry_delay.unwrap_or(Duration::from_millis(100));
        let backoff = BackoffConfig {
            init_backoff,
            max_backoff: Duration::from_secs(5).max(init_backoff),
            ..Default::default()
        };
        let asked = self.max_retries.map(|retries| usize::try_from(retries).unwrap_or(usize::MAX));
        match purpose {
            ClientKind::Deletion => RetryConfig { backoff, max_retries: 0, retry_timeout: DELETION_LIMIT },
            ClientKind::Probe => {
                RetryConfig { backoff, max_retries: 1, retry_timeout: Duration::from_secs(3) }
            }
            ClientKind::Control | ClientKind::Data => RetryConfig {
                backoff,
                max_retries: asked.unwrap_or(8),
                retry_timeout: Duration::from_secs(60),
            },
        }
    }

    fn certificates(&self) -> Result<Vec<Certificate>, BuildError> {
        let Some(file) = &self.ca_file else { return Ok(Vec::new()) };
        let place = format!("storage.{}.cafile {file}", self.section);
        let pem = std::fs::read(file)
            .map_err(|error| BuildError::new(format!("{place} cannot be read")).with_source(error))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| {
            BuildError::new(format!("{place} holds no certificates in PEM")).with_source(error)
        })?;
        match certificates.is_empty() {
            true => Err(BuildError::new(format!("{place} holds no certificates in PEM"))),
            false => Ok(certificates),
        }
    }
}
