//! Every call that changes what is on the disk, waits for it, or reads a directory: one function each.
//!
//! They add nothing to what the kernel does. They are in one place so that the tests of this crate can count them and let each
//! of them fail (module `faults`); without the tests nothing of that is compiled.

use std::ffi::CStr;
use std::io::IoSlice;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

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

/// Waits until the content and the metadata of a file are on disk.
pub(crate) fn sync_file(file: impl AsFd) -> Result<(), Errno> {
    begin(Call::SyncFile, &file, "")?;
    rustix::fs::fsync(file)
}

/// Waits until the content of a file is on disk, and what is needed to find it there.
pub(crate) fn sync_content(file: impl AsFd) -> Result<(), Errno> {
    begin(Call::SyncFile, &file, "")?;
    rustix::fs::fdatasync(file)
}

/// Waits until the entries of a directory are on disk.
///
/// A file system that cannot sync directories says `INVAL`; it has nothing to be made durable that way.
pub(crate) fn sync_directory(directory: impl AsFd) -> Result<(), Errno> {
    begin(Call::SyncDirectory, &directory, "")?;
    match rustix::fs::fsync(directory) {
        Err(Errno::INVAL) => Ok(()),
        result => result,
    }
}

/// Writes as much of `content` as the kernel takes.
pub(crate) fn write(file: impl AsFd, content: &[u8]) -> Result<usize, Errno> {
    begin(Call::Write, &file, "")?;
    rustix::io::write(file, content)
}

/// Writes as much of `slices` as the kernel takes, from `offset` on.
pub(crate) fn write_at(file: impl AsFd, slices: &[IoSlice<'_>], offset: u64) -> Result<usize, Errno> {
    begin(Call::Write, &file, "")?;
    rustix::io::pwritev(file, slices, offset)
}

/// Makes the file `name`, which must not be there, and opens it.
pub(crate) fn create(directory: impl AsFd, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    begin(Call::Create, &directory, name)?;
    let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(0o666))
}

/// Makes the directory `name`.
pub(crate) fn make_directory(directory: impl AsFd, name: &str) -> Result<(), Errno> {
    begin(Call::MakeDirectory, &directory, name)?;
    rustix::fs::mkdirat(directory, name, Mode::from_raw_mode(0o777))
}

/// Gives a file another name, and replaces what has it unless `flags` forbid that.
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

/// Gives a file one more name in the same directory.
pub(crate) fn link(directory: impl AsFd, name: &str, new_name: &str) -> Result<(), Errno> {
    begin(Call::Link, &directory, new_name)?;
    rustix::fs::linkat(&directory, name, &directory, new_name, AtFlags::empty())
}

/// Removes a name, which is a file's or, with `REMOVEDIR`, that of an empty directory.
pub(crate) fn unlink(directory: impl AsFd, name: &str, flags: AtFlags) -> Result<(), Errno> {
    begin(Call::Unlink, &directory, name)?;
    rustix::fs::unlinkat(directory, name, flags)
}

/// The same, of a name that may be no text.
pub(crate) fn unlink_any(directory: impl AsFd, name: &CStr, flags: AtFlags) -> Result<(), Errno> {
    begin(Call::Unlink, &directory, &name.to_string_lossy())?;
    rustix::fs::unlinkat(directory, name, flags)
}

/// Called once before a directory is read.
pub(crate) fn begin_reading(directory: impl AsFd) -> Result<(), Errno> {
    begin(Call::ReadDirectory, directory, "")
}
