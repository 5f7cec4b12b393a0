//! The HTTP client for all outgoing requests.
//!
//! It follows no redirects, so it only connects to configured servers; [`RegistryClient`](crate::RegistryClient) follows
//! those of a registry by rules of its own. It honours the proxy variables of the
//! environment, as Distribution does. TLS is rustls with the system's certificates, or with those of a file
//! instead.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};

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
    let mut builder = builder().timeout(timeout);
    if let Some(path) = authorities {
        builder = builder.tls_certs_only(certificates(path)?);
    }
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

/// What all clients have in common.
pub(crate) fn builder() -> ClientBuilder {
    Client::builder().redirect(Policy::none()).user_agent(concat!("sampan/", env!("CARGO_PKG_VERSION")))
}

/// Formats a request's error with its causes in one line. Omits the URL: the caller knows which one to show.
pub fn explain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
