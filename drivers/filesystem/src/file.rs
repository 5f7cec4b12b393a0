//! Facts about an open file, and setting its time.

use std::fs::File;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Stat, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::Errno;
use sampan_driver::{DriverPath, FileInfo};

use crate::error::Failure;

/// Whether `stat` is of a regular file: directories, pipes and devices do not belong to the store.
pub(crate) fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// The opened file, if it is regular.
pub(crate) fn regular(found: OwnedFd) -> Result<(File, Stat), Failure> {
    let stat = rustix::fs::fstat(&found)?;
    if is_regular(&stat) { Ok((found.into(), stat)) } else { Err(Failure::Missing) }
}

/// The length in bytes.
pub(crate) fn size_bytes(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0) // The kernel has no negative sizes.
}

/// The driver's information about a file.
pub(crate) fn info(path: DriverPath, stat: &Stat) -> FileInfo {
    FileInfo { path, size_bytes: size_bytes(stat), modified: modified(stat) }
}

/// Whether `name` in `directory` is still the open `file`.
pub(crate) fn is_at(file: impl AsFd, directory: impl AsFd, name: &str) -> Result<bool, Errno> {
    let here = rustix::fs::fstat(file)?;
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(there) => Ok((here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Sets the modification time to now, before publishing the file (C13).
///
/// Reads the clock here instead of leaving it to the kernel, whose clock for files lags by a tick: the file
/// would be older than the call. For a file of another user, left by a registry that ran as that user, only the
/// kernel can set the time.
pub(crate) fn date_now(file: impl AsFd) -> Result<(), Errno> {
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let exact = Timespec { tv_sec: since.as_secs().cast_signed(), tv_nsec: since.subsec_nanos().into() };
    match rustix::fs::futimens(&file, &Timestamps { last_access: omit, last_modification: exact }) {
        Err(Errno::PERM) => {
            let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
            rustix::fs::futimens(&file, &Timestamps { last_access: now, last_modification: now })
        }
        result => result,
    }
}

fn modified(stat: &Stat) -> SystemTime {
    let nanos = Duration::from_nanos(stat.st_mtime_nsec);
    match u64::try_from(stat.st_mtime) {
        Ok(secs) => UNIX_EPOCH + Duration::from_secs(secs) + nanos,
        Err(_before_1970) => UNIX_EPOCH - Duration::from_secs(stat.st_mtime.unsigned_abs()) + nanos,
    }
}
