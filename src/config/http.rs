//! The section `http`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::Secret;
use super::values::{ByteSize, ExternalUrl, ListenAddress, PathPrefix, ProxyNetwork, duration, words};

/// The addresses, certificates and limits of the HTTP server.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// The address to listen on.
    pub addr: ListenAddress,
    /// The kind of that address; [`load`](super::Config::load) checks that the two match.
    pub net: Net,
    /// The URL that clients use; takes precedence over every forwarded header.
    pub host: Option<ExternalUrl>,
    /// The path before `/v2/`.
    pub prefix: PathPrefix,
    /// The key that signs the upload state which clients carry; replicas must share it.
    pub secret: Option<Secret<String>>,
    /// Whether `Location` headers omit scheme and host.
    pub relativeurls: bool,
    /// How long running requests may take at shutdown.
    #[serde(deserialize_with = "duration")]
    pub draintimeout: Duration,
    /// Certificates; `None` means plaintext.
    pub tls: Option<TlsConfig>,
    /// Headers of every response.
    #[serde(default)]
    pub headers: BTreeMap<String, Vec<String>>,
    /// The proxies whose forwarded headers are trusted; Distribution trusts every client.
    #[serde(default)]
    pub trustedproxies: Vec<ProxyNetwork>,
    /// HTTP/2 over TLS.
    pub http2: Http2Config,
    /// HTTP/2 in plaintext.
    pub h2c: H2cConfig,
    /// The second listener, for health and metrics.
    pub debug: Option<DebugConfig>,
    /// Limits for a single client.
    pub limits: LimitsConfig,
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

/// `http.tls`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The path of the certificate chain, PEM.
    pub certificate: PathBuf,
    /// The path of its private key, PEM.
    pub key: PathBuf,
    /// Authorities that may sign client certificates, PEM.
    #[serde(default)]
    pub clientcas: Vec<PathBuf>,
    /// The demand on clients' certificates if `clientcas` is set.
    pub clientauth: ClientAuth,
    /// The oldest accepted version.
    pub minimumtls: TlsVersion,
    /// Cipher suites by their Go names; empty means the secure ones.
    #[serde(default)]
    pub ciphersuites: Vec<String>,
    /// Certificates from an ACME server; not supported.
    pub letsencrypt: Option<LetsEncryptConfig>,
}

words! {
    /// The demand on clients' certificates.
    pub enum ClientAuth {
        /// Request one; accept any or none.
        RequestClientCert = "request-client-cert",
        /// Require one; accept any.
        RequireAnyClientCert = "require-any-client-cert",
        /// Verify it if the client sends one.
        VerifyClientCertIfGiven = "verify-client-cert-if-given",
        /// Require one that verifies.
        RequireAndVerifyClientCert = "require-and-verify-client-cert",
    }
}

words! {
    /// A version of TLS.
    pub enum TlsVersion {
        /// 1.2.
        Tls12 = "tls1.2",
        /// 1.3.
        Tls13 = "tls1.3",
    }
}

/// `http.tls.letsencrypt`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct LetsEncryptConfig {
    /// The directory of the fetched certificates.
    pub cachefile: Option<PathBuf>,
    /// The contact address of the account.
    pub email: Option<String>,
    /// The names that need certificates.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The URL of the ACME server.
    pub directoryurl: Option<String>,
}

/// `http.http2`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Http2Config {
    /// Whether HTTP/2 over TLS is off.
    pub disabled: bool,
}

/// `http.h2c`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct H2cConfig {
    /// Whether HTTP/2 without TLS is on.
    pub enabled: bool,
}

/// `http.debug`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct DebugConfig {
    /// The address of the debug listener.
    pub addr: Option<ListenAddress>,
    /// Host names of the debug listener, besides IP addresses and the names that it always accepts. Not in Distribution.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Metrics.
    pub prometheus: PrometheusConfig,
}

/// `http.debug.prometheus`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PrometheusConfig {
    /// Whether metrics are served.
    pub enabled: bool,
    /// The path of the metrics.
    pub path: String,
    /// The number of repositories with counters of their own; Distribution has none.
    pub repositories: usize,
}

/// `http.limits`, which Distribution does not have: limits for a single client.
///
/// None of them limits the duration of a transfer that is at least as fast as `minbodyspeed`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// How long the headers of a request may take to arrive.
    #[serde(deserialize_with = "duration")]
    pub headertimeout: Duration,
    /// How long a connection may be idle between requests.
    #[serde(deserialize_with = "duration")]
    pub idletimeout: Duration,
    /// How long a body may pause.
    #[serde(deserialize_with = "duration")]
    pub readtimeout: Duration,
    /// The minimum speed of a body in bytes per second; 0 accepts any speed.
    pub minbodyspeed: ByteSize,
    /// The maximum number of open connections; 0 means as many as the limit of open files allows.
    pub maxconnections: usize,
    /// The maximum number of connections per address; 0 means no limit.
    pub connectionsperaddress: usize,
    /// The maximum size of a manifest.
    pub maxmanifestsize: ByteSize,
    /// The maximum number of open uploads per address; 0 means no limit.
    pub uploadsperaddress: usize,
}
