//! `Directories`: makes the directories on the way to a file, durably.
//!
//! The invariant: when [`settle`](Directories::settle) returns, the directory and all above it would survive a power failure, or
//! will with what is synced in it next: it depends on the file system ([`SyncRule`]). Where a directory is durable with its
//! content, nothing is noted and nothing settled. Where each is synced through its parent:
//!
//! That needs care when two writers need the same new directory, for the second finds it already there, though the first has not
//! yet synced its entry. So a directory is noted as unsynced *before* it is made, and everybody who finds one of the noted
//! directories on the way syncs it too.
//!
//! Making and settling are two steps, because what is written in between takes the journal of most file systems to disk, and the
//! new directories with it: then there is little left to do.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fd::OwnedFd;
use rustix::io::Errno;

use crate::disk;
use crate::error::Failure;
use crate::root::{Root, parent_of, split};
use crate::sync_rule::SyncRule;
use crate::trouble::Ends;

/// The directories that were made and not yet synced.
#[derive(Debug)]
pub(crate) struct Directories {
    rule: SyncRule,
    /// A blocking lock, held for look-ups only.
    unsynced: Mutex<UnsyncedSet>,
}

/// UnsyncedSet of directories whose entry in their parent may not be on disk.
#[derive(Debug, Default)]
struct UnsyncedSet {
    /// In order, so that what is below a directory is found without a look at all others.
    numbers: BTreeMap<String, u64>,
    last: u64,
}

/// How many notes are kept for what nobody relies on. An upload that was begun leaves one until it ends or is purged, days later;
/// beyond this number each is settled at once, which costs a sync.
const MOST_NOTES: usize = 10_000;

/// A note, as it was when somebody looked. Whoever crosses it out leaves alone what was noted since: a directory that went in
/// the meantime, and was made again by somebody else, is another one.
#[derive(Debug)]
pub(crate) struct Note {
    directory: String,
    number: u64,
}

impl UnsyncedSet {
    fn add(&mut self, directory: &str) {
        self.last += 1;
        self.numbers.insert(directory.to_owned(), self.last);
    }

    fn of(&self, directory: &str) -> Option<Note> {
        let number = *self.numbers.get(directory)?;
        Some(Note { directory: directory.to_owned(), number })
    }

    /// Those of the directory `key` and of what is below it.
    fn within(&self, key: &str) -> Vec<Note> {
        // The next character after the slash ends the range.
        let (begin, end) = (format!("{key}/"), format!("{key}0"));
        let below = self.numbers.range(begin..end);
        let below = below.map(|(directory, number)| Note { directory: directory.clone(), number: *number });
        self.of(key).into_iter().chain(below).collect()
    }

    fn remove_if_unchanged(&mut self, note: &Note) {
        if self.numbers.get(&note.directory) == Some(&note.number) {
            self.numbers.remove(&note.directory);
        }
    }
}

impl Directories {
    /// None yet, on a file system where `rule` holds.
    pub(crate) fn new(rule: SyncRule) -> Self {
        Self { rule, unsynced: Mutex::default() }
    }

    /// Opens the directory `key`, making it and those above it if need be; never the root itself. They are not settled.
    pub(crate) fn open_or_create(&self, root: &Root, key: &str) -> Result<OwnedFd, Failure> {
        match root.directory(key) {
            Err(failure) if failure.is_absence() => self.create(root, key),
            result => result,
        }
    }

    /// Makes the directory `key` and those above it durable, as far as they are new.
    pub(crate) fn sync_new(&self, root: &Root, key: &str) -> Result<(), Failure> {
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
                Ok(parent) => disk::sync_directory(&parent)
                    .map_err(|errno| Failure::EntryNotOnDisk { errno, ends: Ends::ByRestart })?,
                Err(failure) if failure.is_absence() => {} // Deleted since, and with it what was to be synced.
                Err(failure) => return Err(failure),
            }
            self.noted().remove_if_unchanged(&note);
        }
        Ok(())
    }

    /// What a directory needs for something that a power failure may take away, together with the directory.
    pub(crate) fn sync_new_for_transient(&self, root: &Root, key: &str) -> Result<(), Failure> {
        let are_many = self.noted().numbers.len() > MOST_NOTES;
        // Others will rely on the directories above.
        self.sync_new(root, if are_many { key } else { parent_of(key) })
    }

    /// The notes of the directory `key` and of what is below it, for whoever is about to remove all of that.
    pub(crate) fn notes_within(&self, key: &str) -> Vec<Note> {
        self.noted().within(key)
    }

    /// Forgets directories that are no more.
    pub(crate) fn forget(&self, removed: &[Note]) {
        let mut noted = self.noted();
        removed.iter().for_each(|note| noted.remove_if_unchanged(note));
    }

    fn create(&self, root: &Root, key: &str) -> Result<OwnedFd, Failure> {
        let way: Vec<&str> = with_ancestors(key).collect();
        let (mut directory, missing) = deepest(root, &way)?;
        let is_noted = match self.rule {
            SyncRule::EachParent => true,
            // Another file system may be mounted here.
            SyncRule::WithItsContent(device) => rustix::fs::fstat(&directory)?.st_dev != device,
        };
        let note = |directory: &str| {
            if is_noted {
                self.noted().add(directory);
            }
        };
        for &made in missing {
            let (_, name) = split(made)?;
            note(made);
            match disk::make_directory(&directory, name) {
                // Noted again: since the first note somebody may have synced and deleted a directory of this name.
                Ok(()) => note(made),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
            directory = root.directory(made)?;
        }
        Ok(directory)
    }

    fn noted(&self) -> MutexGuard<'_, UnsyncedSet> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn empty() -> (TempDir, Root, Directories) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path().to_owned()).unwrap();
        (dir, root, Directories::new(SyncRule::EachParent))
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
            directories.sync_new(&root, key).unwrap();
            assert!(unsettled(&directories).is_empty());
        }
    }

    #[test]
    fn a_directory_that_another_has_just_made_is_settled_by_whoever_finds_it() {
        let (_dir, root, directories) = empty();
        directories.open_or_create(&root, "a/b").unwrap();
        directories.open_or_create(&root, "ab").unwrap();
        directories.sync_new(&root, "a").unwrap();
        assert_eq!(unsettled(&directories), ["a/b", "ab"]);
        directories.forget(&directories.notes_within("a"));
        assert_eq!(unsettled(&directories), ["ab"]);
    }

    #[test]
    fn what_is_durable_with_its_content_is_not_noted() {
        let (dir, root, _) = empty();
        let device = root.identity().0;
        for (rule, noted) in [
            (SyncRule::WithItsContent(device), vec![]),
            (SyncRule::WithItsContent(device + 1), vec!["b", "b/c"]),
        ] {
            let directories = Directories::new(rule);
            directories.open_or_create(&root, "b/c").unwrap();
            assert_eq!(unsettled(&directories), noted);
            std::fs::remove_dir_all(dir.path().join("b")).unwrap();
        }
    }

    #[test]
    fn notes_of_what_was_begun_do_not_slow_others_and_have_a_bound() {
        let (_dir, root, directories) = empty();
        for number in 0..MOST_NOTES {
            directories.noted().add(&format!("u/{number:05}"));
        }
        let (of_one, of_all) = (directories.notes_within("u/00007"), directories.notes_within("u"));
        assert_eq!((of_one.len(), of_all.len()), (1, MOST_NOTES));
        assert!(directories.notes_within("u/0000").is_empty(), "a part of a name is no directory");
        for key in ["u/a", "u/b"] {
            directories.open_or_create(&root, key).unwrap();
            directories.sync_new_for_transient(&root, key).unwrap();
        }
        assert!(directories.notes_within("u/b").is_empty(), "it is settled, since there are too many");
    }

    #[test]
    fn the_longest_notes_take_no_more_than_their_share() {
        let (_dir, _root, directories) = empty();
        let repository = "a".repeat(255);
        for number in 0..MOST_NOTES {
            directories
                .noted()
                .add(&format!("docker/registry/v2/repositories/{repository}/_uploads/{number:036}"));
        }
        let noted = directories.noted();
        // A tree may be half empty.
        let texts: usize = noted.numbers.keys().map(|directory| directory.capacity() + 16).sum();
        let bytes = texts + noted.numbers.len() * 2 * (size_of::<(String, u64)>() + 2);
        assert!(bytes <= 8 << 20, "{bytes}");
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
        let result = Directories::new(SyncRule::EachParent).open_or_create(&root, "a/b/c");
        assert!(matches!(result, Err(Failure::Os(Errno::NOTDIR))), "{result:?}");
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"content");
    }
}
