//! What a configuration says about TLS.

use std::path::PathBuf;

/// The `http.tls` section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsSettings {
    /// `certificate`: a PEM file with the server's certificate, and after it those that lead to its root.
    pub certificate: PathBuf,
    /// `key`: a PEM file with the certificate's private key.
    pub key: PathBuf,
    /// `minimumtls`: the oldest version spoken.
    pub minimum_version: TlsVersion,
    /// `ciphersuites`: by the names Go gives them; empty for the default.
    pub cipher_suites: Vec<String>,
    /// `clientcas`: PEM files with the roots client certificates are verified against; empty to ask for none.
    pub client_cas: Vec<PathBuf>,
    /// `clientauth`: what is asked of clients if there are `client_cas`.
    pub client_auth: ClientAuth,
    /// Whether HTTP/2 is offered: not `http.http2.disabled`.
    pub http2: bool,
}

/// A version of TLS that is spoken. Older ones are not, whatever is configured.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// What is asked of clients.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ClientAuth {
    /// They may show a certificate, which is not verified.
    Request,
    /// They must show a certificate, which is not verified.
    RequireAny,
    /// They may show a certificate, which must be of the configured authorities.
    VerifyIfGiven,
    /// They must show a certificate of the configured authorities.
    #[default]
    RequireAndVerify,
}

impl TlsSettings {
    /// Settings for a certificate and its key, with the defaults for everything else.
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
