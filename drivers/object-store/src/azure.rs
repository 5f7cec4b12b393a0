//! Signatures for Azure that the `object_store` crate makes otherwise or not at all.
//!
//! The crate's URLs are valid from the time of this machine on, so a clock that is some seconds ahead makes Azure refuse
//! them. Those of an account's key are signed again without that time. Requests of this driver carry the authorization
//! themselves, for which clocks may differ by a quarter of an hour.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use http::header::{CONTENT_LENGTH, HeaderValue};
use object_store::azure::{AzureAuthorizer, MicrosoftAzure};
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};
use object_store::path::Path;
use sha2::Sha256;
use url::Url;

use crate::bucket::Bucket;
use crate::client::Client;
use crate::error::Failure;
use crate::signed::{again_when_overloaded, answer, malformed};
use crate::writer::seconds_since_1970;

/// An account, and its access beyond the crate's.
#[derive(Debug)]
pub(crate) struct AzureAccount {
    pub(crate) name: String,
    /// The URL of the container, without a slash at its end.
    pub(crate) container: Url,
    /// Signs URLs again, if the credentials are a key.
    pub(crate) key: Option<SharedKey>,
    pub(crate) http: HttpClient,
}

/// The key of an account.
pub(crate) struct SharedKey(Vec<u8>);

impl SharedKey {
    /// The key of its text in Base64; `None` if it is not Base64.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        BASE64_STANDARD.decode(text).ok().map(Self)
    }

    fn sign(&self, text: &str) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(text.as_bytes());
        Some(BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl std::fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl AzureAccount {
    /// The `url` that the crate has signed with the account's key, valid at once whatever the clock says. As it was, if the
    /// credentials are no key.
    pub(crate) fn without_start(&self, url: Url) -> Url {
        self.sign_again(&url).unwrap_or(url)
    }

    /// Source: "Create a service SAS", version 2020-12-06 and later.
    fn sign_again(&self, url: &Url) -> Option<Url> {
        let value = |name: &str| {
            url.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
        };
        let (permissions, expiry) = (value("sp")?, value("se")?);
        let (version, resource) = (value("sv")?, value("sr")?);
        // Where the host does not name the account, as in emulators, the path does.
        let account = match url.host_str()?.contains(&self.name) {
            true => format!("/{}", self.name),
            false => String::new(),
        };
        // The start and the fields that restrict the URL further are empty.
        let text = format!(
            "{permissions}\n\n{expiry}\n/blob{account}{}\n\n\n\n{version}\n{resource}\n\n\n\n\n\n\n",
            url.path()
        );
        let signature = self.key.as_ref()?.sign(&text)?;
        let mut signed = url.clone();
        signed.query_pairs_mut().clear().extend_pairs([
            ("sv", version.as_str()),
            ("sp", &permissions),
            ("se", &expiry),
            ("sr", &resource),
            ("sig", &signature),
        ]);
        Some(signed)
    }

    /// The URL of the metadata of the object `key`.
    fn metadata(&self, key: &Path) -> Url {
        let mut url = self.container.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(key.parts());
        }
        url.set_query(Some("comp=metadata"));
        url
    }
}

impl Bucket {
    /// Writes the time into the metadata of an object of Azure's, and replaces the metadata.
    pub(crate) async fn set_metadata(&self, account: &AzureAccount, key: &Path) -> Result<(), Failure> {
        let Client::Azure(store) = &self.data else { return Ok(()) };
        again_when_overloaded(|| async {
            let request = metadata_request(account, store, key).await?;
            answer(&account.http, "dating of an object", request).await
        })
        .await
        .map(drop)
    }
}

async fn metadata_request(
    account: &AzureAccount,
    store: &MicrosoftAzure,
    key: &Path,
) -> Result<HttpRequest, Failure> {
    let credential = store.credentials().get_credential().await?;
    let mut request = http::Request::builder()
        .method(Method::PUT)
        .uri(account.metadata(key).as_str())
        .header(CONTENT_LENGTH, 0)
        .header("x-ms-meta-sampandated", HeaderValue::from(seconds_since_1970()))
        .body(HttpRequestBody::empty())
        .map_err(|error| malformed("dating of an object", &error))?;
    AzureAuthorizer::new(&credential, &account.name).try_authorize(&mut request)?;
    Ok(request)
}
