//! `Directories`: makes the directories on the way to a file, durably.
//!
//! The invariant: when [`settle`](Directories::settle) returns, the directory and all above it would survive a power failure.
//! That needs care when two writers need the same new directory, for the second finds it already there, though the first has not
//! yet synced its entry. So a directory is noted as unsynced *before* it is made, and everybody who finds one of the noted
//! directories on the way syncs it too.
//!
//! Making and settling are two steps, because what is written in between takes the journal of most file systems to disk, and the
//! new directories with it: then there is little left to do.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, fsync};
use rustix::io::Errno;

use crate::error::Failure;
use crate::root::{Root, split};

/// The directories that were made and not yet synced.
#[derive(Debug, Default)]
pub(crate) struct Directories {
    /// Keys of directories whose entry in their parent may not be on disk. A blocking lock, held for look-ups only.
    unsynced: Mutex<HashSet<String>>,
}

impl Directories {
    /// Opens the directory `key`, making it and those above it if need be; never the root itself. They are not settled.
    pub(crate) fn open_or_create(&self, root: &Root, key: &str) -> Result<OwnedFd, Failure> {
        match root.directory(key) {
            Err(failure) if failure.is_absence() => self.create(root, key),
            result => result,
        }
    }

    /// Makes the directory `key` and those above it durable, as far as they are new.
    pub(crate) fn settle(&self, root: &Root, key: &str) -> Result<(), Failure> {
        let new: Vec<&str> = {
            let noted = self.noted();
            if noted.is_empty() {
                return Ok(());
            }
            with_ancestors(key).filter(|directory| noted.contains(*directory)).collect()
        };
        for made in new {
            let (parent, _) = split(made)?;
            match root.directory(parent) {
                Ok(parent) => sync(&parent)?,
                Err(failure) if failure.is_absence() => {} // Deleted since, and with it what was to be synced.
                Err(failure) => return Err(failure),
            }
            self.noted().remove(made);
        }
        Ok(())
    }

    /// Forgets the directory `key`, which is no more, and what was below it.
    pub(crate) fn forget(&self, key: &str) {
        self.noted().retain(|noted| !is_within(noted, key));
    }

    fn create(&self, root: &Root, key: &str) -> Result<OwnedFd, Failure> {
        let way: Vec<&str> = with_ancestors(key).collect();
        let (mut directory, missing) = deepest(root, &way)?;
        for &made in missing {
            let (_, name) = split(made)?;
            self.noted().insert(made.to_owned());
            match rustix::fs::mkdirat(&directory, name, Mode::from_raw_mode(0o777)) {
                // Noted again: since the first note somebody may have synced and deleted a directory of this name.
                Ok(()) => _ = self.noted().insert(made.to_owned()),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
            directory = root.directory(made)?;
        }
        Ok(directory)
    }

    fn noted(&self) -> MutexGuard<'_, HashSet<String>> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the entries of a directory durable.
///
/// A file system that cannot sync directories says `INVAL`; it has nothing to be made durable that way.
pub(crate) fn sync(directory: impl AsFd) -> Result<(), Errno> {
    match fsync(directory) {
        Err(Errno::INVAL) => Ok(()),
        result => result,
    }
}

/// The deepest existing directory on a way, and those that are missing below it.
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

/// The directory `key` and those above it, the uppermost first; not the root.
fn with_ancestors(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('/').map(|(end, _)| end).chain([key.len()]).map(|end| &key[..end])
}

fn is_within(key: &str, directory: &str) -> bool {
    key.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_directories_on_the_way_are_made_and_none_stays_unsettled() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path().to_owned()).unwrap();
        let directories = Directories::default();
        for key in ["a/b/c", "a/b/d", "a/b/c", "", "x"] {
            directories.open_or_create(&root, key).unwrap();
            assert!(dir.path().join(key).is_dir());
            directories.settle(&root, key).unwrap();
            assert!(directories.noted().is_empty());
        }
    }

    #[test]
    fn a_directory_that_another_has_just_made_is_settled_by_whoever_finds_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path().to_owned()).unwrap();
        let directories = Directories::default();
        directories.open_or_create(&root, "a/b").unwrap();
        directories.open_or_create(&root, "ab").unwrap();
        directories.settle(&root, "a").unwrap();
        assert_eq!(*directories.noted(), HashSet::from(["a/b".to_owned(), "ab".to_owned()]));
        directories.forget("a");
        assert_eq!(*directories.noted(), HashSet::from(["ab".to_owned()]));
    }

    #[test]
    fn a_file_in_the_way_is_an_error_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "content").unwrap();
        let root = Root::open(dir.path().to_owned()).unwrap();
        let result = Directories::default().open_or_create(&root, "a/b/c");
        assert!(matches!(result, Err(Failure::Os(Errno::NOTDIR))), "{result:?}");
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"content");
    }
}
