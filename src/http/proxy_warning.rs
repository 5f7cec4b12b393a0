//! Detects proxies that omit forwarding headers, which would send an upload to another scheme or port.
//!
//! Warns once per process: such a proxy omits the header in every request.

use std::sync::Once;

use http::header::{FORWARDED, VIA};
use http::{HeaderMap, HeaderName};
use url::Url;

use super::headers::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO, X_REAL_IP};

static WARNED: Once = Once::new();

/// Logs, once, that the client that sent these headers may not reach `base`.
pub(super) fn warn_once(headers: &HeaderMap, base: &str) {
    if WARNED.is_completed() {
        return;
    }
    if let Some(warning) = diagnose(headers, base) {
        WARNED.call_once(|| tracing::warn!("{warning}"));
    }
}

fn diagnose(headers: &HeaderMap, base: &str) -> Option<String> {
    let traces =
        [FORWARDED, VIA, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO, X_REAL_IP];
    if !traces.iter().any(|trace| headers.contains_key(trace)) {
        return None;
    }
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let says_scheme = headers.contains_key(X_FORWARDED_PROTO)
        || text(&FORWARDED).is_some_and(|forwarded| forwarded.to_ascii_lowercase().contains("proto="));
    if !says_scheme && base.starts_with("http://") {
        return Some(format!(
            "the proxy does not say whether its clients use TLS, and uploads go to {base}: \
             let it set X-Forwarded-Proto, or set http.host"
        ));
    }
    let port: u16 = text(&X_FORWARDED_PORT)?.parse().ok()?;
    let sent_to = Url::parse(base).ok()?.port_or_known_default();
    (sent_to != Some(port)).then(|| {
        format!(
            "the proxy says that clients connect to its port {port}, but uploads go to {base}: \
             let it pass on Host with the port, or set http.host"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_header_is_named_with_the_remedy() {
        let check = |given: &[(&'static str, &str)], base: &str, expected: &str| {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.append(*name, value.parse().unwrap());
            }
            let warning = diagnose(&headers, base).unwrap_or_default();
            assert_eq!(warning.is_empty(), expected.is_empty(), "{given:?}: {warning}");
            assert!(warning.contains(expected), "{given:?}: {warning}");
        };
        let (plain, tls) = ("http://reg.example:5000", "https://reg.example");
        check(&[], plain, "");
        check(&[("x-forwarded-for", "192.0.2.1")], plain, "let it set X-Forwarded-Proto");
        check(&[("via", "1.1 proxy")], tls, "");
        check(&[("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "http")], plain, "");
        check(&[("forwarded", "for=192.0.2.1;Proto=https")], tls, "");
        check(&[("x-forwarded-proto", "https"), ("x-forwarded-port", "443")], tls, "");
        check(&[("x-forwarded-proto", "https"), ("x-forwarded-port", "8443")], tls, "its port 8443");
        check(&[("x-forwarded-proto", "https"), ("x-forwarded-port", "8443")], "", "");
    }
}
