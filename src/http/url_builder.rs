//! `UrlBuilder`: URLs that the client of a request can reach.
//!
//! Sources in order: `http.host`, `http.relativeurls`, a proxy's headers (`Forwarded`, else
//! `X-Forwarded-Proto` and `X-Forwarded-Host`), the request itself. If `http.trustedproxies` is set, only
//! those proxies' headers count. `X-Forwarded-Port` is ignored: load balancers set it to their own internal
//! port.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::header::{FORWARDED, HOST};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use sampan_engine::UploadId;
use sampan_engine::oci::{Digest, RepositoryName};

use super::headers::{X_FORWARDED_HOST, X_FORWARDED_PROTO, visible};
use super::proxy_warning;
use super::route::Endpoint;
use super::state::{AppState, HttpOptions};
use crate::serve::{Peer, Scheme};

/// Builds URLs that the client of a request can reach.
#[derive(Clone, Debug)]
pub(super) struct UrlBuilder {
    /// The part before `/v2/`.
    base: String,
}

impl UrlBuilder {
    pub(super) fn blob(&self, name: &RepositoryName, digest: &Digest) -> HeaderValue {
        self.url(Endpoint::Blob, name, &digest.to_string())
    }

    pub(super) fn manifest(&self, name: &RepositoryName, digest: &Digest) -> HeaderValue {
        self.url(Endpoint::Manifest, name, &digest.to_string())
    }

    pub(super) fn upload(&self, name: &RepositoryName, id: &UploadId) -> HeaderValue {
        self.url(Endpoint::BlobUploadChunk, name, &id.to_string())
    }

    fn url(&self, endpoint: Endpoint, name: &RepositoryName, rest: &str) -> HeaderValue {
        visible(format!("{}{}", self.base, endpoint.path(name.as_str(), rest)))
    }
}

impl UrlBuilder {
    /// The builder for a request.
    pub(super) fn of(parts: &Parts, state: &AppState) -> Self {
        let peer = parts.extensions.get::<Peer>();
        let scheme = peer.map_or(Scheme::Http, |peer| peer.scheme);
        let proxy = Proxy::believed(state.options(), peer, &parts.headers);
        Self { base: base(state.options(), proxy, &parts.headers, &parts.uri, scheme) }
    }

    /// The part before `/v2/`.
    pub(super) fn base(&self) -> &str {
        &self.base
    }
}

impl FromRequestParts<AppState> for UrlBuilder {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        let urls = Self::of(parts, state);
        let options = state.options();
        // An upload starts here, so the client follows this URL next.
        if parts.method == Method::POST && options.host.is_none() && !options.relative_urls {
            proxy_warning::warn_once(&parts.headers, &urls.base);
        }
        Ok(urls)
    }
}

fn base(options: &HttpOptions, proxy: Proxy, headers: &HeaderMap, uri: &Uri, scheme: Scheme) -> String {
    if options.relative_urls && options.host.is_none() {
        return options.prefix.to_string();
    }
    // HTTP/1.0 without a host: only a path is known.
    absolute(options, proxy, headers, uri, scheme).unwrap_or_else(|| options.prefix.to_string())
}

fn absolute(
    options: &HttpOptions,
    proxy: Proxy,
    headers: &HeaderMap,
    uri: &Uri,
    scheme: Scheme,
) -> Option<String> {
    let prefix = &options.prefix;
    if let Some(host) = &options.host {
        return Some(format!("{}{prefix}", host.as_str().trim_end_matches('/')));
    }
    let host = proxy.host.or_else(|| own_host(headers, uri))?;
    Some(format!("{}://{host}{prefix}", proxy.scheme.unwrap_or(scheme.as_str())))
}

/// The scheme and host that the client uses, for the realm to which it sends its password.
///
/// Without a proxy's headers the scheme is `https`, as in Distribution, even if the request came over `http`:
/// a client sent to `http` by mistake would expose its password to the network.
pub(super) fn origin(
    options: &HttpOptions,
    peer: Option<&Peer>,
    headers: &HeaderMap,
    uri: &Uri,
) -> Option<String> {
    if let Some(host) = &options.host {
        return Some(host.origin().ascii_serialization());
    }
    let forwarded = Proxy::believed(options, peer, headers);
    let host = forwarded.host.or_else(|| own_host(headers, uri))?;
    Some(format!("{}://{host}", forwarded.scheme.unwrap_or(Scheme::Https.as_str())))
}

/// The URL below which the client called this registry, with the prefix, also where `Location` is a path; `None` if
/// the client did not name a host.
pub(super) fn called(
    options: &HttpOptions,
    peer: Option<&Peer>,
    headers: &HeaderMap,
    uri: &Uri,
) -> Option<String> {
    let scheme = peer.map_or(Scheme::Http, |peer| peer.scheme);
    absolute(options, Proxy::believed(options, peer, headers), headers, uri, scheme)
}

fn own_host(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    uri.authority().map(|host| host.as_str().to_owned()).or_else(|| host(first(headers, &HOST)?))
}

/// A proxy's statements about the original request.
#[derive(Default)]
struct Proxy {
    scheme: Option<&'static str>,
    host: Option<String>,
}

impl Proxy {
    /// The trusted statements in a request that came over `peer`.
    ///
    /// Without configured proxies every request is trusted: it can only misdirect its own client.
    fn believed(options: &HttpOptions, peer: Option<&Peer>, headers: &HeaderMap) -> Self {
        let trusted = &options.trusted_proxies;
        let is_believed = trusted.is_empty() || peer.is_some_and(|peer| trusted.trusts(peer.address));
        if is_believed { Self::from_headers(headers) } else { Self::default() }
    }

    fn from_headers(headers: &HeaderMap) -> Self {
        if let Some(forwarded) = first(headers, &FORWARDED) {
            return Self::from_forwarded(forwarded);
        }
        Self {
            scheme: first(headers, &X_FORWARDED_PROTO).and_then(scheme),
            host: first(headers, &X_FORWARDED_HOST).and_then(host),
        }
    }

    /// Parses RFC 7239; `element` is the one added by the proxy nearest to the client.
    fn from_forwarded(element: &str) -> Self {
        let mut proxy = Self::default();
        for pair in element.split(';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "proto" => proxy.scheme = scheme(value),
                "host" => proxy.host = host(value),
                _ => {}
            }
        }
        proxy
    }
}

/// The first element of a list header; elements of these headers contain no commas.
fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let text = headers.get(name)?.to_str().ok()?;
    let element = text.split(',').next().unwrap_or(text).trim();
    (!element.is_empty()).then_some(element)
}

fn scheme(text: &str) -> Option<&'static str> {
    [Scheme::Https, Scheme::Http]
        .map(Scheme::as_str)
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(text))
}

/// Validates a host for use in a URL: the request's sender controls it.
fn host(text: &str) -> Option<String> {
    let authority: Authority = text.parse().ok()?;
    let plain = !authority.host().is_empty() && !authority.as_str().contains('@');
    plain.then(|| authority.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        options: HttpOptions,
        headers: &'static [(&'static str, &'static str)],
        uri: &'static str,
        scheme: Scheme,
        expected: &'static str,
    }

    fn check(headers: &'static [(&'static str, &'static str)], expected: &'static str) {
        check_case(Case {
            options: HttpOptions::default(),
            headers,
            uri: "/v2/",
            scheme: Scheme::Http,
            expected,
        });
    }

    fn check_case(case: Case) {
        let mut headers = HeaderMap::new();
        for (name, value) in case.headers {
            headers.append(*name, value.parse().unwrap());
        }
        let proxy = Proxy::from_headers(&headers);
        let base = base(&case.options, proxy, &headers, &case.uri.parse().unwrap(), case.scheme);
        assert_eq!(base, case.expected, "{:?}", case.headers);
    }

    const HOST_ONLY: &[(&str, &str)] = &[("host", "reg.example:5000")];
    const PROXIED: &[(&str, &str)] =
        &[("host", "inner:5000"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "reg.example")];

    #[test]
    fn the_request_itself_is_the_fallback() {
        check(HOST_ONLY, "http://reg.example:5000");
        check(&[], "");
        check(&[("host", "[::1]:5000")], "http://[::1]:5000");
        check(&[("host", "evil@reg.example")], "");
        check(&[("host", "not a host")], "");
    }

    #[test]
    fn http_2_names_the_host_in_the_uri() {
        let (options, uri) = (HttpOptions::default(), "https://reg.example/v2/");
        check_case(Case {
            options,
            headers: &[],
            uri,
            scheme: Scheme::Https,
            expected: "https://reg.example",
        });
    }

    #[test]
    fn the_realm_is_https_unless_a_proxy_says_otherwise() {
        let check =
            |options: &HttpOptions, headers: &[(&'static str, &'static str)], expected: Option<&str>| {
                let headers = headers
                    .iter()
                    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                    .collect();
                assert_eq!(origin(options, None, &headers, &Uri::from_static("/v2/")).as_deref(), expected);
            };
        let options = HttpOptions::default();
        check(&options, &[("host", "r.example.com:5000")], Some("https://r.example.com:5000"));
        check(&options, &[("host", "r"), ("x-forwarded-proto", "http")], Some("http://r"));
        check(&options, &[("host", "r"), ("x-forwarded-proto", "gopher")], Some("https://r"));
        check(&options, &[("host", "inner"), ("x-forwarded-host", "outer")], Some("https://outer"));
        check(&options, &[("host", "user@evil")], None);
        check(&options, &[("host", "r/\"path")], None);
        check(&options, &[], None);
        let host = Some("https://known.example.com/below".parse().unwrap());
        let options = HttpOptions { host, ..HttpOptions::default() };
        check(&options, &[("host", "other")], Some("https://known.example.com"));
    }

    #[test]
    fn tls_makes_it_https() {
        let options = HttpOptions::default();
        let expected = "https://reg.example:5000";
        check_case(Case { options, headers: HOST_ONLY, uri: "/v2/", scheme: Scheme::Https, expected });
    }

    #[test]
    fn headers_of_a_proxy_are_used() {
        check(PROXIED, "https://reg.example");
        check(&[("host", "inner:5000"), ("x-forwarded-proto", "https")], "https://inner:5000");
        check(
            &[("host", "inner"), ("x-forwarded-host", "reg.example:8443, inner")],
            "http://reg.example:8443",
        );
        check(&[("host", "inner"), ("x-forwarded-proto", "https, http")], "https://inner");
        check(&[("host", "inner"), ("x-forwarded-proto", "gopher")], "http://inner");
        check(&[("host", "inner"), ("x-forwarded-host", "a/b")], "http://inner");
    }

    #[test]
    fn forwarded_overrides_x_forwarded() {
        check(
            &[
                ("host", "inner"),
                ("forwarded", "for=192.0.2.60; Proto=https; host=\"reg.example:8443\", for=10.0.0.1;host=x"),
                ("x-forwarded-host", "other"),
            ],
            "https://reg.example:8443",
        );
        check(&[("host", "inner"), ("forwarded", "for=_x"), ("x-forwarded-proto", "https")], "http://inner");
        check(&[("host", "inner"), ("forwarded", "rubbish;;=;")], "http://inner");
    }

    #[test]
    fn the_configured_host_overrides_everything() {
        let options = HttpOptions {
            host: Some("https://pub.example/sub/".parse().unwrap()),
            prefix: "/reg/".parse().unwrap(),
            relative_urls: true,
            ..HttpOptions::default()
        };
        let expected = "https://pub.example/sub/reg";
        check_case(Case { options, headers: PROXIED, uri: "/v2/", scheme: Scheme::Http, expected });
    }

    #[test]
    fn relative_urls_override_the_request() {
        let prefix = "/reg".parse().unwrap();
        let options = HttpOptions { relative_urls: true, prefix, ..HttpOptions::default() };
        check_case(Case { options, headers: PROXIED, uri: "/v2/", scheme: Scheme::Http, expected: "/reg" });
    }
}
