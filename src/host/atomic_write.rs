//! Replaces a file atomically.
//!
//! All functions block and belong [on the blocking pool](crate::blocking::on_blocking_pool).

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::geteuid;

/// Whether a write may replace an existing file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Existing {
    /// Replace it; the new file gets its mode and owner.
    Replace,
    /// Keep it and fail.
    Keep,
}

/// Writes a file so that every reader sees either the old or the new content.
///
/// A new file gets `mode`, and that of root [the owner of its folder](hand_over). A symlink stays, and its target is replaced. A crash leaves the old file, perhaps
/// with a temporary file named `.NAME.…` beside it.
///
/// # Errors
///
/// The file is not writable, exists but must not, is no regular file, or would change its owner by being replaced.
pub fn write_atomically(path: &Path, content: &[u8], mode: u32, existing: Existing) -> io::Result<()> {
    let path = match existing {
        Existing::Replace => fs::canonicalize(path).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(path.to_owned()),
            _ => Err(error),
        })?,
        Existing::Keep => path.to_owned(),
    };
    let old = fs::metadata(&path).ok().filter(|_| existing == Existing::Replace);
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a directory, a device or a pipe; give the path of a file",
        ));
    }
    let folder = folder_of(&path);
    let name = path.file_name().ok_or_else(|| io::Error::other("the path does not end in a file name"))?;
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    let mut temporary = tempfile::Builder::new().prefix(&prefix).tempfile_in(&folder)?;
    match old {
        Some(old) => take_over(temporary.as_file(), &old)?,
        None => {
            hand_over(temporary.as_file(), &path)?;
            temporary.as_file().set_permissions(Permissions::from_mode(mode))?;
        }
    }
    temporary.write_all(content)?;
    temporary.as_file().sync_all()?;
    match existing {
        Existing::Replace => temporary.persist(&path),
        Existing::Keep => temporary.persist_noclobber(&path),
    }
    .map_err(|error| explain_busy(error.error))?;
    File::open(folder)?.sync_all()
}

/// Creates the folder of `path`, and those above it, accessible to the owner only.
///
/// # Errors
///
/// One of them cannot be created.
pub fn create_private_folder_of(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder_of(path))
}

/// Keeps other callers away from `path` until the lock is dropped. A write replaces the file itself, so its folder is locked.
///
/// # Errors
///
/// The folder does not exist or is not accessible.
pub fn lock_folder_of(path: &Path) -> io::Result<File> {
    // A link may lead to a file elsewhere.
    let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = File::open(folder_of(&file))?;
    match flock(&folder, FlockOperation::LockExclusive) {
        // Some network file systems have no locks.
        Ok(()) | Err(Errno::NOTSUP | Errno::NOSYS | Errno::NOLCK) => Ok(folder),
        Err(error) => Err(error.into()),
    }
}

/// The folder of `path`, which is the present one for a mere name.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Gives a file that root has just made to the owner of its folder: a command of root may be the first to write a file that the
/// registry, as another user, continues with.
///
/// # Errors
///
/// The folder is not accessible, or the owner cannot be changed for another reason than a missing right.
pub fn hand_over(new: &File, path: &Path) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let folder = fs::metadata(folder_of(path))?;
    let handed_over = std::os::unix::fs::fchown(new, Some(folder.uid()), Some(folder.gid()));
    handed_over.or_else(|error| match Errno::from_io_error(&error) {
        // A container without the right, or in which the owner has no number, and file systems without owners.
        Some(Errno::PERM | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(()),
        _ => Err(error),
    })
}

/// Gives `new` the mode and owner of the file that it will replace, so that the same users can read it.
fn take_over(new: &File, old: &Metadata) -> io::Result<()> {
    let ours = new.metadata()?;
    if (ours.uid(), ours.gid()) != (old.uid(), old.gid()) {
        std::os::unix::fs::fchown(new, Some(old.uid()), Some(old.gid())).map_err(|error| {
            let owner = format!("{}:{}", old.uid(), old.gid());
            io::Error::new(
                error.kind(),
                format!("replacing the file would change its owner {owner}: {error}"),
            )
        })?;
    }
    new.set_permissions(Permissions::from_mode(old.mode() & 0o7777))
}

/// Explains EBUSY: a single file mounted into a container cannot be replaced by a rename.
fn explain_busy(error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::ResourceBusy {
        return error;
    }
    let remedy = "the file is a mount point and cannot be replaced here: change it at its source";
    io::Error::new(error.kind(), format!("{remedy} ({error})"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, FileType, Mode};

    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_new_file_gets_the_mode_and_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        write_atomically(&path, b"x", 0o600, Existing::Keep).unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode_of(&path)), (b"x".to_vec(), 0o600));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_device_or_a_pipe_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        for path in [pipe.as_path(), Path::new("/dev/null"), dir.path()] {
            let error = write_atomically(path, b"x", 0o600, Existing::Replace).unwrap_err();
            assert!(error.to_string().contains("give the path of a file"), "{error}");
        }
        assert!(!fs::metadata(&pipe).unwrap().is_file());
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_and_its_symlink() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        symlink("file", &link).unwrap();
        write_atomically(&link, b"new", 0o600, Existing::Replace).unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode_of(&path)), (b"new".to_vec(), 0o640));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn an_existing_file_is_kept_on_request() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "old").unwrap();
        let refused = write_atomically(&path, b"new", 0o600, Existing::Keep).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}
