//! The fast path: what the kernel has in memory is looked up and read on the calling thread.
//!
//! A trip to the blocking pool and back costs some ten to thirty microseconds; opening and reading a tag's link costs two.
//! So the calls here ask the kernel to answer from its caches or not at all: `openat2` with `RESOLVE_CACHED` gives up where the
//! look-up of a name would read a directory from disk, and `preadv2` with `RWF_NOWAIT` where the page cache has not got the bytes.
//! Every function says `None` then, and also where the kernel or the file system does not know these flags;
//! the caller goes to the pool, where waiting is allowed. Nothing here is needed for correctness.

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

/// Copying more than this on an async thread would hold up its other tasks.
pub(crate) const MOST_BYTES: u64 = 64 * 1024;

/// How far apart the bytes are by which it is told whether a range is in memory.
const PROBED_BYTES: usize = 64 * 1024;

/// A file with fewer bytes is read without asking for its length first. Every link is one.
const TINY_BYTES: usize = 256;

/// Opens the file that `key` names.
pub(crate) fn open(root: &Root, key: &str, flags: OFlags) -> Result<Option<(File, Stat)>, Failure> {
    let Some(found) = root.find_cached(key, flags)? else { return Ok(None) };
    file::regular(found).map(Some)
}

/// The whole of an open file, if it is tiny and not empty.
pub(crate) fn tiny(file: impl AsFd) -> Option<Bytes> {
    let mut content = [0; TINY_BYTES];
    match rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut content)], 0, ReadWriteFlags::NOWAIT) {
        // No page ends so early, so less than was asked for is all there is. What is not a file has no bytes, or errs.
        Ok(read) if (1..TINY_BYTES).contains(&read) => Some(Bytes::copy_from_slice(&content[..read])),
        _ => None,
    }
}

/// The `len` bytes from `offset` on, if they are few and all there.
pub(crate) fn read(file: &File, offset: u64, len: u64) -> Option<Bytes> {
    if len > MOST_BYTES {
        return None;
    }
    let mut content = vec![0; usize::try_from(len).ok()?];
    (fill(file, offset, &mut content) == content.len()).then(|| content.into())
}

/// Fills `buffer` from `offset` on with what is in memory; tells how much that was.
pub(crate) fn fill(file: &File, offset: u64, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    let mut flags = ReadWriteFlags::NOWAIT;
    while filled < buffer.len() {
        let mut rest = [IoSliceMut::new(&mut buffer[filled..])];
        match rustix::io::preadv2(file, &mut rest, offset + filled as u64, flags) {
            Ok(read) if read > 0 => filled += read,
            Err(Errno::INTR) => {}
            // tmpfs cannot say what is in memory, because all of it is.
            Err(Errno::OPNOTSUPP) if !flags.is_empty() && is_on_tmpfs(file) => {
                flags = ReadWriteFlags::empty();
            }
            // The end, what is on disk alone, or an error, which whoever reads with patience will meet again.
            _ => break,
        }
    }
    filled
}

/// Whether `range` seems to be in memory: a byte of every [`PROBED_BYTES`] is, and the last one.
///
/// The kernel reads ahead and forgets by larger pieces than these, so a hole in between is rare, and costs one short wait.
pub(crate) fn is_cached(file: &File, range: Range<u64>) -> bool {
    let probes = range.clone().step_by(PROBED_BYTES).chain(range.end.checked_sub(1));
    probes.into_iter().all(|offset| fill(file, offset, &mut [0]) == 1)
}

fn is_on_tmpfs(file: &File) -> bool {
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    rustix::fs::fstatfs(file).is_ok_and(|stat| stat.f_type as u64 == TMPFS_MAGIC)
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
    fn a_file_on_tmpfs_is_read_without_a_thread() {
        // Every Linux has one; where it is not, this is to be seen.
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        std::fs::write(dir.path().join("file"), [7; 100_000]).unwrap();
        let file = File::open(dir.path().join("file")).unwrap();
        assert!(is_on_tmpfs(&file));
        assert_eq!(read(&file, 10, 50_000).unwrap(), [7; 50_000][..]);
        assert!(is_cached(&file, 0..100_000) && !is_cached(&file, 0..100_001));
    }

    #[test]
    fn what_is_not_tiny_or_not_a_file_is_left_to_a_longer_way() {
        let dir = tempfile::tempdir().unwrap();
        let of = |len: usize| {
            let path = dir.path().join(len.to_string());
            std::fs::write(&path, vec![b'x'; len]).unwrap();
            File::open(path).unwrap()
        };
        let link = of(71);
        // tmpfs cannot say what is in memory; elsewhere, what can be read there at all is read this way.
        let is_quick = !is_on_tmpfs(&link) && fill(&link, 0, &mut [0; 71]) == 71;
        assert_eq!(tiny(&link), is_quick.then(|| vec![b'x'; 71].into()));
        for len in [0, TINY_BYTES, 5000] {
            assert_eq!(tiny(of(len)), None, "{len} bytes");
        }
        assert_eq!(tiny(File::open(dir.path()).unwrap()), None);
        assert_eq!(tiny(File::open("/dev/null").unwrap()), None);
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
