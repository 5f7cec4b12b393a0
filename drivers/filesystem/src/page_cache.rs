//! The fast path: reads cached content on the calling thread.
//!
//! A round trip to the blocking pool costs some ten to thirty microseconds; opening and reading a tag's link
//! costs two. So these functions ask the kernel to answer from its caches or not at all: `openat2` with
//! `RESOLVE_CACHED` fails where a name look-up would read a directory from disk, and `preadv2` with
//! `RWF_NOWAIT` where the page cache lacks the bytes. Each function then returns `None`, as it does where the
//! kernel or file system lacks these flags, and the caller uses the pool. Nothing here is needed for
//! correctness.

use std::fs::File;
use std::io::IoSliceMut;
use std::ops::Range;

use bytes::Bytes;
use rustix::fd::AsFd;
use rustix::fs::{OFlags, Stat};
use rustix::io::{Errno, ReadWriteFlags};

use crate::error::Failure;
use crate::file;
use crate::root::Root;

/// Copying more than this on an async thread would delay its other tasks.
pub(crate) const MAX_BYTES: u64 = 64 * 1024;

/// The distance of the bytes probed to check whether a range is cached.
const PROBED_BYTES: usize = 64 * 1024;

/// Files shorter than this are read without asking for their length first. Every link is.
const TINY_BYTES: usize = 256;

/// Opens the file `key`.
pub(crate) fn open(root: &Root, key: &str, flags: OFlags) -> Result<Option<(File, Stat)>, Failure> {
    let Some(found) = root.find_cached(key, flags)? else { return Ok(None) };
    file::regular(found).map(Some)
}

/// The whole content of an open file, if it is tiny and not empty.
pub(crate) fn tiny(file: impl AsFd) -> Option<Bytes> {
    let mut content = [0; TINY_BYTES];
    match rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut content)], 0, ReadWriteFlags::NOWAIT) {
        // No page ends so early, so a short read is the whole file. A non-file has no bytes, or fails.
        Ok(read) if (1..TINY_BYTES).contains(&read) => Some(Bytes::copy_from_slice(&content[..read])),
        _ => None,
    }
}

/// The `len` bytes from `offset`, if they are few and all cached.
pub(crate) fn read(file: &File, offset: u64, len: u64) -> Option<Bytes> {
    if len > MAX_BYTES {
        return None;
    }
    let mut content = vec![0; usize::try_from(len).ok()?];
    (fill(file, offset, &mut content) == content.len()).then(|| content.into())
}

/// Fills `buffer` with cached bytes from `offset`; returns how many.
pub(crate) fn fill(file: &File, offset: u64, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    let mut flags = ReadWriteFlags::NOWAIT;
    while filled < buffer.len() {
        let mut rest = [IoSliceMut::new(&mut buffer[filled..])];
        match rustix::io::preadv2(file, &mut rest, offset + filled as u64, flags) {
            Ok(read) if read > 0 => filled += read,
            Err(Errno::INTR) => {}
            // tmpfs does not support the query, because all of it is in memory.
            Err(Errno::OPNOTSUPP) if !flags.is_empty() && is_on_tmpfs(file) => {
                flags = ReadWriteFlags::empty();
            }
            // The end, uncached bytes, or an error, which the blocking read will report.
            _ => break,
        }
    }
    filled
}

/// Whether `range` seems to be cached: one byte of every [`PROBED_BYTES`] is, and the last one.
///
/// The kernel reads ahead and evicts in larger units than these, so a hole in between is rare, and costs one
/// short wait.
pub(crate) fn is_cached(file: &File, range: Range<u64>) -> bool {
    let probes = range.clone().step_by(PROBED_BYTES).chain(range.end.checked_sub(1));
    probes.into_iter().all(|offset| fill(file, offset, &mut [0]) == 1)
}

pub(crate) fn is_on_tmpfs(file: &File) -> bool {
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    rustix::fs::fstatfs(file).is_ok_and(|stat| stat.f_type as u64 == TMPFS_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::READ;

    #[test]
    fn a_fresh_file_is_read_without_a_thread_where_the_kernel_can() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("link"), "sha256:x").unwrap();
        let root = Root::open(dir.path().to_owned()).unwrap();
        assert!(matches!(open(&root, "none", READ), Err(Failure::Missing) | Ok(None)));
        // Whether the fast path exists depends on the machine; its results must be right.
        if let Some((file, stat)) = open(&root, "link", READ).unwrap()
            && let Some(content) = read(&file, 0, file::size_bytes(&stat))
        {
            assert_eq!(content, "sha256:x");
        }
    }

    #[test]
    fn a_file_on_tmpfs_is_read_without_a_thread() {
        // Every Linux has it; the test must fail where it is missing.
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        std::fs::write(dir.path().join("file"), [7; 100_000]).unwrap();
        let file = File::open(dir.path().join("file")).unwrap();
        assert!(is_on_tmpfs(&file));
        assert_eq!(read(&file, 10, 50_000).unwrap(), [7; 50_000][..]);
        assert!(is_cached(&file, 0..100_000) && !is_cached(&file, 0..100_001));
    }

    #[test]
    fn files_that_are_not_tiny_and_non_files_use_the_slow_path() {
        let dir = tempfile::tempdir().unwrap();
        let of = |len: usize| {
            let path = dir.path().join(len.to_string());
            std::fs::write(&path, vec![b'x'; len]).unwrap();
            File::open(path).unwrap()
        };
        let link = of(71);
        // tmpfs does not support the query; elsewhere, `fill` and `tiny` must agree.
        let is_quick = !is_on_tmpfs(&link) && fill(&link, 0, &mut [0; 71]) == 71;
        assert_eq!(tiny(&link), is_quick.then(|| vec![b'x'; 71].into()));
        for len in [0, TINY_BYTES, 5000] {
            assert_eq!(tiny(of(len)), None, "{len} bytes");
        }
        assert_eq!(tiny(File::open(dir.path()).unwrap()), None);
        assert_eq!(tiny(File::open("/dev/null").unwrap()), None);
    }

    #[test]
    fn a_file_that_ends_early_uses_the_pool() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("short"), "abc").unwrap();
        let file = File::open(dir.path().join("short")).unwrap();
        assert_eq!(read(&file, 0, 4), None);
        assert_eq!(read(&file, 3, 0).unwrap(), "");
    }
}
