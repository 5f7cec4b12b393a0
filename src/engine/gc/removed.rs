//! Records of removed tags: a collection deletes those that can restore nothing, the old ones, and the earliest of too many.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::time::SystemTime;

use futures::{StreamExt, stream};
use sampan_driver::{Deadline, DriverError, DriverPath, FileInfo, StorageDriver};

use super::Result;
use super::context::Context;
use super::cutoff::Cutoff;
use super::interner::DigestInterner;
use super::inventory::Data;
use crate::clock::time_of;
use crate::layout::{self, Entry};
use crate::oci::RepositoryName;
use crate::removed_tags::{MAX_AGE, MAX_RECORDS};

/// How many files are deleted at a time.
const DELETE_BATCH: usize = 1000;

/// The records that a collection deleted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Pruned {
    pub(super) deleted: u64,
    /// Records that could not be deleted, and places that could not be read.
    pub(super) failed: u64,
}

/// Deletes records of removed tags. `data` are those that the scan has found: the record of a manifest that this collection
/// deletes goes with the next one.
///
/// A failure with one record is logged, and the others continue.
///
/// # Errors
///
/// `Stopped`; `Lost`.
pub(super) async fn prune(cx: &mut Context<'_>, data: &Data) -> Result<Pruned> {
    let mut pruned = Pruned::default();
    let mut found = RemovedScan::new(cx.registry.clock().ago(MAX_AGE), cx.cutoff, data);
    let mut files = cx.driver().walk(&layout::removed_root(), None);
    while let Some(file) = files.next().await {
        cx.pacer.tick().await?;
        match file {
            Ok(file) => found.take(&mut cx.ids, file),
            Err(error) => pruned.add_failure(error.path(), &error),
        }
        if found.stale.len() >= DELETE_BATCH {
            delete(cx, std::mem::take(&mut found.stale), &mut pruned).await?;
        }
    }
    delete(cx, found.stale, &mut pruned).await?;
    Ok(pruned)
}

impl Pruned {
    fn add_failure(&mut self, path: &DriverPath, error: &DriverError) {
        self.failed += 1;
        tracing::warn!(%path, %error, "records of removed tags at {path} stay until the next collection");
    }
}

#[derive(Debug)]
struct RemovedScan<'a> {
    data: &'a Data,
    /// A store without any data may be one that cannot be seen, which proves nothing.
    has_data: bool,
    /// A record of an earlier removal is deleted.
    too_old: SystemTime,
    cutoff: Cutoff,
    /// Records to delete.
    stale: Vec<DriverPath>,
    /// The repository whose records the walk is at, and those that it keeps, the earliest on top.
    repository: Option<RepositoryName>,
    kept: BinaryHeap<Reverse<(u64, DriverPath)>>,
}

impl<'a> RemovedScan<'a> {
    fn new(too_old: SystemTime, cutoff: Cutoff, data: &'a Data) -> Self {
        let (stale, kept) = (Vec::new(), BinaryHeap::new());
        Self { data, has_data: !data.is_empty(), too_old, cutoff, stale, repository: None, kept }
    }

    fn take(&mut self, ids: &mut DigestInterner, file: FileInfo) {
        let is_young = self.cutoff.is_young(file.modified);
        let Some(Entry::RemovedTag(name, _, removed_ms, digest)) = Entry::parse(&file.path) else {
            if layout::is_temporary(&file.path) && !is_young {
                self.stale.push(file.path);
            }
            return;
        };
        // Data have canonical digests, so they say nothing about another one.
        let is_gone = digest.is_canonical() && self.has_data && !self.data.is_there(ids.intern(&digest));
        // The manifest of a young record may have been pushed after the scan.
        if !is_young && (is_gone || time_of(removed_ms) < self.too_old) {
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

/// Deletes records, and the directories that are empty without them.
async fn delete(cx: &mut Context<'_>, paths: Vec<DriverPath>, pruned: &mut Pruned) -> Result<()> {
    // By depth: a driver removes the directory of a deleted file if it is empty, and no other.
    let mut directories: BTreeSet<Reverse<(usize, DriverPath)>> = BTreeSet::new();
    if !cx.driver().capabilities().flat {
        for path in &paths {
            directories.extend(above(path).map(|directory| Reverse((depth(&directory), directory))));
        }
    }
    // A record that comes back after a power failure goes with the next collection.
    let mut deleted = cx.driver().delete_all(stream::iter(paths).boxed(), Deadline::NONE);
    while let Some((path, result)) = deleted.next().await {
        cx.pacer.tick().await?;
        match result {
            Ok(()) => pruned.deleted += 1,
            Err(error) => pruned.add_failure(&path, &error),
        }
    }
    let directories: Vec<_> = directories.into_iter().map(|Reverse(directory)| directory).collect();
    for level in directories.chunk_by(|(above, _), (below, _)| above == below) {
        // No record has this name.
        let files: Vec<_> = level.iter().filter_map(|(_, directory)| directory.join("link").ok()).collect();
        let mut deleted = cx.driver().delete_all(stream::iter(files).boxed(), Deadline::NONE);
        while deleted.next().await.is_some() {
            cx.pacer.tick().await?;
        }
    }
    Ok(())
}

/// The directories above the one of a record.
fn above(path: &DriverPath) -> impl Iterator<Item = DriverPath> {
    let root = layout::removed_root();
    let directory = path.parent();
    std::iter::successors(directory.and_then(|directory| directory.parent()), DriverPath::parent)
        .take_while(move |directory| directory.below(&root).is_some())
}

fn depth(directory: &DriverPath) -> usize {
    directory.as_str().split('/').count()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Clock;
    use crate::clock::millis;
    use crate::oci::{Algorithm, Digest};

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// The time of the tests.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + 20_000 * DAY
    }

    /// Whether a record is stale that names `digest`, was removed and written that long ago, in a store with the data of
    /// `there`.
    fn is_stale(digest: &Digest, removed: Duration, written: Duration, there: &[&Digest]) -> bool {
        let clock = Clock::new(now);
        let mut ids = DigestInterner::default();
        let mut data = Data::default();
        for digest in there {
            data.list(ids.intern(digest));
        }
        let mut found = RemovedScan::new(clock.ago(MAX_AGE), Cutoff::new(&clock, DAY), &data);
        let removed_ms = millis(now() - removed);
        let entry =
            Entry::RemovedTag("a/b".parse().unwrap(), "v1".parse().unwrap(), removed_ms, digest.clone());
        let file = FileInfo { path: entry.path(), size_bytes: 9, modified: now() - written };
        found.take(&mut ids, file);
        assert_eq!(found.stale.len() + found.kept.len(), 1);
        !found.stale.is_empty()
    }

    #[test]
    fn a_record_goes_with_the_content_of_its_manifest_or_after_a_year() {
        let (digest, other) = (Digest::sha256_of(b"manifest"), Digest::sha256_of(b"other"));
        let ms = Duration::from_millis(1);
        for (removed, written, there, stale) in [
            (2 * DAY, 2 * DAY, [&digest, &other], false),
            (2 * DAY, 2 * DAY, [&other, &other], true),
            // The manifest of a young record may have been pushed after the scan.
            (DAY - ms, DAY - ms, [&other, &other], false),
            (MAX_AGE, MAX_AGE, [&digest, &other], false),
            (MAX_AGE + ms, MAX_AGE, [&digest, &other], true),
            // By a clock that was wrong.
            (MAX_AGE + ms, DAY - ms, [&digest, &other], false),
        ] {
            let found = is_stale(&digest, removed, written, &there);
            assert_eq!(found, stale, "removed {removed:?} ago, written {written:?} ago, data of {there:?}");
        }
    }

    /// The collector counts digests of other algorithms apart, from zero as well.
    #[test]
    fn data_say_nothing_about_a_digest_of_another_algorithm() {
        let alias = Digest::of(Algorithm::Sha512, b"manifest");
        let [first, second] = [Digest::sha256_of(b"1"), Digest::sha256_of(b"2")];
        assert!(!is_stale(&alias, 2 * DAY, 2 * DAY, &[&first, &second]));
        let clock = Clock::new(now);
        let (mut ids, mut data) = (DigestInterner::default(), Data::default());
        ids.intern(&first);
        data.list(ids.intern(&second));
        let mut found = RemovedScan::new(clock.ago(MAX_AGE), Cutoff::new(&clock, DAY), &data);
        let entry = Entry::RemovedTag("a".parse().unwrap(), "v1".parse().unwrap(), millis(now()), alias);
        let file = FileInfo { path: entry.path(), size_bytes: 9, modified: now() - 2 * DAY };
        found.take(&mut ids, file);
        assert_eq!(found.stale, [], "the first digest of another algorithm has no data");
    }

    #[test]
    fn a_store_without_any_data_tells_nothing_about_a_record() {
        let digest = Digest::sha256_of(b"manifest");
        assert!(!is_stale(&digest, 2 * DAY, 2 * DAY, &[]));
        assert!(is_stale(&digest, MAX_AGE + DAY, 2 * DAY, &[]));
    }

    #[test]
    fn leftovers_go_when_they_are_old_and_other_files_stay() {
        let (clock, data) = (Clock::new(now), Data::default());
        let mut found = RemovedScan::new(clock.ago(MAX_AGE), Cutoff::new(&clock, DAY), &data);
        let root = layout::removed_root();
        let temporary = root.join("a/_tags/v1/x.0190a1b2-0000-4000-8000-000000000000.tmp").unwrap();
        assert!(layout::is_temporary(&temporary), "{temporary}");
        for (path, age) in
            [(&temporary, DAY / 2), (&temporary, 2 * DAY), (&root.join("a/b").unwrap(), 2 * DAY)]
        {
            let file = FileInfo { path: path.clone(), size_bytes: 9, modified: now() - age };
            found.take(&mut DigestInterner::default(), file);
        }
        assert_eq!(found.stale, [temporary]);
    }

    #[test]
    fn of_too_many_records_the_earliest_go() {
        let data = Data::default();
        let mut found = RemovedScan::new(SystemTime::UNIX_EPOCH, Cutoff::new(&Clock::new(now), DAY), &data);
        for ms in [5, 1, 4, 2, 3] {
            found.keep(ms, format!("/{ms}").parse().unwrap(), 3);
        }
        let gone: Vec<&str> = found.stale.iter().map(DriverPath::as_str).collect();
        assert_eq!(gone, ["/1", "/2"]);
        assert_eq!(found.kept.len(), 3);
    }
}
