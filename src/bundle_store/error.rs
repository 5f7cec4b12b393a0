//! Why bundles cannot be served.

use std::path::{Path, PathBuf};

use sampan_engine::oci::Digest;

/// The result of opening bundles.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why bundles cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A bundle cannot be read, or is damaged.
    #[error("{}", in_file(path, source))]
    Bundle {
        /// The file, without the number of a part.
        path: PathBuf,
        /// The problem.
        #[source]
        source: sampan_bundle::Error,
    },
    /// A bundle presumes content that no other one carries.
    #[error(
        "{} presumes {} that no bundle here carries, the first is {}: name the bundles that have the rest as well",
        path.display(), amount(missing), missing[0]
    )]
    PresumedMissing {
        /// The file, without the number of a part.
        path: PathBuf,
        /// The content; at least one digest.
        missing: Vec<Digest>,
    },
    /// A thread of this process failed.
    #[error("the bundles could not be read")]
    Thread(#[from] tokio::task::JoinError),
}

/// The problem, and the file unless the problem names it.
fn in_file(path: &Path, source: &sampan_bundle::Error) -> String {
    match source.names_file() {
        true => source.to_string(),
        false => format!("{}: {source}", path.display()),
    }
}

fn amount(digests: &[Digest]) -> String {
    match digests.len() {
        1 => "one blob".to_owned(),
        count => format!("{count} blobs"),
    }
}
