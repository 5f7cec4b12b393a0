//! Records of removed tags: a collection deletes those that can restore nothing, the old ones, and the earliest of too many.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::SystemTime;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{Deadline, DriverPath, FileInfo, StorageDriver};

use super::Result;
use super::context::Context;
use super::inventory::Data;
use crate::layout::{self, Entry};
use crate::lease::time_of;
use crate::oci::RepositoryName;
use crate::removed_tags::{MAX_AGE, MAX_RECORDS};

/// How many files are deleted at a time.
const AT_ONCE: usize = 1000;

/// Deletes records of removed tags, and returns how many. `data` are those that the scan has found: the record of a manifest
/// that this collection deletes goes with the next one.
pub(super) async fn prune(cx: &mut Context<'_>, data: &Data) -> Result<u64> {
    let mut found = Found { too_old: cx.registry.clock().ago(MAX_AGE), ..Found::default() };
    let mut pruned = 0;
    let mut files = cx.driver().walk(&layout::removed_root(), None);
    while let Some(file) = files.try_next().await? {
        cx.pacer.tick().await?;
        found.take(cx, data, file);
        if found.stale.len() >= AT_ONCE {
            pruned += delete(cx, std::mem::take(&mut found.stale)).await?;
        }
    }
    pruned += delete(cx, found.stale).await?;
    Ok(pruned)
}

#[derive(Debug)]
struct Found {
    too_old: SystemTime,
    /// Records to delete.
    stale: Vec<DriverPath>,
    /// The repository whose records the walk is at, and those that it keeps, the earliest on top.
    repository: Option<RepositoryName>,
    kept: BinaryHeap<Reverse<(u64, DriverPath)>>,
}

impl Default for Found {
    fn default() -> Self {
        Self { too_old: SystemTime::UNIX_EPOCH, stale: Vec::new(), repository: None, kept: BinaryHeap::new() }
    }
}

impl Found {
    fn take(&mut self, cx: &mut Context<'_>, data: &Data, file: FileInfo) {
        let Some(Entry::RemovedTag(name, _, removed_ms, digest)) = Entry::parse(&file.path) else {
            if layout::is_temporary(&file.path) && !cx.cutoff.is_young(file.modified) {
                self.stale.push(file.path);
            }
            return;
        };
        // The manifest of a young record may have been pushed after the scan.
        let is_gone = !cx.cutoff.is_young(file.modified) && !data.is_there(cx.ids.intern(&digest));
        if is_gone || time_of(removed_ms) < self.too_old {
            return self.stale.push(file.path);
        }
        // A walk yields the records of a repository together.
        if self.repository.as_ref() != Some(&name) {
            self.repository = Some(name);
            self.kept.clear();
        }
        self.keep(removed_ms, file.path, MAX_RECORDS);
    }

    fn keep(&mut self, removed_ms: u64, path: DriverPath, most: usize) {
        self.kept.push(Reverse((removed_ms, path)));
        if self.kept.len() > most
            && let Some(Reverse((_, earliest))) = self.kept.pop()
        {
            self.stale.push(earliest);
        }
    }
}

async fn delete(cx: &mut Context<'_>, paths: Vec<DriverPath>) -> Result<u64> {
    // A record that comes back after a power failure goes with the next collection.
    let mut deleted = cx.driver().delete_all(stream::iter(paths).boxed(), Deadline::NONE);
    let mut count = 0;
    while let Some((_, result)) = deleted.next().await {
        result?;
        count += 1;
        cx.pacer.tick().await?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_records_the_earliest_go() {
        let mut found = Found::default();
        for ms in [5, 1, 4, 2, 3] {
            found.keep(ms, format!("/{ms}").parse().unwrap(), 3);
        }
        let gone: Vec<&str> = found.stale.iter().map(DriverPath::as_str).collect();
        assert_eq!(gone, ["/1", "/2"]);
        assert_eq!(found.kept.len(), 3);
    }
}
