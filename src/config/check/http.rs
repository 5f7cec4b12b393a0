//! Checks `http`: addresses, headers, TLS and the pages of the debug listener.

use super::diagnostics::{Diagnostics, is_header};
use crate::values::ListenAddress;
use crate::{HttpConfig, Net, Origin, TlsVersion};

impl Diagnostics<'_> {
    pub(super) fn http(&mut self, http: &HttpConfig) {
        self.address(http);
        self.headers(http);
        self.tls(http);
        self.debug(http);
    }

    fn address(&mut self, http: &HttpConfig) {
        match (http.net, &http.addr) {
            (Net::Tcp, ListenAddress::Tcp { .. }) | (Net::Unix, ListenAddress::Unix(_)) => {}
            (Net::Tcp, ListenAddress::Unix(path)) => self.mistake(
                "http.addr",
                format!("expected `host:port`, such as `:5000` or `127.0.0.1:5000`, found `{}`", path.display()),
            ),
            (Net::Unix, address) => self.mistake(
                "http.net",
                format!(
                    "with `net: unix`, `http.addr` must be the path of a socket, such as `/run/registry.sock`, not \
                     `{address}`"
                ),
            ),
        }
    }

    fn headers(&mut self, http: &HttpConfig) {
        for (name, values) in &http.headers {
            let path = format!("http.headers.{name}");
            if !is_header(name, values.iter().map(String::as_str)) {
                self.mistake(&path, "is not a valid HTTP header".to_owned());
            }
        }
    }

    fn tls(&mut self, http: &HttpConfig) {
        let Some(tls) = &http.tls else { return };
        let chosen = |path| self.tree.at(path).is_some_and(|node| node.origin != Origin::Default);
        if tls.clientcas.is_empty() && chosen("http.tls.clientauth") {
            self.warning("http.tls.clientauth", "has no effect without `clientcas`");
        }
        if tls.minimumtls == TlsVersion::Tls13 && !tls.ciphersuites.is_empty() {
            self.warning(
                "http.tls.ciphersuites",
                "has no effect with `minimumtls: tls1.3`, whose suites are fixed",
            );
        }
        if http.h2c.enabled {
            self.warning("http.h2c.enabled", "has no effect with TLS, which negotiates HTTP/2 by itself");
        }
    }

    fn debug(&mut self, http: &HttpConfig) {
        let Some(debug) = &http.debug else { return };
        let path = debug.prometheus.path.as_str();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        if !path.starts_with('/') || !path.bytes().all(plain) {
            self.mistake(
                "http.debug.prometheus.path",
                format!("expected a path that begins with a slash, such as `/metrics`, found `{path}`"),
            );
        } else if path.starts_with("/debug/") || path == "/livez" || path == "/readyz" {
            self.mistake(
                "http.debug.prometheus.path",
                format!("`{path}` is another page of the debug server; use `/metrics`"),
            );
        }
    }
}
