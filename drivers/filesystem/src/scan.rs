//! Reading one directory.

use std::ffi::CStr;
use std::mem::MaybeUninit;

use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, FileType, RawDir};
use rustix::io::Errno;
use sampan_driver::as_component;

use crate::disk;
use crate::error::Failure;
use crate::root::{PATH_ONLY, Root};

/// Room for some 400 entries a call.
pub(crate) const BUFFER_BYTES: usize = 32 * 1024;

/// Memory that one reading of a directory after the other can use.
pub(crate) fn buffer() -> Vec<u8> {
    Vec::with_capacity(BUFFER_BYTES)
}

/// Calls `found` for every entry but `.` and `..`, in no order; links are told as links.
pub(crate) fn entries(
    directory: BorrowedFd<'_>,
    buffer: &mut Vec<u8>,
    found: impl FnMut(&CStr, FileType) -> Result<(), Failure>,
) -> Result<(), Failure> {
    entries_in(directory, buffer.spare_capacity_mut(), found)
}

/// The same, with memory that is on the stack perhaps.
pub(crate) fn entries_in(
    directory: BorrowedFd<'_>,
    buffer: &mut [MaybeUninit<u8>],
    mut found: impl FnMut(&CStr, FileType) -> Result<(), Failure>,
) -> Result<(), Failure> {
    disk::begin_reading(directory)?;
    let mut raw = RawDir::new(directory, buffer);
    while let Some(entry) = raw.next() {
        let entry = match entry {
            Err(Errno::NOENT) => return Ok(()), // The directory was deleted meanwhile: it has no more entries.
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

/// What an entry is to the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    File,
    Directory,
    LinkedFile,
    LinkedDirectory,
    /// A link whose target is not there.
    Dangling,
}

impl Kind {
    pub(crate) fn is_directory(self) -> bool {
        matches!(self, Self::Directory | Self::LinkedDirectory)
    }
}

/// What `name` in the directory `prefix` (a key, with a slash at the end unless it is the root's) is to the store.
///
/// `None` for what no driver path can name, and for sockets and their like.
/// A link that leads outside is an error and not passed over: garbage collection would take what it cannot see for garbage.
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
