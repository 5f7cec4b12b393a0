//! The fast path: what the kernel has in memory is looked up and read on the calling thread.
//!
//! A trip to the blocking pool and back costs some ten to thirty microseconds; opening and reading a tag's link costs two.
//! So the calls here ask the kernel to answer from its caches or not at all: `openat2` with `RESOLVE_CACHED` gives up where the
//! look-up of a name would read a directory from disk, and `preadv2` with `RWF_NOWAIT` where the page cache has not got the bytes.
//! Every function says `None` then, and also where the kernel or the file system does not know these flags;
//! the caller goes to the pool, where waiting is allowed. Nothing here is needed for correctness.

use std::fs::File;
use std::io::IoSliceMut;

use bytes::Bytes;
use rustix::fs::{OFlags, Stat};
use rustix::io::{Errno, ReadWriteFlags};

use crate::error::Failure;
use crate::file;
use crate::root::Root;

/// Copying more than this on an async thread would hold up its other tasks.
pub(crate) const MOST_BYTES: u64 = 64 * 1024;

/// Opens the file that `key` names.
pub(crate) fn open(root: &Root, key: &str, flags: OFlags) -> Result<Option<(File, Stat)>, Failure> {
    let Some(found) = root.find_cached(key, flags)? else { return Ok(None) };
    let stat = rustix::fs::fstat(&found)?;
    if !file::is_regular(&stat) {
        return Err(Failure::Missing);
    }
    Ok(Some((found.into(), stat)))
}

/// The `len` bytes from `offset` on, if they are few and all there.
pub(crate) fn read(file: &File, offset: u64, len: u64) -> Option<Bytes> {
    if len > MOST_BYTES {
        return None;
    }
    let mut content = vec![0; usize::try_from(len).ok()?];
    let mut filled = 0;
    while filled < content.len() {
        let mut rest = [IoSliceMut::new(&mut content[filled..])];
        match rustix::io::preadv2(file, &mut rest, offset + filled as u64, ReadWriteFlags::NOWAIT) {
            Ok(0) | Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS) => return None,
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(_) => return None, // The pool's attempt reports it, if it lasts.
        }
    }
    Some(content.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::READ;

    #[test]
    fn what_was_just_written_is_read_without_a_thread_where_the_kernel_can() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("link"), "sha256:x").unwrap();
        let root = Root::open(dir.path().to_owned()).unwrap();
        assert!(matches!(open(&root, "none", READ), Err(Failure::Missing) | Ok(None)));
        // Whether the fast path exists is the machine's affair; what it answers must be right.
        if let Some((file, stat)) = open(&root, "link", READ).unwrap()
            && let Some(content) = read(&file, 0, file::size_bytes(&stat))
        {
            assert_eq!(content, "sha256:x");
        }
    }

    #[test]
    fn a_file_that_ends_early_is_left_to_the_pool() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("short"), "abc").unwrap();
        let file = File::open(dir.path().join("short")).unwrap();
        assert_eq!(read(&file, 0, 4), None);
        assert_eq!(read(&file, 3, 0).unwrap(), "");
    }
}
