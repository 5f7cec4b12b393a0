//! `Report`: the findings and deletions of a collection.

use std::time::Duration;

use sampan_driver::DriverPath;
use serde::Serialize;

use super::TooMuch;
use super::eviction::{CacheSize, Evicted, Victims};
use super::options::Options;
use super::plan::Plan;

/// The findings of a collection and, unless it was a dry run, its deletions.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Whether this was a dry run.
    pub dry_run: bool,
    /// Whether the collection was to delete untagged manifests.
    pub delete_untagged: bool,
    /// Grace period, in seconds.
    pub grace_secs: u64,
    /// Duration of the collection, in seconds.
    pub duration_secs: f64,
    /// How many files were found.
    pub files: u64,
    /// How many repositories were found.
    pub repositories: u64,
    /// How many manifests were read.
    pub manifests_read: u64,
    /// How many manifests and blobs are live.
    pub marked: u64,
    /// Data that nothing referred to.
    pub blobs: Amount,
    /// The content evicted from caches of other registries. The counts of manifests and blobs include it.
    pub evicted: Evicted,
    /// The sizes of the caches after that; empty without an eviction.
    pub caches: Vec<CacheSize>,
    /// Data that nothing refers to, and that stay because they or a link to them are too young.
    pub young: Amount,
    /// Manifests that were untagged, or evicted from a cache. Their bytes are among the blobs.
    pub manifests: u64,
    /// Layer links that no manifest needed.
    pub layer_links: u64,
    /// Entries in histories of tags.
    pub tag_entries: u64,
    /// Meaningless entries of referrer indexes.
    pub referrers: u64,
    /// Entries that were missing from referrer indexes, such as those of manifests that CNCF Distribution accepted.
    pub referrers_added: u64,
    /// Abandoned uploads.
    pub uploads: Amount,
    /// Leftovers of interrupted writes.
    pub temporary: Amount,
    /// Repositories without content.
    pub empty_repositories: u64,
    /// Garbage that became live before the collection deleted it.
    pub saved: u64,
    /// Unreadable files, kept with everything that they may refer to.
    pub unreadable: Vec<Unreadable>,
    /// How many of those are places that cannot be seen, or where repositories have vanished. If there are any, the
    /// collection deleted nothing but uploads and leftovers.
    pub unseen: u64,
    /// The amount, if a dry run found more than a collection deletes without confirmation.
    pub too_much: Option<TooMuch>,
    /// How many files are dated in the future, by a wrong clock. With a grace period they are young until then.
    pub future: u64,
    /// Paths of the first of these files.
    pub future_paths: Vec<String>,
    /// How many files are foreign.
    pub foreign: u64,
    /// Paths of the first of these files.
    pub foreign_paths: Vec<String>,
}

/// A number of blobs, uploads or files, and their total size.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Amount {
    /// How many there are.
    pub count: u64,
    /// Their total length in bytes.
    pub bytes: u64,
}

/// A file that cannot be read.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize)]
pub struct Unreadable {
    /// Path of the file.
    pub path: String,
    /// Why the file cannot be read.
    pub reason: String,
}

/// How many foreign files, and files dated in the future, the report names.
const NAMED: usize = 100;

impl Report {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            dry_run: options.dry_run,
            delete_untagged: options.delete_untagged,
            grace_secs: options.grace.as_secs(),
            ..Self::default()
        }
    }

    /// How many bytes the collection freed, or a dry run would free.
    pub fn bytes(&self) -> u64 {
        self.blobs.bytes + self.uploads.bytes + self.temporary.bytes
    }

    /// Whether everything could be read, so that no file was kept for lack of knowledge.
    pub fn is_complete(&self) -> bool {
        self.unreadable.is_empty()
    }

    pub(super) fn add_foreign(&mut self, path: &DriverPath) {
        self.foreign += 1;
        if self.foreign_paths.len() < NAMED {
            self.foreign_paths.push(path.to_string());
        }
    }

    pub(super) fn add_future(&mut self, path: &DriverPath) {
        self.future += 1;
        if self.future_paths.len() < NAMED {
            self.future_paths.push(path.to_string());
        }
    }

    pub(super) fn add_unseen(&mut self, unseen: Vec<Unreadable>) {
        self.unseen = unseen.len() as u64;
        self.unreadable.extend(unseen);
    }

    /// Adds what a plan would delete, except uploads.
    pub(super) fn add_plan(&mut self, plan: &Plan, victims: &Victims) {
        self.evicted.tags = plan.tags.len() as u64;
        for (name, id) in &plan.revisions {
            self.evicted.add_manifest(victims.reason(name, *id));
        }
        for (id, size_bytes) in &plan.blobs {
            self.evicted.add_data(victims.reason_of_data(*id), *size_bytes);
        }
        self.tag_entries = plan.tag_entries.len() as u64;
        self.manifests = plan.revisions.len() as u64;
        self.layer_links = plan.layers.len() as u64;
        self.referrers = (plan.referrers.len() + plan.misplaced_referrers.len()) as u64;
        self.referrers_added = plan.missing_referrers.len() as u64;
        plan.blobs.iter().for_each(|(_, size_bytes)| self.blobs.add(*size_bytes));
        plan.temporary.iter().for_each(|file| self.temporary.add(file.size_bytes));
        self.empty_repositories = plan.repositories.len() as u64;
    }

    pub(super) fn took(&mut self, duration: Duration) {
        self.duration_secs = duration.as_secs_f64();
    }
}

impl Amount {
    pub(super) fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}
