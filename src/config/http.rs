//! The section `http`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::Secret;
use super::values::{ByteSize, ExternalUrl, ListenAddress, PathPrefix, ProxyNetwork, duration, words};

/// How the registry is reached.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Where to listen.
    pub addr: ListenAddress,
    /// What kind of address that is; [`load`](super::Config::load) has checked that it is.
    pub net: Net,
    /// The address that clients use; beats every forwarded header.
    pub host: Option<ExternalUrl>,
    /// The path before `/v2/`.
    pub prefix: PathPrefix,
    /// Signs the state that uploads hand to clients; replicas must share it.
    pub secret: Option<Secret<String>>,
    /// Whether `Location` headers leave out scheme and host.
    pub relativeurls: bool,
    /// How long running requests may take to end at shutdown.
    #[serde(deserialize_with = "duration")]
    pub draintimeout: Duration,
    /// Certificates; none means plaintext.
    pub tls: Option<TlsConfig>,
    /// Added to all responses.
    #[serde(default)]
    pub headers: BTreeMap<String, Vec<String>>,
    /// The proxies that are believed when they say where a request comes from; Distribution believes everybody.
    #[serde(default)]
    pub trustedproxies: Vec<ProxyNetwork>,
    /// HTTP/2 over TLS.
    pub http2: Http2Config,
    /// HTTP/2 in plaintext.
    pub h2c: H2cConfig,
    /// The second listener, for health and metrics.
    pub debug: Option<DebugConfig>,
    /// What one client may ask for.
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
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Authorities that may sign client certificates, PEM.
    #[serde(default)]
    pub clientcas: Vec<PathBuf>,
    /// What is asked of clients when `clientcas` is given.
    pub clientauth: ClientAuth,
    /// The oldest version that is spoken.
    pub minimumtls: TlsVersion,
    /// Cipher suites by their Go names; empty means the secure ones.
    #[serde(default)]
    pub ciphersuites: Vec<String>,
    /// Certificates fetched by ACME; not served.
    pub letsencrypt: Option<LetsEncryptConfig>,
}

words! {
    /// What is asked of clients' certificates.
    pub enum ClientAuth {
        /// Ask, and take anything.
        RequestClientCert = "request-client-cert",
        /// Insist on one, and take any.
        RequireAnyClientCert = "require-any-client-cert",
        /// Verify it if there is one.
        VerifyClientCertIfGiven = "verify-client-cert-if-given",
        /// Insist on one that verifies.
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
    /// The directory of fetched certificates.
    pub cachefile: Option<PathBuf>,
    /// Whom to write to.
    pub email: Option<String>,
    /// The names to fetch certificates for.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The ACME server.
    pub directoryurl: Option<String>,
}

/// `http.http2`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Http2Config {
    /// Whether HTTP/2 is left out.
    pub disabled: bool,
}

/// `http.h2c`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct H2cConfig {
    /// Whether HTTP/2 is spoken without TLS.
    pub enabled: bool,
}

/// `http.debug`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct DebugConfig {
    /// Where the debug server listens.
    pub addr: Option<ListenAddress>,
    /// Names that lead to it, besides addresses and those that are known anyway. Ours.
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
    /// Under which path.
    pub path: String,
    /// How many repositories have counters of their own; Distribution has none.
    pub repositories: usize,
}

/// `http.limits`, which Distribution does not have: what one client may ask for.
///
/// None of them limits how long a transfer may take as long as it is not slower than `minbodyspeed`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// How long a request's head may take to arrive.
    #[serde(deserialize_with = "duration")]
    pub headertimeout: Duration,
    /// How long a connection may rest between requests.
    #[serde(deserialize_with = "duration")]
    pub idletimeout: Duration,
    /// How long a body may stand still.
    #[serde(deserialize_with = "duration")]
    pub readtimeout: Duration,
    /// How many bytes a second a body must move; 0 means that any will do.
    pub minbodyspeed: ByteSize,
    /// How many connections are open at once; 0 means as many as files may be open for.
    pub maxconnections: usize,
    /// How many of them one address may have; 0 means no limit.
    pub connectionsperaddress: usize,
    /// How large a manifest may be.
    pub maxmanifestsize: ByteSize,
    /// How many uploads one address may have under way; 0 means no limit.
    pub uploadsperaddress: usize,
}
