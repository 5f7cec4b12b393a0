//! Where everything is in the store: `Entry` ⇄ `DriverPath`, both directions, for every file of Distribution's layout.
//!
//! ```text
//! /docker/registry/v2/
//!   blobs/<alg>/<hex[0:2]>/<hex>/data                        a blob or manifest, verbatim
//!   repositories/<name…>/
//!     _layers/<alg>/<hex>/link                               makes the blob visible in this repository
//!     _manifests/revisions/<alg>/<hex>/link                  makes the manifest visible in this repository
//!     _manifests/tags/<tag>/current/link                     the present target of the tag
//!     _manifests/tags/<tag>/index/<alg>/<hex>/link           a present or past target of the tag
//!     _uploads/<id>/{data,startedat,hashstates/<alg>/<n>}    an upload in progress
//!     _sampan/digests/<tag>                                  the digest of the tag's push, if that is no sha256 one
//!     _sampan/fetched/<alg>/<hex>                            the manifest was fetched from another registry
//!     _sampan/pushed/<alg>/<hex>                             a client pushed the manifest while this was a cache
//!     _sampan/referrers/<alg>/<hex>/<alg>/<hex>              the second manifest is attached to the first by its `subject`
//!     _sampan/referrers/complete                             there is such an entry for each attached manifest
//!     _sampan/removals/manifests/<alg>/<hex>/<uuid>          a deletion is about to remove the manifest
//!     _sampan/removals/tags/<tag>/<uuid>                     a deletion is about to remove the tag
//! /docker/registry/sampan/gc/last                            when the last completed collection began
//! /docker/registry/sampan/gc/{run,doomed}-<run>-<number>     the running collection, and its pending deletions
//! /docker/registry/sampan/access/tokens/<id>/record          an access token
//! /docker/registry/sampan/access/tokens/<id>/ends            when it ends, earlier than its record says
//! /docker/registry/sampan/access/tokens/<id>/used            when it was last used, roughly
//! /docker/registry/sampan/removed/<name…>/_tags/<tag>/<ms>-<alg>-<hex>   the tag was removed from that manifest
//! /docker/registry/sampan/purge/<number>                     a purge of uploads; the next is due an interval after the last
//! /docker/registry/sampan/id                                 tells the store from others of the same name
//! /docker/registry/sampan/reserve                            space for what frees space in a full store
//! /docker/registry/sampan/survey                             what a walk over the store found in each repository
//! /docker/registry/sampan/surveys/<number>                   a survey without a collection, as for purges
//! /docker/registry/sampan/verify/state                       how far the verification of the store has come
//! /docker/registry/sampan/verify/turns/<number>              a part of a verification, as for purges
//! /docker/registry/sampan/damaged/<alg>/<hex>/<ms>/{data,note}   damaged data that were moved aside, and why
//! /docker/registry/sampan/cache/offline/<uuid>               a process asks no other registry, so nothing is evicted
//! /docker/registry/sampan/cache/used/<uuid>                  when a process last used each manifest of a cache
//! /docker/registry/sampan/dates/<name…>/_tags                when tags were pushed in the store that a migration has copied
//! /docker/registry/sampan/migration/begun                    a migration fills this store
//! /docker/registry/sampan/migration/staged/<uuid>            a blob that it copies
//! /docker/registry/sampan/migration/tokens                   a restore copies the access tokens
//! /docker/registry/sampan/moved                              this store was moved elsewhere
//! /docker/registry/sampan/sync/<job>/<number>                a run of a job that copies from another registry, and its result
//! /docker/registry/sampan/snapshots/of                       this store holds backups of another
//! /docker/registry/sampan/snapshots/<seconds>                what that held at this time: repositories, manifests, tags
//! /scheduler-state.json                                      when Distribution's cache of another registry forgets what
//! ```
//!
//! Distribution ignores `_sampan` and `sampan`.
//! No other module writes or reads a path. The store keeps content under its sha256 digest; a link of another algorithm is an
//! alias that contains the sha256 digest, as in Distribution.

mod directories;
mod entry;
mod own;

pub use directories::*;
pub use entry::Entry;

use sampan_driver::DriverPath;

use crate::oci::{Algorithm, Digest, RepositoryName};

const BLOBS: &str = "/docker/registry/v2/blobs";
const REPOSITORIES: &str = "/docker/registry/v2/repositories";
/// The root of the files that belong to no repository and that Distribution ignores.
const OWN: &str = "/docker/registry/sampan/";
const CACHE_COMPARISONS: &str = "/docker/registry/sampan/cache/compared";
const CACHE_OFFLINE: &str = "/docker/registry/sampan/cache/offline";
const CACHE_USES: &str = "/docker/registry/sampan/cache/used";
const COLLECTION: &str = "/docker/registry/sampan/gc";
const ACCESS_TOKENS: &str = "/docker/registry/sampan/access/tokens";
const REMOVED: &str = "/docker/registry/sampan/removed";
const DATES: &str = "/docker/registry/sampan/dates";
const MIGRATION: &str = "/docker/registry/sampan/migration";
const MOVED: &str = "/docker/registry/sampan/moved";
const RESERVE: &str = "/docker/registry/sampan/reserve";
const STORE_ID: &str = "/docker/registry/sampan/id";
const SURVEY: &str = "/docker/registry/sampan/survey";
const SURVEYS: &str = "/docker/registry/sampan/surveys";
const SYNC: &str = "/docker/registry/sampan/sync";
const VERIFICATION: &str = "/docker/registry/sampan/verify";
const DAMAGED: &str = "/docker/registry/sampan/damaged";
const SNAPSHOTS: &str = "/docker/registry/sampan/snapshots";
const PURGES: &str = "/docker/registry/sampan/purge";

/// The name of the marker beside the entries of an index of referrers.
pub(crate) const COMPLETE: &str = "complete";

/// The file that every tag directory has, unless it is left from a crash.
pub(crate) const TAG_LINK: &str = "current/link";

// Every pull calls these, so they join strings instead of formatting.

fn blob_directory(digest: &Digest) -> String {
    [BLOBS, digest.algorithm().as_str(), &digest.hex()[..2], digest.hex()].join("/")
}

fn layer_directory(name: &RepositoryName, digest: &Digest) -> String {
    [REPOSITORIES, name.as_str(), "_layers", digest.algorithm().as_str(), digest.hex()].join("/")
}

fn revision_directory(name: &RepositoryName, digest: &Digest) -> String {
    [REPOSITORIES, name.as_str(), "_manifests/revisions", digest.algorithm().as_str(), digest.hex()].join("/")
}

/// The directory of the marks that say where manifests came from: `fetched` or `pushed`.
fn mark_directory(name: &RepositoryName, origin: &str, algorithm: Algorithm) -> String {
    [REPOSITORIES, name.as_str(), "_sampan", origin, algorithm.as_str()].join("/")
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
