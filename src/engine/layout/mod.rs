//! Where everything is in the store: `Entry` ⇄ `DriverPath`, both directions, for every file of Distribution's layout.
//!
//! ```text
//! /docker/registry/v2/
//!   blobs/<alg>/<hex[0:2]>/<hex>/data                        a blob or manifest, verbatim
//!   repositories/<name…>/
//!     _layers/<alg>/<hex>/link                               the blob can be pulled from this repository
//!     _manifests/revisions/<alg>/<hex>/link                  the manifest can be pulled from this repository
//!     _manifests/tags/<tag>/current/link                     what the tag points at
//!     _manifests/tags/<tag>/index/<alg>/<hex>/link           what the tag ever pointed at
//!     _uploads/<id>/{data,startedat,hashstates/<alg>/<n>}    an upload in progress
//!     _sampan/digests/<tag>                                  the digest by which the tag was pushed, if that is no sha256 one
//!     _sampan/referrers/<alg>/<hex>/<alg>/<hex>              the second manifest is attached to the first by its `subject`
//!     _sampan/referrers/complete                             there is such an entry for each attached manifest
//!     _sampan/removals/manifests/<alg>/<hex>/<uuid>          a deletion is about to remove the manifest
//!     _sampan/removals/tags/<tag>/<uuid>                     a deletion is about to remove the tag; Distribution does not look here
//! /docker/registry/sampan/gc/last                            collections of garbage; Distribution does not look here
//! /docker/registry/sampan/gc/{run,doomed}-<run>-<number>     the collection in progress, and what it is about to delete
//! /docker/registry/sampan/purge/<number>                     a purge of uploads; the last one is due an interval before the next
//! ```
//!
//! No other module writes or reads a path. Content is stored under its sha256 digest; a link of another algorithm is an
//! alias whose content is the sha256 digest, as Distribution has it.

mod directories;
mod entry;

pub use directories::*;
pub use entry::Entry;

use sampan_driver::DriverPath;

use crate::oci::{Algorithm, Digest, RepositoryName};

const BLOBS: &str = "/docker/registry/v2/blobs";
const REPOSITORIES: &str = "/docker/registry/v2/repositories";
const COLLECTION: &str = "/docker/registry/sampan/gc";
const PURGES: &str = "/docker/registry/sampan/purge";

/// The name of the marker beside the entries of an index of referrers.
pub(crate) const COMPLETE: &str = "complete";

/// What the directory of a tag holds if it is one, and no leftover of a crash.
pub(crate) const TAG_LINK: &str = "current/link";

// Every pull comes through these, so the texts are joined and not formatted.

fn blob_directory(digest: &Digest) -> String {
    [BLOBS, digest.algorithm().as_str(), &digest.hex()[..2], digest.hex()].join("/")
}

fn layer_directory(name: &RepositoryName, digest: &Digest) -> String {
    [REPOSITORIES, name.as_str(), "_layers", digest.algorithm().as_str(), digest.hex()].join("/")
}

fn revision_directory(name: &RepositoryName, digest: &Digest) -> String {
    [REPOSITORIES, name.as_str(), "_manifests/revisions", digest.algorithm().as_str(), digest.hex()].join("/")
}

fn referrer_directory(name: &RepositoryName, subject: &Digest, algorithm: Algorithm) -> String {
    let (of, hex) = (subject.algorithm().as_str(), subject.hex());
    [REPOSITORIES, name.as_str(), "_sampan/referrers", of, hex, algorithm.as_str()].join("/")
}

#[expect(
    clippy::expect_used,
    reason = "names, tags, digests and ids are made of characters that a path may have"
)]
fn path(text: String) -> DriverPath {
    text.parse().expect("invariant: every noun of the layout is made of valid path components")
}
