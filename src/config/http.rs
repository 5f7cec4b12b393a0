//! The section `http`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::findings::{Findings, is_header};
use super::key::{Key, Kind, Unserved};
use super::section::section;
use super::values::{ByteSize, ExternalUrl, ListenAddress, PathPrefix, ProxyNetwork, words};
use super::{Origin, Secret};

section! {
    /// The addresses, certificates and limits of the HTTP server.
    pub struct HttpConfig {
        /// The address to listen on: `:5000`, `localhost:5000`, `[::]:5000`, or the path of a socket.
        pub addr: ListenAddress = ":5000",
        /// The kind of that address: `tcp` or `unix`.
        pub net: Net = "tcp",
        /// The full URL that clients use, such as `https://registry.example.com`; takes precedence over the headers of proxies.
        pub host: Option<ExternalUrl>,
        /// The path before `/v2/`.
        pub prefix: PathPrefix = "/",
        /// Seals logins of the web page if `access.tokens` has no signing key, so that they last over restarts and at all replicas.
        /// Nothing else needs it: no state is kept in URLs.
        pub secret: Option<Secret<String>>,
        /// Leaves scheme and host out of `Location`.
        pub relativeurls: bool = "false",
        /// How long running requests may take to end at shutdown.
        pub draintimeout: Duration = "0s",
        /// Certificates; without the section, the registry serves plaintext.
        pub tls: Option<TlsConfig>; never_blank(
            "give `certificate` and `key`, or remove the section and its variables to serve without TLS"
        ),
        /// A map of header names to lists of values; added to all responses that do not have them.
        pub headers: BTreeMap<String, Vec<String>>,
        /// Networks (`10.0.0.0/8`), addresses or `unix`. The registry believes only these when they say where a request comes
        /// from (`X-Forwarded-For`, `X-Real-Ip`, `Forwarded`), and, if there is one, by what name clients came
        /// (`X-Forwarded-Host`, `X-Forwarded-Proto`).
        pub trustedproxies: Vec<ProxyNetwork>; ours,
        /// HTTP/2 over TLS.
        pub http2: Http2Config,
        /// HTTP/2 in plaintext.
        pub h2c: H2cConfig,
        /// The second listener, for health and metrics.
        pub debug: Option<DebugConfig>,
        /// Limits for a single client.
        pub limits: LimitsConfig; ours,
    }
}

words! {
    /// The kind of socket.
    pub enum Net {
        /// TCP.
        Tcp = "tcp",
        /// A Unix domain socket.
        Unix = "unix",
    }
}

section! {
    /// `http.tls`.
    pub struct TlsConfig {
        /// The chain, PEM, the server's own certificate first.
        pub certificate: PathBuf,
        /// Its private key, PEM.
        pub key: PathBuf,
        /// Authorities, PEM, that may sign clients' certificates.
        pub clientcas: Vec<PathBuf>,
        /// With `clientcas`: `request-client-cert`, `require-any-client-cert`, `verify-client-cert-if-given` or
        /// `require-and-verify-client-cert`.
        pub clientauth: ClientAuth = "require-and-verify-client-cert",
        /// `tls1.2` or `tls1.3`.
        pub minimumtls: TlsVersion = "tls1.2",
        /// Suites by their Go names; none means all that are secure.
        pub ciphersuites: Vec<String>,
        key Key::new("letsencrypt", Kind::Optional(LETS_ENCRYPT)).meaning("error").unserved(Unserved {
            below: "",
            asks: |_| true,
            message: "this version fetches no certificates; give `certificate` and `key`, which it reads again when they change",
        }),
    }
}

const LETS_ENCRYPT: &[Key] = &[
    Key::of::<Option<PathBuf>>("cachefile"),
    Key::of::<Option<String>>("email"),
    Key::of::<Vec<String>>("hosts"),
    Key::of::<Option<String>>("directoryurl"),
];

words! {
    /// The demand on clients' certificates.
    pub enum ClientAuth {
        /// Request one, and accept any or none without verifying it.
        RequestClientCert = "request-client-cert",
        /// Require one, and accept any without verifying it.
        RequireAnyClientCert = "require-any-client-cert",
        /// Verify one if the client sends it.
        VerifyClientCertIfGiven = "verify-client-cert-if-given",
        /// Require one that verifies.
        RequireAndVerifyClientCert = "require-and-verify-client-cert",
    }
}

words! {
    /// A version of TLS. The registry never accepts an older one.
    pub enum TlsVersion {
        /// 1.2.
        Tls12 = "tls1.2",
        /// 1.3.
        Tls13 = "tls1.3",
    }
}

section! {
    /// `http.http2`.
    pub struct Http2Config {
        /// Leaves out HTTP/2.
        pub disabled: bool = "false",
    }
}

section! {
    /// `http.h2c`.
    pub struct H2cConfig {
        /// Speaks HTTP/2 without TLS.
        pub enabled: bool = "false",
    }
}

section! {
    /// `http.debug`.
    pub struct DebugConfig {
        /// The address of the debug server, which asks for no password: health, metrics, the effective configuration.
        pub addr: Option<ListenAddress>,
        /// Names that lead to it, besides addresses, `localhost`, this machine's name and those of `http.debug.addr` and
        /// `http.host`; `/debug/…` other than `/debug/health` answers to no other, see
        /// [operating.md](operating.md#what-to-look-at).
        pub hosts: Vec<String>; ours,
        /// Metrics.
        pub prometheus: PrometheusConfig,
    }
}

section! {
    /// `http.debug.prometheus`.
    pub struct PrometheusConfig {
        /// Serves metrics there.
        pub enabled: bool = "false",
        /// The path of the metrics.
        pub path: String = "/metrics",
        /// The number of repositories with counters of their own, in the order in which they are first used; the others share
        /// one.
        pub repositories: usize = "0"; ours,
    }
}

section! {
    /// `http.limits`: limits for a single client.
    ///
    /// None of them limits the duration of a transfer that is at least as fast as `minbodyspeed`.
    pub struct LimitsConfig {
        /// How long a request's headers may take to arrive.
        pub headertimeout: Duration = "30s",
        /// How long a connection may be idle between requests.
        pub idletimeout: Duration = "2m",
        /// How long a body may pause.
        pub readtimeout: Duration = "1m",
        /// How many bytes a second a client must send of a request's body, or take of an answer's; it may be behind by what it
        /// could have moved within `readtimeout`. 0 accepts any speed above none.
        pub minbodyspeed: ByteSize = "1KiB",
        /// How many connections are open at once; idle ones are closed for new ones. 0 means as many as the limit of open files
        /// has room for.
        pub maxconnections: usize = "4096",
        /// How many of them one address may have, or one network of IPv6 (/64); not for `http.trustedproxies`, nor unix
        /// sockets; 0 means no limit.
        pub connectionsperaddress: usize = "1024",
        /// How large a manifest may be.
        pub maxmanifestsize: ByteSize = "4MiB",
        /// How many uploads one address, or network of IPv6 (/64), may have open, those of manifests included, and as many
        /// forms besides; 0 means no limit.
        pub uploadsperaddress: usize = "100",
    }
}

/// The headers that the server sets for each answer by itself.
const FRAMING: [&str; 5] = ["Connection", "Content-Length", "Trailer", "Transfer-Encoding", "Upgrade"];

impl HttpConfig {
    /// Checks addresses, headers, TLS and the pages of the debug listener.
    pub(crate) fn check(&self, found: &mut Findings<'_>) {
        self.check_address(found);
        for (name, values) in &self.headers {
            if !is_header(name, values.iter().map(String::as_str)) {
                found.mistake(&format!("http.headers.{name}"), "is not a valid HTTP header");
            } else if FRAMING.iter().any(|framing| name.eq_ignore_ascii_case(framing)) {
                found.mistake(
                    &format!("http.headers.{name}"),
                    "says where an answer ends, which differs for each: remove it",
                );
            }
        }
        self.limits.check(found);
        if let Some(tls) = &self.tls {
            tls.check(found);
            if self.h2c.enabled {
                found
                    .warning("http.h2c.enabled", "has no effect with TLS, which negotiates HTTP/2 by itself");
            }
        }
        if let Some(debug) = &self.debug {
            debug.prometheus.check(found);
            if let Some(address) = debug.addr.as_ref().filter(|address| address.collides_with(&self.addr)) {
                found.mistake(
                    "http.debug.addr",
                    format!("`{address}` is taken by `http.addr: {}`: choose another port", self.addr),
                );
            }
        }
    }

    fn check_address(&self, found: &mut Findings<'_>) {
        match (self.net, &self.addr) {
            (Net::Tcp, ListenAddress::Tcp { .. }) | (Net::Unix, ListenAddress::Unix(_)) => {}
            (Net::Tcp, ListenAddress::Unix(path)) => {
                let path_shown = path.display();
                let remedy = match path.is_absolute() {
                    true => "; the path of a socket needs `http.net: unix`",
                    false => "",
                };
                found.mistake(
                    "http.addr",
                    format!("expected `host:port`, such as `:5000` or `127.0.0.1:5000`, found `{path_shown}`{remedy}"),
                );
            }
            (Net::Unix, address) => found.mistake(
                "http.net",
                format!(
                    "with `net: unix`, `http.addr` must be the path of a socket, such as `/run/registry.sock`, not \
                     `{address}`"
                ),
            ),
        }
    }
}

impl LimitsConfig {
    fn check(&self, found: &mut Findings<'_>) {
        let zero = "must be longer than zero, since no request would be in time";
        if self.headertimeout.is_zero() {
            found.mistake("http.limits.headertimeout", zero);
        }
        if self.readtimeout.is_zero() {
            found.mistake("http.limits.readtimeout", zero);
        }
        if self.maxmanifestsize.0 == 0 {
            found.mistake(
                "http.limits.maxmanifestsize",
                "must be more than zero, since every push would fail",
            );
        }
    }
}

impl TlsConfig {
    /// Whether a client without a certificate is refused.
    pub fn requires_certificates(&self) -> bool {
        let requires = matches!(
            self.clientauth,
            ClientAuth::RequireAnyClientCert | ClientAuth::RequireAndVerifyClientCert
        );
        requires && !self.clientcas.is_empty()
    }

    /// Whether a certificate that a client presents must lead to `clientcas`.
    pub fn verifies_clients(&self) -> bool {
        let verifies = match self.clientauth {
            ClientAuth::RequireAndVerifyClientCert | ClientAuth::VerifyClientCertIfGiven => true,
            ClientAuth::RequireAnyClientCert | ClientAuth::RequestClientCert => false,
        };
        verifies && !self.clientcas.is_empty()
    }

    fn check(&self, found: &mut Findings<'_>) {
        let is_chosen = |path| found.tree.at(path).is_some_and(|node| node.origin != Origin::Default);
        if self.clientcas.is_empty() && is_chosen("http.tls.clientauth") {
            found.warning("http.tls.clientauth", "has no effect without `clientcas`");
        }
        if self.minimumtls == TlsVersion::Tls13 && !self.ciphersuites.is_empty() {
            found.warning(
                "http.tls.ciphersuites",
                "has no effect with `minimumtls: tls1.3`, whose suites are fixed",
            );
        }
    }
}

impl PrometheusConfig {
    fn check(&self, found: &mut Findings<'_>) {
        let path = self.path.as_str();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        if !path.starts_with('/') || !path.bytes().all(plain) {
            found.mistake(
                "http.debug.prometheus.path",
                format!("expected a path that begins with a slash, such as `/metrics`, found `{path}`"),
            );
        } else if path.starts_with("/debug/") || path == "/livez" || path == "/readyz" {
            found.mistake(
                "http.debug.prometheus.path",
                format!("`{path}` is another page of the debug server; use `/metrics`"),
            );
        }
    }
}
