//! The HTTP client for all outgoing requests.
//!
//! It follows no redirects, so it only connects to configured servers; [`RegistryClient`](crate::RegistryClient) follows
//! those of a registry by rules of its own. It honours the proxy variables of the
//! environment, as Distribution does. TLS is rustls with the system's certificates, or with those of a file
//! instead. On a machine without certificates, plain HTTP works, and TLS fails where it connects.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};
use rustls::CertificateError;

/// A client that cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// The certificate file is not readable.
    #[error("cannot read the certificates in {}", .path.display())]
    Read {
        /// The file's path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file contains no certificate, or a damaged one.
    #[error("{} has no usable certificate", .path.display())]
    Certificates {
        /// The file's path.
        path: PathBuf,
        /// The cause, if there is one.
        source: Option<reqwest::Error>,
    },
    /// The file contains no client certificate with its key.
    #[error("{} has no usable client certificate and key", .path.display())]
    Identity {
        /// The certificate's path.
        path: PathBuf,
        /// The cause.
        source: reqwest::Error,
    },
    /// TLS cannot be set up.
    #[error("cannot set up a client for outgoing requests")]
    Client(#[source] reqwest::Error),
}

/// A client whose requests time out after `timeout`. It trusts only the certificates in `authorities`, a PEM
/// file; without the file, those of the system. Blocks to read them.
///
/// # Errors
///
/// The certificates are not usable.
pub fn client(timeout: Duration, authorities: Option<&Path>) -> Result<Client, HttpClientError> {
    match authorities {
        Some(path) => {
            let builder = builder().timeout(timeout).tls_certs_only(certificates(path)?);
            builder.build().map_err(HttpClientError::Client)
        }
        None => build(|| builder().timeout(timeout)),
    }
}

/// A client that accepts any certificate.
///
/// # Errors
///
/// TLS cannot be set up.
pub fn insecure_client(timeout: Duration) -> Result<Client, HttpClientError> {
    let builder = builder().timeout(timeout).tls_danger_accept_invalid_certs(true);
    builder.build().map_err(HttpClientError::Client)
}

/// A client for the registry on this machine, over a unix socket if given. It connects to an address that the
/// certificate does not contain, so it accepts any certificate: do not send secrets.
///
/// # Errors
///
/// TLS cannot be set up.
pub fn local_client(timeout: Duration, socket: Option<&Path>) -> Result<Client, HttpClientError> {
    let mut builder = builder().timeout(timeout).tls_danger_accept_invalid_certs(true).no_proxy();
    if let Some(socket) = socket {
        builder = builder.unix_socket(socket);
    }
    builder.build().map_err(HttpClientError::Client)
}

/// The certificates in a PEM file; at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<Certificate>, HttpClientError> {
    let unusable = |source| HttpClientError::Certificates { path: path.to_owned(), source };
    let certificates = Certificate::from_pem_bundle(&read(path)?).map_err(|source| unusable(Some(source)))?;
    if certificates.is_empty() { Err(unusable(None)) } else { Ok(certificates) }
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, HttpClientError> {
    std::fs::read(path).map_err(|source| HttpClientError::Read { path: path.to_owned(), source })
}

/// Whether a client of this process was built without authorities, since the machine has none.
static LACKS_AUTHORITIES: AtomicBool = AtomicBool::new(false);

/// Builds a client; where the machine has no authorities, one that trusts none, for plain HTTP.
pub(crate) fn build(make: impl Fn() -> ClientBuilder) -> Result<Client, HttpClientError> {
    let built = match make().build() {
        Err(error) if find::<rustls::Error>(&error).is_some() => {
            LACKS_AUTHORITIES.store(true, Ordering::Relaxed);
            make().tls_certs_only([]).build()
        }
        built => built,
    };
    built.map_err(HttpClientError::Client)
}

/// The state that all clients share.
pub(crate) fn builder() -> ClientBuilder {
    Client::builder().redirect(Policy::none()).user_agent(concat!("sampan/", env!("CARGO_PKG_VERSION")))
}

/// Formats a request's error with its causes, and the remedy of a TLS error, in one line. Omits the URL: the caller knows
/// which one to show.
pub fn explain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    let remedy = match find::<rustls::Error>(&error) {
        Some(rustls::Error::InvalidCertificate(problem)) => trust_remedy(problem),
        Some(rustls::Error::InvalidMessage(_)) if error.is_connect() => Some(PLAIN_HTTP),
        _ => None,
    };
    if let Some(remedy) = remedy {
        text.push_str("; ");
        text.push_str(remedy);
    }
    text
}

/// The remedy where an `https://` URL leads to a server without TLS.
const PLAIN_HTTP: &str = "it seems to speak plain HTTP: use http://";

/// The remedy for a certificate whose authority is not trusted; `None` if trust would not help.
pub(crate) fn trust_remedy(problem: &CertificateError) -> Option<&'static str> {
    match problem {
        CertificateError::UnknownIssuer if LACKS_AUTHORITIES.load(Ordering::Relaxed) => {
            Some("install ca-certificates or set SSL_CERT_FILE, since this machine has no CA certificates")
        }
        CertificateError::UnknownIssuer => {
            Some("add its authority to those of this machine, or set SSL_CERT_FILE")
        }
        _ => None,
    }
}

/// Whether the error is about a certificate whose authority is not trusted.
pub fn is_unknown_issuer(error: &reqwest::Error) -> bool {
    let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
    find::<rustls::Error>(error).is_some_and(|error| *error == unknown)
}

/// A cause of a type, also within an I/O error.
pub(crate) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // The source of an I/O error is that of its content.
        let content = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = match content {
            Some(content) => Some(content as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}
