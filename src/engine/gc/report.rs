//! `Report`: what a collection has found and done.

use std::time::Duration;

use sampan_driver::DriverPath;
use serde::Serialize;

use super::TooMuch;

/// What a collection has found and, unless it was a dry run, deleted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Whether it only looked.
    pub dry_run: bool,
    /// Whether untagged manifests were to go.
    pub delete_untagged: bool,
    /// What was taken for young, in seconds.
    pub grace_secs: u64,
    /// How long it took, in seconds.
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
    /// Data that nothing refers to, and that stay because they or a link to them are too young.
    pub young: Amount,
    /// Manifests that were untagged. Their bytes are among the blobs.
    pub manifests: u64,
    /// Layer links that no manifest needed.
    pub layer_links: u64,
    /// Entries in histories of tags.
    pub tag_entries: u64,
    /// Entries of indexes of referrers that meant nothing any more.
    pub referrers: u64,
    /// Entries that were missing from indexes of referrers, as of what CNCF Distribution has taken.
    pub referrers_added: u64,
    /// Uploads that were given up.
    pub uploads: Amount,
    /// Leftovers of interrupted writes.
    pub temporary: Amount,
    /// Repositories that had nothing in them.
    pub empty_repositories: u64,
    /// What was garbage and came to life before it was deleted.
    pub saved: u64,
    /// What is kept because it cannot be read, with all it may refer to.
    pub unreadable: Vec<Unreadable>,
    /// How many of those are places that cannot be seen, or where repositories were that are no more. With any, nothing was
    /// deleted but uploads and leftovers.
    pub unseen: u64,
    /// What a dry run has found to be more than is deleted unasked.
    pub too_much: Option<TooMuch>,
    /// How many files are dated in the future, by a clock that was wrong. With a grace period they are young until then.
    pub future: u64,
    /// The first of them.
    pub future_paths: Vec<String>,
    /// How many files are none of ours.
    pub foreign: u64,
    /// The first of them.
    pub foreign_paths: Vec<String>,
}

/// So many, of so many bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Amount {
    /// How many.
    pub count: u64,
    /// Their length in bytes, all together.
    pub bytes: u64,
}

/// Something that cannot be read.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize)]
pub struct Unreadable {
    /// The file.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

/// How many foreign files, and files with a date in the future, are named.
const NAMED: usize = 100;

impl Report {
    /// How many bytes were (or would be) freed.
    pub fn bytes(&self) -> u64 {
        self.blobs.bytes + self.uploads.bytes + self.temporary.bytes
    }

    /// Whether everything could be read, so that nothing was kept for want of knowledge.
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
