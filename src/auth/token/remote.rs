//! Fetches keys from a URL in `auth.token.jwks`. Distribution supports files only.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Client;
use sampan_shown_url::ShownUrl;
use url::Url;

use super::error::TokenError;
use crate::http_client;

/// The timeout of a fetch. A request whose token names an unknown key waits for it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The largest key set, in bytes.
const MAX_SET_BYTES: usize = 1 << 20;

/// The source of fetched keys.
#[derive(Clone, Debug)]
pub struct RemoteKeys {
    /// An `https` URL; `http` only to this machine.
    pub url: Url,
    /// A PEM file of certificates to trust instead of the system's.
    pub authorities: Option<PathBuf>,
    /// The interval between fetches.
    pub refresh: Duration,
}

/// Fetches keys.
#[derive(Debug)]
pub(super) struct Fetcher {
    client: Client,
    pub(super) remote: RemoteKeys,
}

impl Fetcher {
    /// Creates a fetcher. Blocks to read the certificates.
    pub(super) fn new(remote: RemoteKeys) -> Result<Self, TokenError> {
        let client = http_client::client(TIMEOUT, remote.authorities.as_deref())?;
        Ok(Self { client, remote })
    }

    /// Fetches the current set.
    pub(super) async fn fetch(&self) -> Result<Vec<u8>, TokenError> {
        let failed = |problem: String| TokenError::Fetch {
            url: ShownUrl::from(&self.remote.url).to_string(),
            problem,
        };
        let request = self.client.get(self.remote.url.clone()).header("accept", "application/json");
        let mut response = request.send().await.map_err(|error| failed(http_client::explain(error)))?;
        if response.status() != 200 {
            return Err(failed(format!("the response was {}", response.status())));
        }
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(http_client::explain(error)))? {
            if text.len() + chunk.len() > MAX_SET_BYTES {
                return Err(failed(format!("the response is longer than {MAX_SET_BYTES} bytes")));
            }
            text.extend_from_slice(&chunk);
        }
        Ok(text)
    }
}
