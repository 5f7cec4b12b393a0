//! Keeps web pages out: a browser on the administrator's machine lets any page send requests to every
//! listener in reach.
//!
//! A browser marks cross-site requests (`Sec-Fetch-Site`, `Origin`), but not if the other site's name
//! resolves to this machine (DNS rebinding). So the pages that Distribution does not have accept only known
//! host names. Metrics, health and probes accept any host, as in Distribution: Prometheus uses whatever name
//! its configuration has.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, StatusCode};

/// Decides which requests the debug listener accepts.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    /// The host names of this listener, besides addresses and `localhost`.
    hosts: Arc<[String]>,
    /// The pages that accept any host name.
    open: Arc<[String]>,
}

impl Guard {
    pub(super) fn new(hosts: Vec<String>, open: Vec<String>) -> Self {
        Self { hosts: hosts.into(), open: open.into() }
    }

    /// Why the request is refused; `None` if it is accepted.
    fn refusal(&self, request: &Request) -> Option<String> {
        let headers = request.headers();
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        if site.is_some_and(|site| !matches!(site, b"same-origin" | b"none")) {
            return Some("the request comes from another site".to_owned());
        }
        if headers.get_all(ORIGIN).iter().any(|origin| !is_own(origin, headers)) {
            return Some("the request comes from another site (`Origin`)".to_owned());
        }
        if self.open.iter().any(|page| page == request.uri().path()) {
            return None;
        }
        let named = headers.get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default());
        let unknown =
            named.chain(request.uri().authority().map(Authority::as_str)).find(|host| !self.knows(host))?;
        // At most as long as a host name may be.
        let unknown: String = unknown.chars().take(253).collect();
        Some(format!(
            "{unknown:?} is not a known name of this listener: use an address or localhost, or list it in http.debug.hosts"
        ))
    }

    fn knows(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host();
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        // The parser of authorities accepts user info.
        !host.contains('@')
            && (address.parse::<IpAddr>().is_ok()
                || name.eq_ignore_ascii_case("localhost")
                || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name)))
    }
}

/// Whether the request comes from a page of this listener.
fn is_own(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let own = headers.get(HOST).and_then(|host| host.to_str().ok());
    let origin = origin.to_str().ok().and_then(|origin| Some(origin.split_once("://")?.1));
    matches!((own, origin), (Some(own), Some(origin)) if own.eq_ignore_ascii_case(origin))
}

/// Returns the page, or 403 with the reason.
pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.refusal(&request) {
        None => next.run(request).await,
        Some(reason) => {
            tracing::debug!("refused {} {}: {reason}", request.method(), request.uri().path());
            (StatusCode::FORBIDDEN, format!("access denied: {reason}\n")).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn refusal(path: &str, headers: &[(&str, &str)]) -> Option<String> {
        let guard = Guard::new(vec!["registry.example".to_owned()], vec!["/metrics".to_owned()]);
        let mut request = Request::builder().method("POST").uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        guard.refusal(&request.body(Body::empty()).unwrap())
    }

    #[test]
    fn requests_from_another_site_are_refused_everywhere() {
        for path in ["/debug/gc", "/metrics"] {
            for (name, value) in [
                ("origin", "https://evil.example"),
                ("origin", "null"),
                ("origin", "http://127.0.0.1:5002"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-site", "same-site"),
            ] {
                assert!(refusal(path, &[("host", "127.0.0.1:5001"), (name, value)]).is_some(), "{value}");
            }
            let own = [
                ("host", "127.0.0.1:5001"),
                ("origin", "http://127.0.0.1:5001"),
                ("sec-fetch-site", "same-origin"),
            ];
            assert_eq!(refusal(path, &own), None);
        }
    }

    #[test]
    fn our_own_pages_accept_only_known_host_names() {
        for known in ["127.0.0.1:5001", "[::1]:5001", "10.1.2.3", "LOCALHOST:80", "registry.example:5001"] {
            assert_eq!(refusal("/debug/config", &[("host", known)]), None, "{known}");
        }
        for unknown in [
            "evil.example",
            "127.0.0.1.evil.example:5001",
            "localhost.evil.example",
            "a@127.0.0.1",
            "",
            "x y",
        ] {
            let reason = refusal("/debug/config", &[("host", unknown)]).unwrap();
            assert!(reason.contains("http.debug.hosts"), "{unknown}: {reason}");
            assert_eq!(refusal("/metrics", &[("host", unknown)]), None, "{unknown}");
        }
        assert!(refusal("/debug/gc", &[("host", "localhost"), ("host", "evil.example")]).is_some());
        assert!(refusal("http://evil.example/debug/gc", &[]).is_some());
        assert_eq!(refusal("/debug/gc", &[]), None, "a browser always sends a host name");
    }
}
