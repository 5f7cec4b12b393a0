//! Every call that changes the disk, waits for it, or reads a directory: one function each.
//!
//! They add nothing to the kernel's behaviour, except that what a signal interrupts is called again, as FUSE and network
//! file systems allow: an interrupted sync is no failed one. They are in one place so that this crate's tests can count
//! them and make each of them fail (module `faults`), which is compiled for tests only.

use std::ffi::CStr;
use std::io::IoSlice;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::{Errno, retry_on_intr};

#[cfg(test)]
pub(crate) mod faults;

/// A kind of call, as faults name it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Call {
    Create,
    Link,
    MakeDirectory,
    ReadDirectory,
    Rename,
    SyncDirectory,
    SyncFile,
    Unlink,
    Write,
}

#[cfg(not(test))]
#[inline(always)]
fn begin(_call: Call, _at: impl AsFd, _name: &str) -> Result<(), Errno> {
    Ok(())
}

#[cfg(test)]
use faults::begin;

/// Syncs a file's content and metadata (`fsync`).
pub(crate) fn sync_file(file: impl AsFd) -> Result<(), Errno> {
    retry_on_intr(|| {
        begin(Call::SyncFile, &file, "")?;
        rustix::fs::fsync(&file)
    })
}

/// Syncs a file's content, and the metadata needed to read it (`fdatasync`).
pub(crate) fn sync_content(file: impl AsFd) -> Result<(), Errno> {
    retry_on_intr(|| {
        begin(Call::SyncFile, &file, "")?;
        rustix::fs::fdatasync(&file)
    })
}

/// Syncs a directory's entries.
///
/// `INVAL` comes from file systems that cannot sync directories; they have nothing to make durable that way.
pub(crate) fn sync_directory(directory: impl AsFd) -> Result<(), Errno> {
    retry_on_intr(|| {
        begin(Call::SyncDirectory, &directory, "")?;
        match rustix::fs::fsync(&directory) {
            Err(Errno::INVAL) => Ok(()),
            result => result,
        }
    })
}

/// Writes as much of `content` as the kernel accepts.
pub(crate) fn write(file: impl AsFd, content: &[u8]) -> Result<usize, Errno> {
    begin(Call::Write, &file, "")?;
    rustix::io::write(file, content)
}

/// Writes as much of `slices` as the kernel accepts, starting at `offset`.
pub(crate) fn write_at(file: impl AsFd, slices: &[IoSlice<'_>], offset: u64) -> Result<usize, Errno> {
    begin(Call::Write, &file, "")?;
    rustix::io::pwritev(file, slices, offset)
}

/// Creates and opens the file `name`, which must not exist.
pub(crate) fn create(directory: impl AsFd, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    retry_on_intr(|| {
        begin(Call::Create, &directory, name)?;
        rustix::fs::openat(&directory, name, flags, Mode::from_raw_mode(0o666))
    })
}

/// Creates the directory `name`.
pub(crate) fn make_directory(directory: impl AsFd, name: &str) -> Result<(), Errno> {
    begin(Call::MakeDirectory, &directory, name)?;
    rustix::fs::mkdirat(directory, name, Mode::from_raw_mode(0o777))
}

/// Renames a file, replacing an existing one unless `flags` forbid it.
pub(crate) fn rename(
    from: impl AsFd,
    name: &str,
    to: impl AsFd,
    new_name: &str,
    flags: RenameFlags,
) -> Result<(), Errno> {
    begin(Call::Rename, &to, new_name)?;
    match flags.is_empty() {
        true => rustix::fs::renameat(from, name, to, new_name),
        false => rustix::fs::renameat_with(from, name, to, new_name, flags),
    }
}

/// Gives a file a second name in the same directory.
pub(crate) fn link(directory: impl AsFd, name: &str, new_name: &str) -> Result<(), Errno> {
    begin(Call::Link, &directory, new_name)?;
    rustix::fs::linkat(&directory, name, &directory, new_name, AtFlags::empty())
}

/// Removes a file's name or, with `REMOVEDIR`, an empty directory.
pub(crate) fn unlink(directory: impl AsFd, name: &str, flags: AtFlags) -> Result<(), Errno> {
    begin(Call::Unlink, &directory, name)?;
    rustix::fs::unlinkat(directory, name, flags)
}

/// The same for a name that may not be text.
pub(crate) fn unlink_any(directory: impl AsFd, name: &CStr, flags: AtFlags) -> Result<(), Errno> {
    begin(Call::Unlink, &directory, &name.to_string_lossy())?;
    rustix::fs::unlinkat(directory, name, flags)
}

/// Called once before a directory is read.
pub(crate) fn begin_reading(directory: impl AsFd) -> Result<(), Errno> {
    begin(Call::ReadDirectory, directory, "")
}
