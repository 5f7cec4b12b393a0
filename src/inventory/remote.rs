//! `Remote`: reads an inventory through a registry's API, with a password or a fetched token.

use std::collections::HashMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LINK, LOCATION, WWW_AUTHENTICATE};
use parking_lot::Mutex;
use reqwest::{Client, Response};
use sampan_engine::oci::{Digest, Manifest, ManifestKind, RepositoryName, Tag};
use sampan_shown_url::ShownUrl;
use serde::Deserialize;
use url::Url;

use super::source::{Found, SourceError};
use super::store::SMALL_BYTES;
use crate::http_client;

/// The registry and the credentials.
pub struct RemoteOptions {
    /// The registry's URL, such as `https://registry.example:5000`.
    pub url: Url,
    /// User and password.
    pub credentials: Option<(String, String)>,
    /// The HTTP client.
    pub client: Client,
}

/// A registry read through its API.
pub struct Remote {
    options: RemoteOptions,
    /// The authorization for each scope so far. Locked for look-ups only.
    authorizations: Mutex<HashMap<String, HeaderValue>>,
}

/// The longest list or token to read, in bytes.
const MAX_BYTES: u64 = 32 << 20;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Page {
    repositories: Option<Vec<String>>,
    tags: Option<Vec<String>>,
}

impl Remote {
    /// Creates a reader; it sends nothing yet.
    pub fn new(options: RemoteOptions) -> Self {
        Self { options, authorizations: Mutex::default() }
    }

    pub(super) async fn repositories(&self) -> Result<Vec<String>, SourceError> {
        let pages = self.pages("_catalog?n=1000", "registry:catalog:*").await?;
        let mut found: Vec<String> =
            pages.into_iter().filter_map(|page| page.repositories).flatten().collect();
        // An invalid name may be an attack on the terminal that shows it.
        found.retain(|name| name.parse::<RepositoryName>().is_ok());
        found.sort();
        found.dedup();
        Ok(found)
    }

    pub(super) async fn tags(&self, repository: &str) -> Result<Vec<String>, SourceError> {
        let path = format!("{repository}/tags/list?n=1000");
        let pages = self.pages(&path, &pull(repository)).await?;
        let tags = pages.into_iter().filter_map(|page| page.tags).flatten();
        Ok(tags.filter(|tag| tag.parse::<Tag>().is_ok()).collect())
    }

    pub(super) async fn manifest(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Option<Found>, SourceError> {
        let url = self.url(&format!("{repository}/manifests/{reference}"))?;
        let Some(response) = self.get(&url, &pull(repository)).await? else { return Ok(None) };
        let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.map(|text| text.split(';').next().unwrap_or_default().trim().to_owned());
        let bytes = self.read(response, &url, MAX_BYTES).await?;
        let manifest = Manifest::parse(&bytes, media_type.as_deref()).ok();
        let digest = reference.parse().unwrap_or_else(|_| Digest::sha256_of(&bytes));
        Ok(manifest.map(|manifest| Found { digest, size_bytes: bytes.len() as u64, manifest }))
    }

    pub(super) async fn small_blob(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<Option<Bytes>, SourceError> {
        let url = self.url(&format!("{repository}/blobs/{digest}"))?;
        let Some(mut response) = self.get(&url, &pull(repository)).await? else { return Ok(None) };
        // A redirect to the store behind the registry, which must not get the password.
        let place = response.headers().get(LOCATION).and_then(|place| place.to_str().ok());
        if let Some(place) = place.filter(|_| response.status().is_redirection()) {
            let place = url
                .join(place)
                .map_err(|error| problem(&url, format!("redirects to an invalid URL: {error}")))?;
            response = self.send(&place, None).await?;
        }
        match response.status().as_u16() {
            200 => self.read(response, &url, SMALL_BYTES).await.map(Some),
            _ => Ok(None),
        }
    }

    async fn pages(&self, path: &str, scope: &str) -> Result<Vec<Page>, SourceError> {
        let mut url = self.url(path)?;
        let mut pages = Vec::new();
        loop {
            let Some(response) = self.get(&url, scope).await? else { return Ok(pages) };
            let next = next(&url, &response);
            let bytes = self.read(response, &url, MAX_BYTES).await?;
            let page: Page = serde_json::from_slice(&bytes)
                .map_err(|error| problem(&url, format!("the response is not a list: {error}")))?;
            let is_empty = page.repositories.as_ref().or(page.tags.as_ref()).is_none_or(Vec::is_empty);
            pages.push(page);
            match next {
                // Ignore links to another server, and to the same page, which would loop forever.
                Some(next) if next.origin() == url.origin() && next != url && !is_empty => url = next,
                Some(_) | None => return Ok(pages),
            }
        }
    }

    fn url(&self, path: &str) -> Result<Url, SourceError> {
        let base = &self.options.url;
        let text = format!("{}/v2/{path}", base.as_str().trim_end_matches('/').trim_end_matches("/v2"));
        text.parse().map_err(|error| problem(base, format!("cannot build a URL for {path}: {error}")))
    }

    /// The response; `None` for 404.
    async fn get(&self, url: &Url, scope: &str) -> Result<Option<Response>, SourceError> {
        let known = self.known().get(scope).cloned();
        let mut response = self.send(url, known).await?;
        if response.status().as_u16() == 401 {
            let authorization = self.authorization(url, &response, scope).await?;
            self.known().insert(scope.to_owned(), authorization.clone());
            response = self.send(url, Some(authorization)).await?;
        }
        match response.status() {
            status if status.is_success() || status.is_redirection() => Ok(Some(response)),
            status if status.as_u16() == 404 => Ok(None),
            status if status.as_u16() == 401 => Err(problem(
                url,
                "the user or the password is wrong, or the user may not read this".to_owned(),
            )),
            status => Err(problem(url, format!("responded with {status}"))),
        }
    }

    async fn send(&self, url: &Url, authorization: Option<HeaderValue>) -> Result<Response, SourceError> {
        let kinds = [
            ManifestKind::OciIndex,
            ManifestKind::OciManifest,
            ManifestKind::DockerList,
            ManifestKind::DockerManifest,
        ];
        let accept = kinds.map(ManifestKind::media_type).join(", ");
        let mut request = self.options.client.get(url.clone()).header(ACCEPT, accept);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.send().await.map_err(|error| problem(url, http_client::explain(error)))
    }

    /// The `Authorization` that the registry requires.
    async fn authorization(
        &self,
        url: &Url,
        response: &Response,
        scope: &str,
    ) -> Result<HeaderValue, SourceError> {
        let challenge = response.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        let challenge = challenge.unwrap_or_default();
        let credentials = self.options.credentials.as_ref();
        let basic = credentials.map(|(user, password)| basic(user, password));
        let (scheme, parameters) = challenge.split_once(' ').unwrap_or((challenge, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            return basic.ok_or_else(|| problem(url, "requires a password: pass `--user`".to_owned()));
        }
        let realm = parameter(parameters, "realm").and_then(|realm| realm.parse::<Url>().ok());
        let Some(mut realm) = realm else {
            return Err(problem(url, "requires a token but does not name a token server".to_owned()));
        };
        if url.scheme() == "https" && realm.scheme() != "https" {
            let shown = ShownUrl::from(&realm);
            return Err(problem(url, format!("its token server {shown} would get the password unencrypted")));
        }
        if let Some(service) = parameter(parameters, "service") {
            realm.query_pairs_mut().append_pair("service", &service);
        }
        realm.query_pairs_mut().append_pair("scope", scope);
        let response = self.send(&realm, basic).await?;
        if !response.status().is_success() {
            let who = if credentials.is_some() { "" } else { ": pass `--user`" };
            return Err(problem(&realm, format!("refuses a token ({}){who}", response.status())));
        }
        let bytes = self.read(response, &realm, MAX_BYTES).await?;
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let token: Option<Token> = serde_json::from_slice(&bytes).ok();
        let token = token.and_then(|token| token.token.or(token.access_token)).unwrap_or_default();
        let header = HeaderValue::try_from(format!("Bearer {token}"));
        let mut header = header
            .map_err(|_| problem(&realm, "returns a token that is not a valid header value".to_owned()))?;
        header.set_sensitive(true);
        Ok(header)
    }

    async fn read(&self, mut response: Response, url: &Url, most: u64) -> Result<Bytes, SourceError> {
        let mut content = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| problem(url, http_client::explain(error)))?
        {
            if (content.len() + chunk.len()) as u64 > most {
                return Err(problem(url, format!("the response is longer than {most} bytes")));
            }
            content.extend_from_slice(&chunk);
        }
        Ok(content.into())
    }

    fn known(&self) -> parking_lot::MutexGuard<'_, HashMap<String, HeaderValue>> {
        self.authorizations.lock()
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("url", &ShownUrl::from(&self.options.url)).finish_non_exhaustive()
    }
}

fn basic(user: &str, password: &str) -> HeaderValue {
    // base64 text is always a valid header value.
    let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let mut header = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    header.set_sensitive(true);
    header
}

fn pull(repository: &str) -> String {
    format!("repository:{repository}:pull")
}

fn problem(url: &Url, problem: String) -> SourceError {
    SourceError::Remote { url: ShownUrl::from(url).to_string(), problem }
}

/// The URL of the next page.
fn next(url: &Url, response: &Response) -> Option<Url> {
    let link = response.headers().get(LINK)?.to_str().ok()?;
    let (target, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then(|| url.join(target).ok())?
}

/// A parameter of a challenge, quoted or not.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        let (key, after) = rest.split_once('=')?;
        let (value, tail) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        if key.trim_matches([' ', ',']).eq_ignore_ascii_case(name) {
            return Some(value.to_owned());
        }
        rest = tail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenge_parameters_are_parsed() {
        let text = r#"realm="https://auth.example/token?a=b,c",service="registry, one",scope=x"#;
        assert_eq!(parameter(text, "realm").unwrap(), "https://auth.example/token?a=b,c");
        assert_eq!(parameter(text, "service").unwrap(), "registry, one");
        assert_eq!(parameter(text, "scope").unwrap(), "x");
        assert_eq!(parameter(text, "error"), None);
        assert_eq!(parameter("", "realm"), None);
    }
}
