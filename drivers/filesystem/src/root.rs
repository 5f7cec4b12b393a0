//! `Root`: the opened root directory, and the resolution of every path beneath it.
//!
//! The root is opened once. A path is then resolved by the kernel in one call that refuses to leave the root
//! (`openat2` with `RESOLVE_BENEATH`), so there is no window between checking a path and using it.
//! Absent on purpose: creating files. That happens by a single name in an opened directory, where no link is followed.

use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::Failure;
use crate::resolve_fallback;

/// Makes a read-only handle on a directory, good for syncing it too.
pub(crate) const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Makes a handle that can only be asked what it is.
pub(crate) const PATH_ONLY: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// Opens a file for reading. A pipe that somebody put there is opened without waiting for its writer, and refused afterwards.
pub(crate) const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// How often a resolution is begun again that a concurrent rename has disturbed.
const RACES_TO_SURVIVE: usize = 64;

/// Device and inode, by which a root that was replaced is noticed, and one that was opened twice.
pub(crate) type Identity = (u64, u64);

/// The root directory of a store.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    directory: OwnedFd,
    identity: Identity,
    resolver: Resolver,
}

/// What the kernel offers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Resolver {
    /// `openat2`, also from what is in memory alone (Linux 5.12).
    Cached,
    /// `openat2` (Linux 5.6).
    Beneath,
    /// Neither, or a sandbox that forbids them.
    Stepwise,
}

impl Root {
    /// Opens the directory at `path`, an absolute path that may be a symbolic link.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Errno> {
        let directory = rustix::fs::open(&path, PATH_ONLY | OFlags::DIRECTORY, Mode::empty())?;
        let identity = identity(&directory)?;
        let resolver = probe(directory.as_fd());
        Ok(Self { path, directory, identity, resolver })
    }

    /// Where the root is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Which directory it is.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// Opens what `key` names, waiting for the disk if need be.
    ///
    /// An absence is reported as the system does; [`find`](Self::find) is for those who want to know whether it is true.
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

    /// Opens what `key` names, which is [`Failure::Missing`] if it is not there though the root is.
    pub(crate) fn find(&self, key: &str, flags: OFlags) -> Result<OwnedFd, Failure> {
        self.open_at(key, flags).map_err(|failure| match failure {
            Failure::Os(errno) if is_absence(errno) => self.missing(),
            failure => failure,
        })
    }

    /// Like [`find`](Self::find), but never waits for the disk: `None` when the answer is not in memory.
    pub(crate) fn find_cached(&self, key: &str, flags: OFlags) -> Result<Option<OwnedFd>, Failure> {
        if self.resolver != Resolver::Cached {
            return Ok(None);
        }
        match self.resolve(key, flags, ResolveFlags::CACHED) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            // A miss is believed if the root is certainly there, and looked into with more patience if not.
            Err(errno) if is_absence(errno) => match self.is_there_cached() {
                true => Err(Failure::Missing),
                false => Ok(None),
            },
            Err(errno) => Err(refusal(errno)),
        }
    }

    /// A handle on the directory `key`, empty for the root itself.
    pub(crate) fn directory(&self, key: &str) -> Result<OwnedFd, Failure> {
        self.open_at(key, DIRECTORY)
    }

    /// Like [`directory`](Self::directory), but tells a missing directory from a missing root.
    pub(crate) fn find_directory(&self, key: &str) -> Result<OwnedFd, Failure> {
        self.find(key, DIRECTORY)
    }

    /// Whether `key` is not there because a link on the way leads nowhere.
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

    /// What to answer when something was not found: that, unless the root itself is gone.
    pub(crate) fn missing(&self) -> Failure {
        match self.check() {
            Ok(()) => Failure::Missing,
            Err(failure) => failure,
        }
    }

    /// Verifies that the path of the root still leads to the directory that was opened.
    ///
    /// Asked before every write: what is written to an unmounted volume's mount point, or to a directory that was moved away,
    /// would be acknowledged and then not be there.
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

/// The directory part and the name of `key`; no name is a directory's, hence the error for the root.
pub(crate) fn split(key: &str) -> Result<(&str, &str), Failure> {
    match key.rsplit_once('/') {
        Some(split) => Ok(split),
        None if key.is_empty() => Err(Failure::Os(Errno::ISDIR)),
        None => Ok(("", key)),
    }
}

/// The key of the directory that `key` lies in; of the root's own, the root.
pub(crate) fn parent_of(key: &str) -> &str {
    key.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Whether `errno` says that there is no file of that path. A socket is no file; a name too long has none.
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
        tracing::info!(
            "openat2 is not available here; paths are resolved step by step, and symbolic links are refused"
        );
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
    fn no_way_of_resolving_leaves_the_root() {
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
