//! `Referrers`: which manifests are attached to another by their `subject`.
//!
//! An index beside the repository has one small file for each referrer, in a directory of its subject. A listing reads that
//! directory and the manifests that it answers with, however large the repository is.
//!
//! The index is a hint, never proof. An entry counts while the revision link of its manifest is there and the manifest itself
//! names the subject; the content of an entry is not read.
//!
//! | actor | order |
//! |---|---|
//! | push | writes the entry, writes the revision link, sees that the entry is still there |
//! | deletion | removes the revision link, removes the entry, writes it again if the link is back |
//! | collection | publishes the manifest as a pending deletion, removes the revision link, removes the entry |
//!
//! A crash leaves an entry too many, not one too few; but for a deletion that dies between its last two steps while another
//! client pushes the same manifest. The next collection writes what is missing.
//!
//! A marker says that the index of a repository is complete. Without it (a store of Distribution or of an earlier version) the
//! first listing builds the index. Distribution has no referrers API, so its clients keep the fallback tag of the referrers tag
//! schema, which is read at each listing. What comes by neither way, a manifest that was pushed to Distribution without that tag
//! after the index was built, is listed after the next collection.
//!
//! An entry names its subject as the manifest does, and so by any algorithm. A listing looks under each digest that the
//! repository knows of the subject.

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

/// The most bytes that `artifactType` and annotations of a manifest with a `subject` may have together: each list of the subject
/// carries them. It is a limit for pushes; what is in the store is listed whatever its size.
pub const MAX_LISTED_BYTES: usize = 64 << 10;

/// How many manifests or links are read at a time.
const CONCURRENT_READS: usize = 16;

/// How many steps that were ready at once are taken before other tasks of the thread have their turn.
const STRETCH: usize = 64;

/// Counts such steps.
#[derive(Debug, Default)]
struct Steps(usize);

impl Steps {
    async fn step(&mut self) {
        self.0 += 1;
        if self.0.is_multiple_of(STRETCH) {
            tokio::task::yield_now().await;
        }
    }
}

/// The manifests of one repository, seen from their subjects.
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
