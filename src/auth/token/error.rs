//! `TokenError`: why keys for tokens are not usable.

use std::io;
use std::path::PathBuf;

use crate::auth::InvalidParameter;
use crate::file_watch::how_to_make_readable;
use crate::http_client::HttpClientError;

/// Keys or parameters that are not usable.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The realm or the service is not a valid header value.
    #[error(transparent)]
    Parameter(#[from] InvalidParameter),
    /// A file is not readable.
    #[error("cannot read auth.token.{key} {}: {}", .path.display(), how_to_make_readable(.source))]
    Read {
        /// The configuration key.
        key: &'static str,
        /// The file's path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file or response contains no usable key.
    #[error("auth.token.{key}, {place}, is not usable: {problem}")]
    Unusable {
        /// The configuration key.
        key: &'static str,
        /// The file or URL.
        place: String,
        /// The problem.
        problem: String,
    },
    /// Fetching the keys failed.
    #[error("cannot fetch the keys of auth.token.jwks from {url}: {problem}")]
    Fetch {
        /// The URL.
        url: String,
        /// The cause.
        problem: String,
    },
    /// The certificates for fetching keys are not usable.
    #[error("auth.token.jwksca")]
    Authorities(#[from] HttpClientError),
}
