//! TLS settings of a configuration.

use std::path::PathBuf;

/// The `http.tls` section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsSettings {
    /// `certificate`: a PEM file with the server's certificate, followed by its chain.
    pub certificate: PathBuf,
    /// `key`: a PEM file with the certificate's private key.
    pub key: PathBuf,
    /// `minimumtls`: the oldest accepted version.
    pub minimum_version: TlsVersion,
    /// `ciphersuites`: by Go's names; empty for the default.
    pub cipher_suites: Vec<String>,
    /// `clientcas`: PEM files with the roots for verifying client certificates; empty to request none.
    pub client_cas: Vec<PathBuf>,
    /// `clientauth`: the demand on clients if there are `client_cas`.
    pub client_auth: ClientAuth,
    /// Whether to offer HTTP/2: the inverse of `http.http2.disabled`.
    pub http2: bool,
}

/// A supported TLS version. Older ones are never accepted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// The demand on client certificates.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ClientAuth {
    /// Clients may present a certificate, which is not verified.
    Request,
    /// Clients must present a certificate, which is not verified.
    RequireAny,
    /// Clients may present a certificate, which must come from a configured authority.
    VerifyIfGiven,
    /// Clients must present a certificate from a configured authority.
    #[default]
    RequireAndVerify,
}

impl TlsSettings {
    /// Settings for a certificate and its key, with defaults for the rest.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
            minimum_version: TlsVersion::default(),
            cipher_suites: Vec::new(),
            client_cas: Vec::new(),
            client_auth: ClientAuth::default(),
            http2: true,
        }
    }
}
