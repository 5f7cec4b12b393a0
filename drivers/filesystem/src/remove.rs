//! Deletes files and trees. Links are removed, never followed.

use std::collections::HashSet;
use std::ffi::CString;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use sampan_driver::{Deadline, DriverPath};

use crate::disk;
use crate::disk_problem::EndsBy;
use crate::error::Failure;
use crate::root::{DIRECTORY, parent_of, split};
use crate::scan;
use crate::store::Store;

/// How often to retry emptying a directory in which files keep appearing.
const REFILLS_TO_SURVIVE: usize = 16;

/// Deletes the file `key`, durably. A missing file or a directory is a no-op.
pub(crate) fn file(store: &Store, key: &str) -> Result<(), Failure> {
    match unlink(store, key, &Deadline::NONE)? {
        Some(directory) => sync(directory),
        None => Ok(()),
    }
}

/// Deletes the files `paths` while `until` allows, and the directories that become empty with them. Not
/// durable.
pub(crate) fn files(
    store: &Store,
    paths: Vec<DriverPath>,
    until: &Deadline,
) -> Vec<(DriverPath, Result<(), Failure>)> {
    let results: Vec<_> = paths
        .into_iter()
        .map(|path| {
            let result = unlink(store, path.as_key(), until).map(drop);
            (path, result)
        })
        .collect();
    // Neighbours usually share a directory, which is then tried once.
    let mut parents: Vec<&str> = results.iter().map(|(path, _)| parent_of(path.as_key())).collect();
    parents.dedup();
    parents.into_iter().for_each(|parent| if_empty(store, parent));
    results
}

/// Makes the deletion of `paths` durable: syncs each directory that may have lost an entry once.
pub(crate) fn sync_deletions(store: &Store, paths: &[DriverPath]) -> Result<(), Failure> {
    store.root.check()?;
    let mut synced: HashSet<&str> = HashSet::new();
    let mut absent: HashSet<&str> = HashSet::new();
    for path in paths {
        // A directory removed with its last file is an entry that its parent has lost.
        let mut key = parent_of(path.as_key());
        loop {
            if synced.contains(key) {
                break;
            }
            if !absent.contains(key) {
                match store.root.directory(key) {
                    Ok(directory) => {
                        sync(directory)?;
                        synced.insert(key);
                        break;
                    }
                    Err(Failure::Os(Errno::NOENT | Errno::NOTDIR)) if !key.is_empty() => {
                        absent.insert(key);
                    }
                    // A deletion cannot be repeated, so this failure is as final as that of a sync.
                    Err(Failure::Os(errno)) => {
                        return Err(Failure::EntryNotOnDisk { errno, ends: EndsBy::ByRestart });
                    }
                    Err(failure) => return Err(failure),
                }
            }
            key = parent_of(key);
        }
    }
    Ok(())
}

/// Removes the directory `key` if it is empty. Best effort: nothing depends on it, so errors are ignored.
pub(crate) fn if_empty(store: &Store, key: &str) {
    let Ok((parent, name)) = split(key) else { return };
    let Ok(parent) = store.root.find_directory(parent) else { return };
    let records = store.directories.records_within(key);
    if disk::unlink(&parent, name, AtFlags::REMOVEDIR).is_ok() {
        store.directories.forget(&records);
    }
}

/// Deletes the file or directory `key` with everything below it, durably; of the root, only its content.
pub(crate) fn tree(store: &Store, key: &str) -> Result<(), Failure> {
    if key.is_empty() {
        store.root.check()?;
        let directory = store.root.directory("")?;
        empty(&directory, &mut scan::buffer())?;
        return sync(directory);
    }
    let (parent, name) = split(key)?;
    let directory = match store.root.find_directory(parent) {
        Err(Failure::Missing) => return Ok(()),
        result => result?,
    };
    match remove_name(&directory, name)? {
        Removal::Done => {}
        Removal::Missing => return missing(store),
        Removal::IsDirectory => {
            let name = CString::new(name).map_err(|_| Errno::INVAL)?;
            let records = store.directories.records_within(key);
            remove_directory(directory.as_fd(), &name, &mut scan::buffer())?;
            store.directories.forget(&records);
        }
    }
    sync(directory)
}

/// Removes the name and returns its directory for syncing.
///
/// Returns the directory also if the name is already gone: the process that removed it may have failed to
/// sync it.
fn unlink(store: &Store, key: &str, until: &Deadline) -> Result<Option<OwnedFd>, Failure> {
    let Ok((parent, name)) = split(key) else { return Ok(None) };
    let directory = match store.root.find_directory(parent) {
        Err(Failure::Missing) => return Ok(None),
        result => result?,
    };
    // Right before the call, because the process may have been stopped for any time since the request.
    if until.has_passed() {
        return Err(Failure::TooLate);
    }
    match remove_name(&directory, name)? {
        Removal::Done => Ok(Some(directory)),
        Removal::Missing => missing(store).map(|()| Some(directory)),
        Removal::IsDirectory => Ok(None),
    }
}

/// Syncs a directory that lost an entry. A failed sync cannot be repeated, because the next one would
/// succeed.
fn sync(directory: OwnedFd) -> Result<(), Failure> {
    disk::sync_directory(directory)
        .map_err(|errno| Failure::EntryNotOnDisk { errno, ends: EndsBy::ByRestart })
}

/// Success for a missing file, unless the root is missing too.
fn missing(store: &Store) -> Result<(), Failure> {
    match store.root.missing() {
        Failure::Missing => Ok(()),
        failure => Err(failure),
    }
}

fn remove_directory(parent: BorrowedFd<'_>, name: &CString, buffer: &mut Vec<u8>) -> Result<(), Failure> {
    for _ in 0..REFILLS_TO_SURVIVE {
        match rustix::fs::openat(parent, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(directory) => empty(&directory, buffer)?,
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
        match disk::unlink_any(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(Failure::Crowded)
}

/// Removes everything in `directory`.
fn empty(directory: &OwnedFd, buffer: &mut Vec<u8>) -> Result<(), Failure> {
    let mut subdirectories = Vec::new();
    scan::entries(directory.as_fd(), buffer, |name, file_type| {
        if file_type == FileType::Directory {
            subdirectories.push(name.to_owned());
            return Ok(());
        }
        match disk::unlink_any(directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    })?;
    for name in subdirectories {
        remove_directory(directory.as_fd(), &name, buffer)?;
    }
    Ok(())
}

/// The result of removing a name as that of a file.
enum Removal {
    Done,
    Missing,
    /// Nothing was removed.
    IsDirectory,
}

/// Removes the name unless it is that of a directory. Another request may remove or replace the directory meanwhile.
fn remove_name(directory: &OwnedFd, name: &str) -> Result<Removal, Errno> {
    for _ in 0..REFILLS_TO_SURVIVE {
        let errno = match disk::unlink(directory, name, AtFlags::empty()) {
            Ok(()) => return Ok(Removal::Done),
            Err(Errno::NOENT) => return Ok(Removal::Missing),
            // EPERM is POSIX's error for directories, EISDIR is Linux's.
            Err(errno @ (Errno::ISDIR | Errno::PERM)) => errno,
            Err(errno) => return Err(errno),
        };
        match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(Removal::Missing),
            Err(errno) => return Err(errno),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                return Ok(Removal::IsDirectory);
            }
            // A file that must not be removed.
            Ok(_) if errno == Errno::PERM => return Err(errno),
            // A file is in the place of the directory now.
            Ok(_) => {}
        }
    }
    Err(Errno::ISDIR)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::disk::Call;
    use crate::disk::faults::CallWatch;

    #[test]
    fn a_tree_is_deleted_with_any_names_but_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("root/a/b/c d~")).unwrap();
        fs::create_dir_all(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/kept"), "x").unwrap();
        fs::write(dir.path().join("root/a/b/c d~/ü"), "x").unwrap();
        fs::write(dir.path().join("root/ab"), "x").unwrap();
        symlink("../../outside", dir.path().join("root/a/link")).unwrap();
        let store = Store::open(dir.path().join("root"), 25).unwrap();
        tree(&store, "a").unwrap();
        tree(&store, "a").unwrap();
        assert!(!dir.path().join("root/a").exists());
        assert!(dir.path().join("root/ab").exists());
        assert!(dir.path().join("outside/kept").exists());
        tree(&store, "").unwrap();
        assert_eq!(fs::read_dir(dir.path().join("root")).unwrap().count(), 0);
    }

    #[test]
    fn a_large_directory_read_in_parts_is_emptied() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        for number in 0..3000 {
            fs::write(dir.path().join(format!("a/{number:0200}")), "").unwrap();
        }
        let store = Store::open(dir.path().to_owned(), 25).unwrap();
        tree(&store, "a").unwrap();
        assert!(!dir.path().join("a").exists());
    }

    /// The file is gone, so its deletion would not be retried; whether it is on disk is unknown.
    #[test]
    fn a_directory_that_vanished_before_its_sync_is_a_final_failure() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().to_owned(), 25).unwrap();
        symlink("loop", dir.path().join("loop")).unwrap();
        let paths = ["/loop/a/file".parse().unwrap()];
        let failure = sync_deletions(&store, &paths).unwrap_err();
        assert!(matches!(failure, Failure::EntryNotOnDisk { ends: EndsBy::ByRestart, .. }), "{failure:?}");
    }

    /// Another deletion removes the directory between the two calls, or a write puts a file there.
    #[test]
    fn a_directory_that_vanishes_or_becomes_a_file_meanwhile_is_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().to_owned(), 25).unwrap();
        for delete in [tree, file] {
            let disk = CallWatch::over(dir.path());
            disk.fail(Call::Unlink, "a", Errno::ISDIR, 1);
            delete(&store, "a").unwrap();
            fs::write(dir.path().join("a"), "x").unwrap();
            disk.fail(Call::Unlink, "a", Errno::ISDIR, 1);
            delete(&store, "a").unwrap();
            assert!(disk.has_failed() && !dir.path().join("a").exists());
        }
    }

    /// As of an immutable file.
    #[test]
    fn a_file_that_must_not_be_removed_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().to_owned(), 25).unwrap();
        let disk = CallWatch::over(dir.path());
        fs::write(dir.path().join("a"), "x").unwrap();
        disk.fail(Call::Unlink, "a", Errno::PERM, 1);
        tree(&store, "a").unwrap_err();
        assert!(dir.path().join("a").exists());
    }
}
