//! URLs from which clients fetch files themselves.

use http::Method;
use sampan_driver::{DriverPath, RedirectRequest};
use url::Url;

use crate::bucket::Bucket;
use crate::client::Client;
use crate::error::Failure;

impl Bucket {
    /// A URL for one method: the signature includes it, and a store refuses a `HEAD` on a URL signed for `GET`. Azure's
    /// signatures are for reading in general, and the crate signs nothing else for Azure.
    pub(crate) async fn redirect_url(
        &self,
        path: &DriverPath,
        request: RedirectRequest,
    ) -> Result<Option<Url>, Failure> {
        let client = self.public.as_ref().unwrap_or(&self.data);
        let (true, Some(signer)) = (self.redirect, client.signer()) else { return Ok(None) };
        let Some(key) = self.keys.object(path) else { return Ok(None) };
        let method = match request {
            RedirectRequest::Head if !matches!(client, Client::Azure(_)) => Method::HEAD,
            RedirectRequest::Get | RedirectRequest::Head => Method::GET,
        };
        let url = signer.signed_url(method, &key, self.options.redirect_expiry).await?;
        Ok(Some(match &self.azure {
            Some(account) => account.without_start(url),
            None => url,
        }))
    }
}
