//! Makes files visible, whole and durable: the order of syncs and renames.
//!
//! Each function publishes in this order: sync the content and time, sync the parent directories, create the
//! new name, sync its directory. A crash in between leaves a temporary or staged file, never a part of a
//! published one. New directories are created before the content is synced, so that a journaling file system
//! writes them with it.
//!
//! A failed sync is final. The kernel reports a lost page or entry once; the next sync succeeds. So content
//! that did not reach the disk is removed at once, and so is a new name that did not: neither can be
//! published, or relied upon, from memory. A replacement stays: before and after a power failure the name has
//! either the old or the new file, whole, and the writer got an error.

use std::sync::Arc;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use sampan_driver::PutMode;
use uuid::Uuid;

use crate::disk;
use crate::disk_problem::EndsBy;
use crate::error::Failure;
use crate::file;
use crate::remove;
use crate::root::{READ, split};
use crate::staging::Staged;
use crate::store::Store;

/// How often to retry a publication whose directory is deleted meanwhile.
const DELETIONS_TO_SURVIVE: usize = 8;

/// The longest name that file systems accept, in bytes.
const NAME_MAX: usize = 255;

/// Publishes `content` at `key`.
pub(crate) fn put(store: &Store, key: &str, content: &[u8], mode: PutMode) -> Result<(), Failure> {
    retry_absence(|| put_once(store, key, content, mode))
}

/// Moves the file `from` to `to` and sets its time to now.
pub(crate) fn rename(store: &Store, from: &str, to: &str) -> Result<(), Failure> {
    retry_absence(|| rename_once(store, from, to))
}

/// Publishes the staged file at `to`, if it is still the staged one and has `size_bytes`.
pub(crate) fn commit(store: &Store, staged: &Staged, to: &str, size_bytes: u64) -> Result<(), Failure> {
    store.check_writable()?;
    store.root.check()?;
    let found = staged.size_bytes()?;
    if found != size_bytes {
        return Err(Failure::SizeChanged { expected: size_bytes, found });
    }
    file::date_now(staged.file())?;
    retry_absence(|| {
        let (parent, source_name) = split(staged.key())?;
        let source = store.root.find_directory(parent)?;
        if !file::is_at(staged.file(), &source, source_name)? {
            return Err(Failure::Missing); // The upload was deleted meanwhile.
        }
        move_entry(store, staged.file(), &source, staged.key(), to)
    })
}

fn put_once(store: &Store, key: &str, content: &[u8], mode: PutMode) -> Result<(), Failure> {
    store.root.check()?;
    let (parent, name) = split(key)?;
    let directory = store.directories.open_or_create(&store.root, parent)?;
    if mode == PutMode::Create && exists(&directory, name)? {
        return Err(already_there(&directory)?);
    }
    let temporary = Temporary::create(directory.as_fd(), name)?;
    store.root.hand_over(&temporary.file)?;
    write_all(&temporary.file, content)?;
    file::date_now(&temporary.file)?;
    let is_durable = mode != PutMode::Transient;
    if is_durable {
        disk::sync_file(&temporary.file).map_err(Failure::NotOnDisk)?;
    }
    let replaces = is_durable && mode != PutMode::Create && exists(&directory, name)?;
    match is_durable {
        true => store.directories.sync_new(&store.root, parent)?,
        false => store.directories.sync_new_for_transient(&store.root, parent)?,
    }
    let published = match mode {
        PutMode::Overwrite | PutMode::Transient => temporary.replace(name)?,
        PutMode::Create => match temporary.take_free(name) {
            Err(Errno::EXIST) => return Err(already_there(&directory)?),
            result => result?,
        },
    };
    if is_durable {
        sync_name(&directory, name, &published, replaces)?;
    }
    Ok(())
}

fn rename_once(store: &Store, from: &str, to: &str) -> Result<(), Failure> {
    store.root.check()?;
    let (parent, name) = split(from)?;
    let source = store.root.find_directory(parent)?;
    let moved = match rustix::fs::openat(&source, name, READ | OFlags::NOFOLLOW, Mode::empty()) {
        Err(Errno::NOENT) => return Err(store.root.missing()),
        result => result?,
    };
    if !file::is_regular(&rustix::fs::fstat(&moved)?) {
        return Err(Failure::Missing);
    }
    file::date_now(&moved)?;
    move_entry(store, &moved, &source, from, to)
}

/// Renames the opened file `from` in its opened directory to the key `to`, and syncs the file and both
/// directories.
///
/// Removes a source directory that becomes empty, because it was an upload's. Removes a file that did not
/// reach the disk.
fn move_entry(store: &Store, file: &OwnedFd, source: &OwnedFd, from: &str, to: &str) -> Result<(), Failure> {
    let ((source_parent, name), (target_parent, target_name)) = (split(from)?, split(to)?);
    let target = store.directories.open_or_create(&store.root, target_parent)?;
    if let Err(errno) = disk::sync_file(file) {
        if file::is_at(file, source, name)? {
            disk::unlink(source, name, AtFlags::empty())?;
        }
        return Err(Failure::NotOnDisk(errno));
    }
    store.directories.sync_new(&store.root, target_parent)?;
    let replaces = exists(&target, target_name)?;
    match disk::rename(source, name, &target, target_name, RenameFlags::empty()) {
        Err(Errno::XDEV) => return Err(Failure::OtherFileSystem),
        result => result?,
    }
    sync_name(&target, target_name, file, replaces)?;
    if source_parent != target_parent {
        // Otherwise the old name could reappear, and an append to it would change the published file.
        disk::sync_directory(source)
            .map_err(|errno| Failure::EntryNotOnDisk { errno, ends: EndsBy::ByRestart })?;
        remove::if_empty(store, source_parent);
    }
    Ok(())
}

/// Syncs the new `name` of `file`. Removes a new name that may not be on disk, unless it replaced another
/// file.
fn sync_name(directory: &OwnedFd, name: &str, file: &OwnedFd, replaces: bool) -> Result<(), Failure> {
    let Err(errno) = disk::sync_directory(directory) else { return Ok(()) };
    let is_in_doubt = match file::is_at(file, directory, name) {
        Ok(true) if !replaces => disk::unlink(directory, name, AtFlags::empty()).is_err(),
        Ok(_) => false,
        Err(_) => true,
    };
    let ends = if is_in_doubt { EndsBy::ByRestart } else { EndsBy::ByProbe };
    Err(Failure::EntryNotOnDisk { errno, ends })
}

/// The loser's error, returned only when the winner's file is durable, because the loser may rely on it.
fn already_there(directory: &OwnedFd) -> Result<Failure, Failure> {
    disk::sync_directory(directory)
        .map_err(|errno| Failure::EntryNotOnDisk { errno, ends: EndsBy::ByRestart })?;
    Ok(Failure::Exists)
}

fn exists(directory: &OwnedFd, name: &str) -> Result<bool, Failure> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Retries `attempt` when a directory was deleted between its opening and its use.
fn retry_absence(mut attempt: impl FnMut() -> Result<(), Failure>) -> Result<(), Failure> {
    for _ in 1..DELETIONS_TO_SURVIVE {
        match attempt() {
            Err(failure) if failure.is_absence() => {}
            result => return result,
        }
    }
    attempt()
}

fn write_all(file: &OwnedFd, mut content: &[u8]) -> Result<(), Errno> {
    while !content.is_empty() {
        match disk::write(file, content) {
            Ok(written) => content = &content[written..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// A file under a temporary name beside its target; removed unless it is published.
struct Temporary<'a> {
    directory: BorrowedFd<'a>,
    name: String,
    file: Arc<OwnedFd>,
    is_published: bool,
}

impl<'a> Temporary<'a> {
    fn create(directory: BorrowedFd<'a>, beside: &str) -> Result<Self, Errno> {
        let suffix = format!(".{}.tmp", Uuid::new_v4());
        // Names are ASCII, so any cut is valid.
        let name = format!("{}{suffix}", &beside[..beside.len().min(NAME_MAX - suffix.len())]);
        let file = Arc::new(disk::create(directory, &name, OFlags::WRONLY)?);
        Ok(Self { directory, name, file, is_published: false })
    }

    /// Publishes the file as `name`, replacing an existing one.
    fn replace(mut self, name: &str) -> Result<Arc<OwnedFd>, Errno> {
        disk::rename(self.directory, &self.name, self.directory, name, RenameFlags::empty())?;
        self.is_published = true;
        Ok(Arc::clone(&self.file))
    }

    /// Publishes the file as `name`; `EXIST` if the name is taken.
    fn take_free(mut self, name: &str) -> Result<Arc<OwnedFd>, Errno> {
        let directory = self.directory;
        match disk::rename(directory, &self.name, directory, name, RenameFlags::NOREPLACE) {
            Ok(()) => self.is_published = true,
            // For file systems without `RENAME_NOREPLACE`: creating a hard link fails likewise, and the drop
            // below removes the first name.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => disk::link(directory, &self.name, name)?,
            Err(errno) => return Err(errno),
        }
        Ok(Arc::clone(&self.file))
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if self.is_published {
            return;
        }
        if let Err(errno) = disk::unlink(self.directory, &self.name, AtFlags::empty())
            && errno != Errno::NOENT
        {
            tracing::warn!(name = self.name, error = %errno, "cannot remove the temporary file {}: {errno}", self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(dir: &tempfile::TempDir) -> Store {
        Store::open(dir.path().to_owned(), 25).unwrap()
    }

    fn names(dir: &std::path::Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_publication_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        put(&store, "a/taken/x", b"x", PutMode::Overwrite).unwrap();
        let failure = put(&store, "a/taken", b"y", PutMode::Overwrite).unwrap_err();
        assert!(matches!(failure, Failure::Os(Errno::ISDIR)), "{failure:?}");
        let failure = put(&store, "a/taken/x", b"y", PutMode::Create).unwrap_err();
        assert!(matches!(failure, Failure::Exists), "{failure:?}");
        assert_eq!(names(&dir.path().join("a")), ["taken"]);
        assert_eq!(names(&dir.path().join("a/taken")), ["x"]);
    }

    #[test]
    fn the_longest_names_can_be_published() {
        let dir = tempfile::tempdir().unwrap();
        let name = "n".repeat(NAME_MAX);
        put(&store(&dir), &name, b"x", PutMode::Create).unwrap();
        assert_eq!(names(dir.path()), [name]);
    }

    #[test]
    fn the_temporary_file_is_beside_its_target_with_distributions_name() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let directory = store.root.directory("").unwrap();
        let temporary = Temporary::create(directory.as_fd(), "link").unwrap();
        let [name] = names(dir.path()).try_into().unwrap();
        let id = name.strip_prefix("link.").unwrap().strip_suffix(".tmp").unwrap();
        Uuid::parse_str(id).unwrap();
        drop(temporary);
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn a_name_is_taken_once_by_either_method() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let directory = store.root.directory("").unwrap();
        Temporary::create(directory.as_fd(), "x").unwrap().take_free("x").unwrap();
        let second = Temporary::create(directory.as_fd(), "x").unwrap().take_free("x");
        assert_eq!(second.err(), Some(Errno::EXIST));
        assert_eq!(names(dir.path()), ["x"]);
    }
}
