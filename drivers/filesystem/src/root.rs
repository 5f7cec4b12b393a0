//! `Root`: the opened root directory, and the resolution of every path beneath it.
//!
//! The root is opened once. The kernel then resolves a path in one call that does not leave the root
//! (`openat2` with `RESOLVE_BENEATH`), so there is no window between checking a path and using it. Absent on
//! purpose: creating files, which uses a single name in an opened directory, where no link is followed.

use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};

use crate::error::Failure;
use crate::resolve_fallback;

/// Flags for a read-only directory handle, which can also sync the directory.
pub(crate) const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Flags for a handle that only identifies a file.
pub(crate) const PATH_ONLY: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// Flags for reading a file. Opening a pipe does not wait for its writer; the pipe is refused afterwards.
pub(crate) const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// How often to retry a resolution disturbed by a concurrent rename.
const RACES_TO_SURVIVE: usize = 64;

/// Device and inode, to detect a root that was replaced or opened twice.
pub(crate) type Identity = (u64, u64);

/// The root directory of a store.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    directory: OwnedFd,
    identity: Identity,
    resolver: Resolver,
    /// The user and group that own the directory, if this process is of the superuser, who does not.
    owner: Option<(Uid, Gid)>,
}

/// The kernel's support for path resolution.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Resolver {
    /// `openat2`, also restricted to cached entries (Linux 5.12).
    Cached,
    /// `openat2` (Linux 5.6).
    Beneath,
    /// No `openat2`, or a sandbox that forbids it.
    Stepwise,
}

impl Root {
    /// Opens the directory at `path`, an absolute path that may be a symbolic link.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Errno> {
        let directory = rustix::fs::open(&path, PATH_ONLY | OFlags::DIRECTORY, Mode::empty())?;
        let identity = identity(&directory)?;
        let resolver = probe(directory.as_fd());
        let owner = foreign_owner(&directory)?;
        Ok(Self { path, directory, identity, resolver, owner })
    }

    /// Gives a new file or directory to the owner of the root: commands that the superuser runs leave nothing that a registry
    /// of another user cannot use.
    pub(crate) fn hand_over(&self, new: impl AsFd) -> Result<(), Errno> {
        let Some((user, group)) = self.owner else { return Ok(()) };
        match rustix::fs::fchown(new, Some(user), Some(group)) {
            // A container without the right, and file systems that map or have no owners.
            Err(Errno::PERM | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL) => Ok(()),
            result => result,
        }
    }

    /// The path of the root.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The identity of the directory.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// Opens `key`, waiting for the disk if necessary.
    ///
    /// Returns an absence as the system reports it; [`find`](Self::find) verifies it.
    pub(crate) fn open_at(&self, key: &str, flags: OFlags) -> Result<OwnedFd, Failure> {
        if self.resolver == Resolver::Stepwise {
            return resolve_fallback::open(self.directory.as_fd(), key, flags).map_err(refusal);
        }
        let mut result = Err(Errno::AGAIN);
        for _ in 0..RACES_TO_SURVIVE {
            result = self.resolve(key, flags, ResolveFlags::empty());
            if !matches!(result, Err(Errno::AGAIN | Errno::INTR)) {
                break;
            }
        }
        result.map_err(refusal)
    }

    /// Opens `key`; [`Failure::Missing`] if it does not exist but the root does.
    pub(crate) fn find(&self, key: &str, flags: OFlags) -> Result<OwnedFd, Failure> {
        self.open_at(key, flags).map_err(|failure| match failure {
            Failure::Os(errno) if is_absence(errno) => self.missing(),
            failure => failure,
        })
    }

    /// Like [`find`](Self::find), but never waits for the disk: `None` if the result is not cached.
    pub(crate) fn find_cached(&self, key: &str, flags: OFlags) -> Result<Option<OwnedFd>, Failure> {
        if self.resolver != Resolver::Cached {
            return Ok(None);
        }
        match self.resolve(key, flags, ResolveFlags::CACHED) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            // A miss counts if the root is certainly there; otherwise the slow path verifies it.
            Err(errno) if is_absence(errno) => match self.is_there_cached() {
                true => Err(Failure::Missing),
                false => Ok(None),
            },
            Err(errno) => Err(refusal(errno)),
        }
    }

    /// A handle of the directory `key`; the empty key is the root.
    pub(crate) fn directory(&self, key: &str) -> Result<OwnedFd, Failure> {
        self.open_at(key, DIRECTORY)
    }

    /// Like [`directory`](Self::directory), but distinguishes a missing directory from a missing root.
    pub(crate) fn find_directory(&self, key: &str) -> Result<OwnedFd, Failure> {
        self.find(key, DIRECTORY)
    }

    /// Whether `key` does not exist because of a dangling link in its path.
    pub(crate) fn is_dangling(&self, key: &str) -> Result<bool, Failure> {
        for (end, _) in key.match_indices('/').chain([(key.len(), "")]) {
            let link = match self.open_at(&key[..end], PATH_ONLY | OFlags::NOFOLLOW) {
                Ok(found) => FileType::from_raw_mode(rustix::fs::fstat(found)?.st_mode) == FileType::Symlink,
                Err(Failure::Os(errno)) if is_absence(errno) => return Ok(false),
                Err(failure) => return Err(failure),
            };
            if link {
                match self.open_at(&key[..end], PATH_ONLY) {
                    Ok(_) => {}
                    Err(Failure::Os(errno)) if is_absence(errno) => return Ok(true),
                    Err(failure) => return Err(failure),
                }
            }
        }
        Ok(false)
    }

    /// The failure for a missing file, or for a missing root.
    pub(crate) fn missing(&self) -> Failure {
        match self.check() {
            Ok(()) => Failure::Missing,
            Err(failure) => failure,
        }
    }

    /// Verifies that the root's path still leads to the opened directory.
    ///
    /// Called before every write: data written to an unmounted volume's mount point, or to a directory that
    /// was moved away, would be acknowledged and then be missing.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match rustix::fs::stat(&self.path) {
            Ok(stat) if (stat.st_dev, stat.st_ino) == self.identity => Ok(()),
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::STALE) => {
                Err(Failure::RootGone(self.path.clone()))
            }
            Err(errno) => Err(Failure::Os(errno)),
        }
    }

    fn is_there_cached(&self) -> bool {
        let found = rustix::fs::openat2(CWD, &self.path, PATH_ONLY, Mode::empty(), ResolveFlags::CACHED);
        found.and_then(identity).is_ok_and(|identity| identity == self.identity)
    }

    fn resolve(&self, key: &str, flags: OFlags, more: ResolveFlags) -> Result<OwnedFd, Errno> {
        let path = if key.is_empty() { "." } else { key };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | more;
        rustix::fs::openat2(&self.directory, path, flags, Mode::empty(), resolve)
    }
}

/// See [`Root::hand_over`].
fn foreign_owner(directory: &OwnedFd) -> Result<Option<(Uid, Gid)>, Errno> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let stat = rustix::fs::fstat(directory)?;
    Ok((stat.st_uid != 0).then(|| (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid))))
}

/// The directory part and the name of `key`; an error for the root, which has no name.
pub(crate) fn split(key: &str) -> Result<(&str, &str), Failure> {
    match key.rsplit_once('/') {
        Some(split) => Ok(split),
        None if key.is_empty() => Err(Failure::Os(Errno::ISDIR)),
        None => Ok(("", key)),
    }
}

/// The key of the parent directory of `key`; the root's parent is the root.
pub(crate) fn parent_of(key: &str) -> &str {
    key.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Whether `errno` means that no file has that path. A socket is not a file; a name that is too long has
/// none.
pub(crate) fn is_absence(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::NXIO)
}

fn refusal(errno: Errno) -> Failure {
    match errno {
        Errno::XDEV => Failure::Escapes,
        errno => Failure::Os(errno),
    }
}

fn identity(directory: impl AsFd) -> Result<Identity, Errno> {
    let stat = rustix::fs::fstat(directory)?;
    Ok((stat.st_dev, stat.st_ino))
}

fn probe(directory: BorrowedFd<'_>) -> Resolver {
    let works = |resolve| rustix::fs::openat2(directory, ".", PATH_ONLY, Mode::empty(), resolve);
    if works(ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS).is_err() {
        tracing::info!("openat2 is not available; resolving paths step by step, and refusing symbolic links");
        return Resolver::Stepwise;
    }
    match works(ResolveFlags::BENEATH | ResolveFlags::CACHED) {
        Ok(_) | Err(Errno::AGAIN) => Resolver::Cached,
        Err(_) => Resolver::Beneath,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn check_resolution(resolver: Resolver, links_inside_work: bool) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("root/a")).unwrap();
        fs::write(dir.path().join("root/a/file"), "in").unwrap();
        fs::write(dir.path().join("secret"), "out").unwrap();
        symlink("..", dir.path().join("root/up")).unwrap();
        symlink("../../secret", dir.path().join("root/a/direct")).unwrap();
        symlink(dir.path(), dir.path().join("root/absolute")).unwrap();
        symlink("a", dir.path().join("root/inside")).unwrap();
        let root = Root { resolver, ..Root::open(dir.path().join("root")).unwrap() };

        root.find("a/file", READ).unwrap();
        root.find("a/file", PATH_ONLY).unwrap();
        root.find_directory("").unwrap();
        assert!(matches!(root.find("a/none", READ), Err(Failure::Missing)));
        assert!(matches!(root.find("a/file/none", READ), Err(Failure::Missing)));
        for escape in ["up/secret", "a/direct", "absolute/secret"] {
            for flags in [READ, PATH_ONLY] {
                let result = root.find(escape, flags);
                assert!(
                    matches!(result, Err(Failure::Escapes)),
                    "{resolver:?} {escape} {flags:?}: {result:?}"
                );
            }
        }
        assert_eq!(root.find("inside/file", READ).is_ok(), links_inside_work);
    }

    #[test]
    fn no_resolver_leaves_the_root() {
        check_resolution(Resolver::Cached, true);
        check_resolution(Resolver::Beneath, true);
        check_resolution(Resolver::Stepwise, false);
    }

    #[test]
    fn a_root_that_was_replaced_is_not_an_empty_store() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root");
        fs::create_dir(&path).unwrap();
        let root = Root::open(path.clone()).unwrap();
        assert!(matches!(root.find("a", READ), Err(Failure::Missing)));

        fs::rename(&path, dir.path().join("elsewhere")).unwrap();
        assert!(matches!(root.find("a", READ), Err(Failure::RootGone(_))));
        fs::create_dir(&path).unwrap();
        assert!(matches!(root.find("a", READ), Err(Failure::RootGone(_))));
        assert!(matches!(root.find_cached("a", READ), Ok(None)));
    }

    #[test]
    fn the_root_may_be_a_symbolic_link() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("real")).unwrap();
        fs::write(dir.path().join("real/file"), "x").unwrap();
        symlink("real", dir.path().join("root")).unwrap();
        let root = Root::open(dir.path().join("root")).unwrap();
        root.find("file", READ).unwrap();
        assert!(matches!(root.find("none", READ), Err(Failure::Missing)));
    }
}
