//! URLs that clients fetch files from by themselves.

use http::Method;
use object_store::signer::Signer;
use sampan_driver::{DriverPath, RedirectRequest};
use url::Url;

use crate::bucket::Bucket;
use crate::error::Failure;

impl Bucket {
    /// A URL for one method: signatures bind it, and a store refuses a `HEAD` on a URL that was signed for `GET`.
    pub(crate) async fn redirect_url(
        &self,
        path: &DriverPath,
        request: RedirectRequest,
    ) -> Result<Option<Url>, Failure> {
        let client = self.public.as_ref().unwrap_or(&self.data);
        let (true, Some(signer)) = (self.redirect, client.signer()) else { return Ok(None) };
        let Some(key) = self.keys.object(path) else { return Ok(None) };
        let method = match request {
            RedirectRequest::Get => Method::GET,
            RedirectRequest::Head => Method::HEAD,
        };
        Ok(Some(signed(signer, method, &key, self.options.redirect_expiry).await?))
    }
}

async fn signed(
    signer: &dyn Signer,
    method: Method,
    key: &object_store::path::Path,
    expiry: std::time::Duration,
) -> Result<Url, Failure> {
    Ok(signer.signed_url(method, key, expiry).await?)
}
