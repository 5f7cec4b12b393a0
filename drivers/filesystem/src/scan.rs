//! Reads one directory.

use std::ffi::CStr;
use std::mem::MaybeUninit;

use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, FileType, RawDir};
use rustix::io::Errno;
use sampan_driver::as_component;

use crate::disk;
use crate::error::Failure;
use crate::root::{PATH_ONLY, Root};

/// Enough for some 400 entries per call.
pub(crate) const BUFFER_BYTES: usize = 32 * 1024;

/// A buffer that successive directory reads can share.
pub(crate) fn buffer() -> Vec<u8> {
    Vec::with_capacity(BUFFER_BYTES)
}

/// Calls `found` for every entry except `.` and `..`, in no order; links are reported as links.
pub(crate) fn entries(
    directory: BorrowedFd<'_>,
    buffer: &mut Vec<u8>,
    found: impl FnMut(&CStr, FileType) -> Result<(), Failure>,
) -> Result<(), Failure> {
    entries_in(directory, buffer.spare_capacity_mut(), found)
}

/// The same with a given buffer, perhaps on the stack.
pub(crate) fn entries_in(
    directory: BorrowedFd<'_>,
    buffer: &mut [MaybeUninit<u8>],
    mut found: impl FnMut(&CStr, FileType) -> Result<(), Failure>,
) -> Result<(), Failure> {
    disk::begin_reading(directory)?;
    let mut raw = RawDir::new(directory, buffer);
    while let Some(entry) = raw.next() {
        let entry = match entry {
            Err(Errno::NOENT) => return Ok(()), // The directory was deleted meanwhile, so it has no more entries.
            entry => entry?,
        };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let file_type = match entry.file_type() {
            FileType::Unknown => match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno.into()),
            },
            known => known,
        };
        found(name, file_type)?;
    }
    Ok(())
}

/// The kind of an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    File,
    Directory,
    LinkedFile,
    LinkedDirectory,
    /// A link whose target does not exist.
    Dangling,
}

impl Kind {
    pub(crate) fn is_directory(self) -> bool {
        matches!(self, Self::Directory | Self::LinkedDirectory)
    }
}

/// Classifies `name` in the directory `prefix` (a key, with a trailing slash unless it is the root).
///
/// `None` for a name that no driver path can have, and for sockets and the like. A link that leads outside is
/// an error and not skipped: garbage collection would treat invisible content as absent.
pub(crate) fn classify<'a>(
    root: &Root,
    prefix: &str,
    name: &'a CStr,
    file_type: FileType,
) -> Result<Option<(&'a str, Kind)>, Failure> {
    let Some(name) = as_component(name.to_bytes()) else { return Ok(None) };
    let kind = match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => match root.open_at(&format!("{prefix}{name}"), PATH_ONLY) {
            Ok(target) => match FileType::from_raw_mode(rustix::fs::fstat(target)?.st_mode) {
                FileType::RegularFile => Kind::LinkedFile,
                FileType::Directory => Kind::LinkedDirectory,
                _ => return Ok(None),
            },
            Err(failure) if failure.is_absence() => Kind::Dangling,
            Err(failure) => return Err(failure),
        },
        _ => return Ok(None),
    };
    Ok(Some((name, kind)))
}
