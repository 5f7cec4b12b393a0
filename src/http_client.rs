//! Requests that we make ourselves: the client for them, made in one way everywhere.
//!
//! No redirect is followed: what is configured is where we go. The proxy variables of the environment are heeded, as
//! Distribution does. TLS is rustls with the certificates of the system, or with those of a file in their place.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};

/// A client that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// The file of certificates cannot be read.
    #[error("cannot read the certificates in {}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The file has none, or a damaged one.
    #[error("{} has no certificate that can be used", .path.display())]
    Certificates {
        /// Which file.
        path: PathBuf,
        /// What went wrong, if there was anything.
        source: Option<reqwest::Error>,
    },
    /// TLS cannot be set up.
    #[error("a client for outgoing requests cannot be set up")]
    Client(#[source] reqwest::Error),
}

/// A client whose requests are given up after `timeout`. It trusts the certificates in `authorities`, a PEM file, and no
/// others; without the file, those of the system. Reading them blocks.
///
/// # Errors
///
/// When the certificates cannot be used.
pub fn client(timeout: Duration, authorities: Option<&Path>) -> Result<Client, HttpClientError> {
    let mut builder = builder(timeout);
    if let Some(path) = authorities {
        let unusable = |source| HttpClientError::Certificates { path: path.to_owned(), source };
        let pem =
            std::fs::read(path).map_err(|source| HttpClientError::Read { path: path.to_owned(), source })?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|source| unusable(Some(source)))?;
        if certificates.is_empty() {
            return Err(unusable(None));
        }
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().map_err(HttpClientError::Client)
}

/// A client for the registry of this machine, over a Unix socket if one is given. It is asked by an address that its certificate
/// does not name: any certificate will do, and nothing secret may be sent.
///
/// # Errors
///
/// When TLS cannot be set up.
pub fn local_client(timeout: Duration, socket: Option<&Path>) -> Result<Client, HttpClientError> {
    let mut builder = builder(timeout).tls_danger_accept_invalid_certs(true).no_proxy();
    if let Some(socket) = socket {
        builder = builder.unix_socket(socket);
    }
    builder.build().map_err(HttpClientError::Client)
}

/// A client that believes any certificate, for a user at a terminal who asks for it.
///
/// # Errors
///
/// When TLS cannot be set up.
pub fn insecure_client(timeout: Duration) -> Result<Client, HttpClientError> {
    builder(timeout).tls_danger_accept_invalid_certs(true).build().map_err(HttpClientError::Client)
}

fn builder(timeout: Duration) -> ClientBuilder {
    Client::builder()
        .timeout(timeout)
        .redirect(Policy::none())
        .user_agent(concat!("sampan/", env!("CARGO_PKG_VERSION")))
}

/// What went wrong with a request, with its causes, in one line. It names no URL: the caller knows which one to show.
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
