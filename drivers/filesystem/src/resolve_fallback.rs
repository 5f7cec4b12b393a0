//! Path resolution for systems without `openat2`: one component at a time, following no symbolic links.
//!
//! Stricter than the kernel's resolution and several calls longer, but as safe: each step starts from an
//! opened directory.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Opens `key` beneath `root`; `XDEV` if the path contains a symbolic link.
pub(crate) fn open(root: BorrowedFd<'_>, key: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    if key.is_empty() {
        return rustix::fs::openat(root, ".", flags, Mode::empty());
    }
    let mut held: Option<OwnedFd> = None;
    let mut components = key.split('/').peekable();
    while let Some(name) = components.next() {
        let directory = held.as_ref().map_or(root, AsFd::as_fd);
        if components.peek().is_none() {
            return step(directory, name, flags);
        }
        held = Some(step(directory, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC)?);
    }
    Err(Errno::NOENT)
}

fn step(directory: BorrowedFd<'_>, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let opened = rustix::fs::openat(directory, name, flags | OFlags::NOFOLLOW, Mode::empty());
    let may_be_link = match opened {
        Ok(_) => flags.contains(OFlags::PATH), // With `PATH`, the handle may be one of the link itself.
        Err(errno) => matches!(errno, Errno::LOOP | Errno::NOTDIR),
    };
    if may_be_link && is_link(directory, name) {
        return Err(Errno::XDEV);
    }
    opened
}

fn is_link(directory: BorrowedFd<'_>, name: &str) -> bool {
    rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}
