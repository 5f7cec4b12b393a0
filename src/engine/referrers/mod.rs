//! `Referrers`: which manifests are attached to another by their `subject`.
//!
//! An index beside the repository has one small file for each referrer, in a directory of its subject. A listing reads that
//! directory and the manifests in its answer, however large the repository is.
//!
//! The index is a hint, never proof. An entry counts while the revision link of its manifest exists and the manifest itself
//! names the subject; a listing never reads the content of an entry.
//!
//! | actor | order |
//! |---|---|
//! | push | writes the entry, writes the revision link, checks that the entry still exists |
//! | deletion | removes the revision link, removes the entry, restores it if the link is back |
//! | collection | publishes the manifest as a pending deletion, removes the revision link, removes the entry |
//!
//! A crash leaves a surplus entry, never a missing one, with one exception: a deletion that dies between its last two steps
//! while another client pushes the same manifest. The next collection writes missing entries.
//!
//! A marker says that the index of a repository is complete. Without it (a store of Distribution or of an earlier version)
//! the first listing builds the index. Distribution has no referrers API, so its clients keep the fallback tag of the
//! referrers tag schema, which each listing reads. A manifest that a client pushed to Distribution without that tag, after
//! the index was built, appears in listings after the next collection.
//!
//! An entry names its subject as the manifest does, in any algorithm. A listing looks under each digest by which the
//! repository knows the subject.

mod build;
mod candidates;
mod index;
mod known;
mod links;
mod list;

pub(crate) use build::Builds;
pub(crate) use known::KnownManifests;
pub use known::Referrer;
pub use list::{ReferrersPage, ReferrersQuery};

use std::sync::Arc;

use sampan_driver::StorageDriver;

use crate::Repository;

/// The largest total size in bytes of `artifactType` and annotations of a manifest with a `subject`: each list of the subject
/// carries them. The limit applies to pushes; listings include stored manifests of any size.
pub const MAX_LISTED_BYTES: usize = 64 << 10;

/// How many manifests or links are read in parallel.
const CONCURRENT_READS: usize = 16;

/// How many steps may run without waiting before the task yields its thread.
const MAX_STEPS_WITHOUT_YIELD: usize = 64;

/// Counts such steps.
#[derive(Debug, Default)]
struct Steps(usize);

impl Steps {
    async fn step(&mut self) {
        self.0 += 1;
        if self.0.is_multiple_of(MAX_STEPS_WITHOUT_YIELD) {
            tokio::task::yield_now().await;
        }
    }
}

/// The referrers in one repository, by subject.
#[derive(Clone, Debug)]
pub struct Referrers {
    repository: Repository,
}

impl Referrers {
    pub(crate) fn new(repository: Repository) -> Self {
        Self { repository }
    }

    fn driver(&self) -> &Arc<dyn StorageDriver> {
        self.repository.registry.driver()
    }
}
