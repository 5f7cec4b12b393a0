//! `Directories`: creates a file's parent directories, durably.
//!
//! The invariant: when [`sync_new`](Directories::sync_new) returns, the directory and its parents survive a
//! power failure, or will after the next sync in it, depending on the file system ([`SyncRule`]). If a
//! directory becomes durable with its content, there is nothing to record or sync. Otherwise each directory
//! is synced through its parent.
//!
//! Two writers may need the same new directory, and the second finds it although the first has not yet synced
//! its entry. So a directory is recorded as unsynced *before* it is created, and every writer that passes a
//! recorded directory syncs it too.
//!
//! Creating and syncing are separate steps, because writing the content in between flushes the journal of
//! most file systems, and the new directories with it: little remains to sync.

use std::collections::BTreeMap;

use parking_lot::{Mutex, MutexGuard};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use crate::disk;
use crate::disk_problem::EndsBy;
use crate::error::Failure;
use crate::root::{Root, parent_of, split};
use crate::sync_rule::SyncRule;

/// The directories that were created and not synced yet.
#[derive(Debug)]
pub(crate) struct Directories {
    rule: SyncRule,
    /// A blocking lock, held for look-ups only.
    unsynced: Mutex<UnsyncedSet>,
}

/// Directories whose entry in their parent may not be on disk.
#[derive(Debug, Default)]
struct UnsyncedSet {
    /// Sorted, so that the directories below one are found without scanning all others.
    numbers: BTreeMap<String, u64>,
    last: u64,
}

/// The most records for transient content. A started upload leaves one until it ends or is purged, days
/// later. Beyond this number each is synced at once, which costs a sync.
const MAX_RECORDS: usize = 10_000;

/// A snapshot of an entry. Removing it is a no-op if the directory was deleted and re-created since.
#[derive(Debug)]
pub(crate) struct Record {
    directory: String,
    number: u64,
}

impl UnsyncedSet {
    fn add(&mut self, directory: &str) {
        self.last += 1;
        self.numbers.insert(directory.to_owned(), self.last);
    }

    fn of(&self, directory: &str) -> Option<Record> {
        let number = *self.numbers.get(directory)?;
        Some(Record { directory: directory.to_owned(), number })
    }

    /// The records of the directory `key` and those below it.
    fn within(&self, key: &str) -> Vec<Record> {
        // The character after the slash ends the range.
        let (begin, end) = (format!("{key}/"), format!("{key}0"));
        let below = self.numbers.range(begin..end);
        let below = below.map(|(directory, number)| Record { directory: directory.clone(), number: *number });
        self.of(key).into_iter().chain(below).collect()
    }

    fn remove_if_unchanged(&mut self, record: &Record) {
        if self.numbers.get(&record.directory) == Some(&record.number) {
            self.numbers.remove(&record.directory);
        }
    }
}

impl Directories {
    /// An empty set, on a file system with `rule`.
    pub(crate) fn new(rule: SyncRule) -> Self {
        Self { rule, unsynced: Mutex::default() }
    }

    /// Opens the directory `key`, creating it and its parents if necessary, but never the root. Does not sync
    /// them.
    pub(crate) fn open_or_create(&self, root: &Root, key: &str) -> Result<OwnedFd, Failure> {
        match root.directory(key) {
            Err(failure) if failure.is_absence() => self.create(root, key),
            result => result,
        }
    }

    /// Makes the directory `key` and its parents durable, as far as they are new.
    pub(crate) fn sync_new(&self, root: &Root, key: &str) -> Result<(), Failure> {
        let new: Vec<Record> = {
            let unsynced = self.lock();
            if unsynced.numbers.is_empty() {
                return Ok(());
            }
            with_ancestors(key).filter_map(|directory| unsynced.of(directory)).collect()
        };
        for record in new {
            let (parent, _) = split(&record.directory)?;
            match root.directory(parent) {
                Ok(parent) => disk::sync_directory(&parent)
                    .map_err(|errno| Failure::EntryNotOnDisk { errno, ends: EndsBy::ByRestart })?,
                Err(failure) if failure.is_absence() => {} // Deleted since, with everything to sync.
                Err(failure) => return Err(failure),
            }
            self.lock().remove_if_unchanged(&record);
        }
        Ok(())
    }

    /// Syncs the parents of a directory whose content a power failure may delete together with the directory.
    pub(crate) fn sync_new_for_transient(&self, root: &Root, key: &str) -> Result<(), Failure> {
        let are_many = self.lock().numbers.len() > MAX_RECORDS;
        // Other files will rely on the parents.
        self.sync_new(root, if are_many { key } else { parent_of(key) })
    }

    /// The records of the directory `key` and those below it, to pass to [`forget`](Self::forget) after
    /// removing them.
    pub(crate) fn records_within(&self, key: &str) -> Vec<Record> {
        self.lock().within(key)
    }

    /// Removes the records of deleted directories.
    pub(crate) fn forget(&self, removed: &[Record]) {
        let mut unsynced = self.lock();
        removed.iter().for_each(|record| unsynced.remove_if_unchanged(record));
    }

    fn create(&self, root: &Root, key: &str) -> Result<OwnedFd, Failure> {
        let way: Vec<&str> = with_ancestors(key).collect();
        let (mut directory, missing) = deepest(root, &way)?;
        let is_recorded = match self.rule {
            SyncRule::EachParent => true,
            // Another file system may be mounted here.
            SyncRule::WithItsContent(device) => rustix::fs::fstat(&directory)?.st_dev != device,
        };
        let record = |directory: &str| {
            if is_recorded {
                self.lock().add(directory);
            }
        };
        for &made in missing {
            let (_, name) = split(made)?;
            record(made);
            let is_new = match disk::make_directory(&directory, name) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(errno) => return Err(errno.into()),
            };
            if is_new {
                // Record it again: since the first record another writer may have synced and deleted a
                // directory of this name.
                record(made);
            }
            directory = root.directory(made)?;
            if is_new {
                root.hand_over(&directory)?;
            }
        }
        Ok(directory)
    }

    fn lock(&self) -> MutexGuard<'_, UnsyncedSet> {
        self.unsynced.lock()
    }
}

/// The deepest existing directory on the path, and the missing ones below it.
fn deepest<'a>(root: &Root, way: &'a [&'a str]) -> Result<(OwnedFd, &'a [&'a str]), Failure> {
    for existing in (1..way.len()).rev() {
        match root.directory(way[existing - 1]) {
            Ok(directory) => return Ok((directory, &way[existing..])),
            Err(failure) if failure.is_absence() => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok((root.directory("")?, way))
}

/// The directory `key` and its parents, the topmost first, without the root.
fn with_ancestors(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('/').map(|(end, _)| end).chain([key.len()]).map(|end| &key[..end])
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn empty() -> (TempDir, Root, Directories) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path().to_owned()).unwrap();
        (dir, root, Directories::new(SyncRule::EachParent))
    }

    fn unsynced(directories: &Directories) -> Vec<String> {
        let mut keys: Vec<_> = directories.lock().numbers.keys().cloned().collect();
        keys.sort();
        keys
    }

    #[test]
    fn all_parents_are_created_and_none_stays_unsynced() {
        let (dir, root, directories) = empty();
        for key in ["a/b/c", "a/b/d", "a/b/c", "", "x"] {
            directories.open_or_create(&root, key).unwrap();
            assert!(dir.path().join(key).is_dir());
            directories.sync_new(&root, key).unwrap();
            assert!(unsynced(&directories).is_empty());
        }
    }

    #[test]
    fn a_directory_that_another_writer_just_created_is_synced_by_its_finder() {
        let (_dir, root, directories) = empty();
        directories.open_or_create(&root, "a/b").unwrap();
        directories.open_or_create(&root, "ab").unwrap();
        directories.sync_new(&root, "a").unwrap();
        assert_eq!(unsynced(&directories), ["a/b", "ab"]);
        directories.forget(&directories.records_within("a"));
        assert_eq!(unsynced(&directories), ["ab"]);
    }

    #[test]
    fn directories_durable_with_their_content_are_not_recorded() {
        let (dir, root, _) = empty();
        let device = root.identity().0;
        for (rule, recorded) in [
            (SyncRule::WithItsContent(device), vec![]),
            (SyncRule::WithItsContent(device + 1), vec!["b", "b/c"]),
        ] {
            let directories = Directories::new(rule);
            directories.open_or_create(&root, "b/c").unwrap();
            assert_eq!(unsynced(&directories), recorded);
            std::fs::remove_dir_all(dir.path().join("b")).unwrap();
        }
    }

    #[test]
    fn records_of_uploads_do_not_slow_others_and_are_bounded() {
        let (_dir, root, directories) = empty();
        for number in 0..MAX_RECORDS {
            directories.lock().add(&format!("u/{number:05}"));
        }
        let (of_one, of_all) = (directories.records_within("u/00007"), directories.records_within("u"));
        assert_eq!((of_one.len(), of_all.len()), (1, MAX_RECORDS));
        assert!(directories.records_within("u/0000").is_empty(), "a part of a name is not a directory");
        for key in ["u/a", "u/b"] {
            directories.open_or_create(&root, key).unwrap();
            directories.sync_new_for_transient(&root, key).unwrap();
        }
        assert!(directories.records_within("u/b").is_empty(), "it is synced, because there are too many");
    }

    #[test]
    fn the_longest_records_stay_within_the_memory_limit() {
        let (_dir, _root, directories) = empty();
        let repository = "a".repeat(255);
        for number in 0..MAX_RECORDS {
            directories
                .lock()
                .add(&format!("docker/registry/v2/repositories/{repository}/_uploads/{number:036}"));
        }
        let unsynced = directories.lock();
        // A tree node may be half empty.
        let texts: usize = unsynced.numbers.keys().map(|directory| directory.capacity() + 16).sum();
        let bytes = texts + unsynced.numbers.len() * 2 * (size_of::<(String, u64)>() + 2);
        assert!(bytes <= 8 << 20, "{bytes}");
    }

    /// The writer that re-created the directory relies on its record, and has not synced it.
    #[test]
    fn forgetting_a_removed_directory_keeps_the_record_of_a_re_created_one() {
        let (dir, root, directories) = empty();
        directories.open_or_create(&root, "a/b").unwrap();
        let former = directories.records_within("a/b");
        std::fs::remove_dir(dir.path().join("a/b")).unwrap();
        directories.open_or_create(&root, "a/b").unwrap();
        directories.forget(&former);
        assert_eq!(unsynced(&directories), ["a", "a/b"]);
    }

    #[test]
    fn a_file_in_the_way_is_an_error_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "content").unwrap();
        let root = Root::open(dir.path().to_owned()).unwrap();
        let result = Directories::new(SyncRule::EachParent).open_or_create(&root, "a/b/c");
        assert!(matches!(result, Err(Failure::Os(Errno::NOTDIR))), "{result:?}");
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"content");
    }
}
