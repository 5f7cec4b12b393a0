//! Why keys for tokens cannot be used.

use std::io;
use std::path::PathBuf;

use crate::auth::InvalidParameter;
use crate::files::how_to_make_readable;
use crate::http_client::HttpClientError;

/// Keys, or an address, that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The realm or the service cannot be sent to clients.
    #[error(transparent)]
    Parameter(#[from] InvalidParameter),
    /// A file cannot be read.
    #[error("cannot read auth.token.{key} {}: {}", .path.display(), how_to_make_readable(.source))]
    Read {
        /// The key of the configuration.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A file or an answer has no key that can be used.
    #[error("auth.token.{key}, {place}, cannot be used: {problem}")]
    Unusable {
        /// The key of the configuration.
        key: &'static str,
        /// The file or URL.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The keys could not be fetched.
    #[error("the keys of auth.token.jwks could not be fetched from {url}: {problem}")]
    Fetch {
        /// From where.
        url: String,
        /// What went wrong.
        problem: String,
    },
    /// The certificates for fetching keys cannot be used.
    #[error("auth.token.jwksca")]
    Authorities(#[from] HttpClientError),
}
