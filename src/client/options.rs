//! `ClientOptions`: credentials, TLS, trust and patience of a client.

use std::path::PathBuf;
use std::time::Duration;

use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::limits::Limits;
use crate::retry::RetryPolicy;

/// The settings of a [`RegistryClient`](crate::RegistryClient). The default is anonymous, verifies TLS, and retries.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// The source of user and password.
    pub credentials: Credentials,
    /// Certificates and their verification.
    pub tls: TlsOptions,
    /// Which registries may be spoken to without TLS.
    pub plain_http: PlainHttp,
    /// Further hosts whose token servers get the credentials; any port of them.
    pub trusted_realms: Vec<String>,
    /// Hosts at internal addresses that the registry may redirect to; any port of them.
    pub redirect_hosts: Vec<String>,
    /// How requests are repeated.
    pub retry: RetryPolicy,
    /// How long a server may be silent.
    pub timeouts: Timeouts,
    /// The most that a server may send.
    pub limits: Limits,
    /// The clock of retries and tokens.
    pub clock: Clock,
}

/// When a registry is spoken to over http.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum PlainHttp {
    /// If its address begins with `http://`; and on this machine, where no TLS is spoken.
    #[default]
    WhenNamed,
    /// Also where an address has no scheme and the host speaks no TLS. A certificate that is not trusted stays an error.
    Fallback,
}

/// Certificates. A field that is `None` is not used.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// A PEM file of authorities to trust besides those of the system.
    pub authorities: Option<PathBuf>,
    /// A PEM file with the client's certificate and its chain; the registry alone sees it.
    pub client_certificate: Option<PathBuf>,
    /// A PEM file with the key of the certificate; `None` if the certificate's file has it.
    pub client_key: Option<PathBuf>,
    /// Whether the servers' certificates are verified.
    pub verification: Verification,
}

/// Whether certificates are verified.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Verification {
    /// Verified.
    #[default]
    Full,
    /// Any certificate is accepted, so anyone on the way can read the password and change what has no digest.
    None,
}

/// The longest silences of a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// To connect, TLS included.
    pub connect: Duration,
    /// From a request to the headers of its answer, except for those of `commit`.
    pub answer: Duration,
    /// Between two pieces of a body, in either direction.
    pub stall: Duration,
    /// For each MiB of an answer's body, and for the rest: single bytes in time do not keep a request for ever.
    pub per_mebibyte: Duration,
    /// From the last byte of an upload or a manifest to its answer: the registry may copy and sync the blob meanwhile.
    pub commit: Duration,
}

impl Timeouts {
    /// From a request for a token to the end of its answer, redirects included: half as long again as for the headers of one
    /// answer. Other requests wait for the token meanwhile.
    pub(crate) fn token(&self) -> Duration {
        self.answer.saturating_add(self.answer / 2)
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(60),
            stall: Duration::from_secs(60),
            per_mebibyte: Duration::from_secs(600),
            commit: Duration::from_secs(600),
        }
    }
}
