//! `Directories`: makes the directories on the way to a file, durably.
//!
//! The invariant: when [`settle`](Directories::settle) returns, the directory and all above it would survive a power failure.
//! That needs care when two writers need the same new directory, for the second finds it already there, though the first has not
//! yet synced its entry. So a directory is noted as unsynced *before* it is made, and everybody who finds one of the noted
//! directories on the way syncs it too.
//!
//! Making and settling are two steps, because what is written in between takes the journal of most file systems to disk, and the
//! new directories with it: then there is little left to do.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, fsync};
use rustix::io::Errno;

use crate::error::Failure;
use crate::root::{Root, split};

/// The directories that were made and not yet synced.
#[derive(Debug, Default)]
pub(crate) struct Directories {
    /// A blocking lock, held for look-ups only.
    unsynced: Mutex<Notes>,
}

/// Notes of directories whose entry in their parent may not be on disk.
#[derive(Debug, Default)]
struct Notes {
    numbers: HashMap<String, u64>,
    last: u64,
}

/// A note, as it was when somebody looked. Whoever crosses it out leaves alone what was noted since: a directory that went in
/// the meantime, and was made again by somebody else, is another one.
#[derive(Debug)]
pub(crate) struct Note {
    directory: String,
    number: u64,
}

impl Notes {
    fn add(&mut self, directory: &str) {
        self.last += 1;
        self.numbers.insert(directory.to_owned(), self.last);
    }

    fn of(&self, directory: &str) -> Option<Note> {
        let number = *self.numbers.get(directory)?;
        Some(Note { directory: directory.to_owned(), number })
    }

    fn cross_out(&mut self, note: &Note) {
        if self.numbers.get(&note.directory) == Some(&note.number) {
            self.numbers.remove(&note.directory);
        }
    }
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
        let new: Vec<Note> = {
            let noted = self.noted();
            if noted.numbers.is_empty() {
                return Ok(());
            }
            with_ancestors(key).filter_map(|directory| noted.of(directory)).collect()
        };
        for note in new {
            let (parent, _) = split(&note.directory)?;
            match root.directory(parent) {
                Ok(parent) => sync(&parent)?,
                Err(failure) if failure.is_absence() => {} // Deleted since, and with it what was to be synced.
                Err(failure) => return Err(failure),
            }
            self.noted().cross_out(&note);
        }
        Ok(())
    }

    /// The notes of the directory `key` and of what is below it, for whoever is about to remove all of that.
    pub(crate) fn notes_within(&self, key: &str) -> Vec<Note> {
        let noted = self.noted();
        let within = noted.numbers.keys().filter(|directory| is_within(directory, key));
        within.filter_map(|directory| noted.of(directory)).collect()
    }

    /// Forgets directories that are no more.
    pub(crate) fn forget(&self, removed: &[Note]) {
        let mut noted = self.noted();
        removed.iter().for_each(|note| noted.cross_out(note));
    }

    fn create(&self, root: &Root, key: &str) -> Result<OwnedFd, Failure> {
        let way: Vec<&str> = with_ancestors(key).collect();
        let (mut directory, missing) = deepest(root, &way)?;
        for &made in missing {
            let (_, name) = split(made)?;
            self.noted().add(made);
            match rustix::fs::mkdirat(&directory, name, Mode::from_raw_mode(0o777)) {
                // Noted again: since the first note somebody may have synced and deleted a directory of this name.
                Ok(()) => self.noted().add(made),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
            directory = root.directory(made)?;
        }
        Ok(directory)
    }

    fn noted(&self) -> MutexGuard<'_, Notes> {
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
    use tempfile::TempDir;

    use super::*;

    fn empty() -> (TempDir, Root, Directories) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path().to_owned()).unwrap();
        (dir, root, Directories::default())
    }

    fn unsettled(directories: &Directories) -> Vec<String> {
        let mut keys: Vec<_> = directories.noted().numbers.keys().cloned().collect();
        keys.sort();
        keys
    }

    #[test]
    fn all_directories_on_the_way_are_made_and_none_stays_unsettled() {
        let (dir, root, directories) = empty();
        for key in ["a/b/c", "a/b/d", "a/b/c", "", "x"] {
            directories.open_or_create(&root, key).unwrap();
            assert!(dir.path().join(key).is_dir());
            directories.settle(&root, key).unwrap();
            assert!(unsettled(&directories).is_empty());
        }
    }

    #[test]
    fn a_directory_that_another_has_just_made_is_settled_by_whoever_finds_it() {
        let (_dir, root, directories) = empty();
        directories.open_or_create(&root, "a/b").unwrap();
        directories.open_or_create(&root, "ab").unwrap();
        directories.settle(&root, "a").unwrap();
        assert_eq!(unsettled(&directories), ["a/b", "ab"]);
        directories.forget(&directories.notes_within("a"));
        assert_eq!(unsettled(&directories), ["ab"]);
    }

    /// Whoever has just made it anew relies on its note, and has not settled it.
    #[test]
    fn a_directory_that_was_made_again_is_not_forgotten_by_who_removed_the_former_one() {
        let (dir, root, directories) = empty();
        directories.open_or_create(&root, "a/b").unwrap();
        let former = directories.notes_within("a/b");
        std::fs::remove_dir(dir.path().join("a/b")).unwrap();
        directories.open_or_create(&root, "a/b").unwrap();
        directories.forget(&former);
        assert_eq!(unsettled(&directories), ["a", "a/b"]);
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
