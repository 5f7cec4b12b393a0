//! Keys that are fetched (`auth.token.jwks` as a URL): ours, Distribution knows files only.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Client;
use url::Url;

use super::error::TokenError;
use crate::http_client;
use crate::shown_url::ShownUrl;

/// How long a fetch may take. A request with a token by an unknown key waits for one.
const TIMEOUT: Duration = Duration::from_secs(5);

/// More would be no set of keys.
const LONGEST: usize = 1 << 20;

/// From where keys are fetched.
#[derive(Clone, Debug)]
pub struct RemoteKeys {
    /// An `https` URL; `http` only of this machine.
    pub url: Url,
    /// The certificates to trust there in place of the system's, a PEM file.
    pub authorities: Option<PathBuf>,
    /// How often they are fetched.
    pub refresh: Duration,
}

/// Fetches keys.
#[derive(Debug)]
pub(super) struct Fetcher {
    client: Client,
    pub(super) remote: RemoteKeys,
}

impl Fetcher {
    /// Blocks for reading the certificates.
    pub(super) fn new(remote: RemoteKeys) -> Result<Self, TokenError> {
        let client = http_client::client(TIMEOUT, remote.authorities.as_deref())?;
        Ok(Self { client, remote })
    }

    /// The set as it is at the moment.
    pub(super) async fn fetch(&self) -> Result<Vec<u8>, TokenError> {
        let failed = |problem: String| TokenError::Fetch {
            url: ShownUrl::from(&self.remote.url).to_string(),
            problem,
        };
        let request = self.client.get(self.remote.url.clone()).header("accept", "application/json");
        let mut response = request.send().await.map_err(|error| failed(http_client::explain(error)))?;
        if response.status() != 200 {
            return Err(failed(format!("the answer was {}", response.status())));
        }
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(http_client::explain(error)))? {
            if text.len() + chunk.len() > LONGEST {
                return Err(failed(format!("the answer is longer than {LONGEST} bytes")));
            }
            text.extend_from_slice(&chunk);
        }
        Ok(text)
    }
}
