//! Making files visible, whole and durable: the order of syncs and renames.
//!
//! Each function publishes in this order: content and date to disk, the directories above to disk, the new name, the directory of
//! the name to disk. A crash in between leaves a temporary or staged file, never a part of a published one.
//! New directories are made before the content goes to disk, so that a file system with a journal writes them down with it.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, fsync};
use rustix::io::Errno;
use sampan_driver::PutMode;
use uuid::Uuid;

use crate::directories::sync;
use crate::error::Failure;
use crate::file;
use crate::remove;
use crate::root::{READ, parent_of, split};
use crate::staging::Staged;
use crate::store::Store;

/// How often a publication is begun again whose directory is deleted under it.
const DELETIONS_TO_SURVIVE: usize = 8;

/// The longest name that file systems take.
const NAME_MAX: usize = 255;

/// Publishes `content` at `key`.
pub(crate) fn put(store: &Store, key: &str, content: &[u8], mode: PutMode) -> Result<(), Failure> {
    retry_absence(|| put_once(store, key, content, mode))
}

/// Moves the file `from` to `to` and dates it now.
pub(crate) fn rename(store: &Store, from: &str, to: &str) -> Result<(), Failure> {
    retry_absence(|| rename_once(store, from, to))
}

/// Publishes the staged file at `to`, if it still is what was staged and has `size_bytes`.
pub(crate) fn commit(store: &Store, staged: &Staged, to: &str, size_bytes: u64) -> Result<(), Failure> {
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
    write_all(&temporary.file, content)?;
    file::date_now(&temporary.file)?;
    let is_durable = mode != PutMode::Transient;
    if is_durable {
        fsync(&temporary.file)?;
    }
    // A directory may be lost with what is transient in it, but others will rely on those above.
    store.directories.settle(&store.root, if is_durable { parent } else { parent_of(parent) })?;
    match mode {
        PutMode::Overwrite | PutMode::Transient => temporary.replace(name)?,
        PutMode::Create => match temporary.take_free(name) {
            Err(Errno::EXIST) => return Err(already_there(&directory)?),
            result => result?,
        },
    }
    if is_durable {
        sync(&directory)?;
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

/// Renames the opened file `from` in its opened directory to the key `to`, and syncs the file and both directories.
///
/// A source directory that becomes empty goes, too: it was that of an upload.
fn move_entry(store: &Store, file: &OwnedFd, source: &OwnedFd, from: &str, to: &str) -> Result<(), Failure> {
    let ((source_parent, name), (target_parent, target_name)) = (split(from)?, split(to)?);
    let target = store.directories.open_or_create(&store.root, target_parent)?;
    fsync(file)?;
    store.directories.settle(&store.root, target_parent)?;
    match rustix::fs::renameat(source, name, &target, target_name) {
        Err(Errno::XDEV) => return Err(Failure::OtherFileSystem),
        result => result?,
    }
    sync(&target)?;
    if source_parent != target_parent {
        // Or the old name could come back, and who appends to it would append to what is published.
        sync(source)?;
        remove::if_empty(store, source_parent);
    }
    Ok(())
}

/// The loser's answer, given only when the winner's file is durable: the loser may build on it.
fn already_there(directory: &OwnedFd) -> Result<Failure, Failure> {
    sync(directory)?;
    Ok(Failure::Exists)
}

fn exists(directory: &OwnedFd, name: &str) -> Result<bool, Failure> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Repeats what failed because a directory was deleted between its opening and its use.
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
        match rustix::io::write(file, content) {
            Ok(written) => content = &content[written..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// A file under a name of its own beside its later place; removed unless it is published.
struct Temporary<'a> {
    directory: BorrowedFd<'a>,
    name: String,
    file: OwnedFd,
    published: bool,
}

impl<'a> Temporary<'a> {
    fn create(directory: BorrowedFd<'a>, beside: &str) -> Result<Self, Errno> {
        let suffix = format!(".{}.tmp", Uuid::new_v4());
        // Names are ASCII, so a long one can be cut anywhere.
        let name = format!("{}{suffix}", &beside[..beside.len().min(NAME_MAX - suffix.len())]);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(directory, &name, flags, Mode::from_raw_mode(0o666))?;
        Ok(Self { directory, name, file, published: false })
    }

    /// Takes the place of whatever has `name`.
    fn replace(mut self, name: &str) -> Result<(), Errno> {
        rustix::fs::renameat(self.directory, &self.name, self.directory, name)?;
        self.published = true;
        Ok(())
    }

    /// Takes `name` if nobody has it; `EXIST` if somebody has.
    fn take_free(mut self, name: &str) -> Result<(), Errno> {
        let directory = self.directory;
        match rustix::fs::renameat_with(directory, &self.name, directory, name, RenameFlags::NOREPLACE) {
            Ok(()) => self.published = true,
            // Some file systems cannot. A hard link is refused just so, and the drop below removes the first name.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(directory, &self.name, directory, name, AtFlags::empty())?;
            }
            Err(errno) => return Err(errno),
        }
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        if let Err(errno) = rustix::fs::unlinkat(self.directory, &self.name, AtFlags::empty())
            && errno != Errno::NOENT
        {
            tracing::warn!(name = self.name, error = %errno, "temporary file stays behind: {}: {errno}", self.name);
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
    fn the_temporary_file_lies_beside_its_place_and_is_named_as_distribution_names_it() {
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
    fn a_name_is_taken_once_by_either_way() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let directory = store.root.directory("").unwrap();
        Temporary::create(directory.as_fd(), "x").unwrap().take_free("x").unwrap();
        let second = Temporary::create(directory.as_fd(), "x").unwrap().take_free("x");
        assert_eq!(second, Err(Errno::EXIST));
        assert_eq!(names(dir.path()), ["x"]);
    }
}
