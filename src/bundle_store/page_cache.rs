//! Whether a range of a file is in memory, and bringing it there: no async thread waits for a medium.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::io::{Errno, ReadWriteFlags};

/// The distance of the bytes that are probed, and the size of a read; the kernel reads ahead in larger units.
const STRIDE_BYTES: usize = 64 * 1024;

/// Whether a range seems to be in memory: one byte of every [`STRIDE_BYTES`] is, and the last one. A file system that does
/// not answer the question, such as vfat, counts as one whose files are not in memory.
pub(crate) fn is_cached(file: &File, range: Range<u64>) -> bool {
    let probes = range.clone().step_by(STRIDE_BYTES).chain(range.end.checked_sub(1));
    probes.into_iter().all(|offset| is_byte_cached(file, offset))
}

fn is_byte_cached(file: &File, offset: u64) -> bool {
    let mut byte = [0];
    loop {
        match rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut byte)], offset, ReadWriteFlags::NOWAIT) {
            Err(Errno::INTR) => {}
            read => return read == Ok(1),
        }
    }
}

/// Reads a range, so that it is in memory. Blocks.
///
/// # Errors
///
/// When the file cannot be read, or ends before the range does.
pub(crate) fn warm_up(file: &File, range: Range<u64>) -> io::Result<()> {
    let mut buffer = vec![0; STRIDE_BYTES];
    let mut offset = range.start;
    while offset < range.end {
        let len = buffer.len().min(usize::try_from(range.end - offset).unwrap_or(usize::MAX));
        match file.read_at(&mut buffer[..len], offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => offset += read as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_behind_the_end_is_neither_cached_nor_readable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, vec![7; 200_000]).unwrap();
        let file = File::open(&path).unwrap();
        warm_up(&file, 10..200_000).unwrap();
        assert!(!is_cached(&file, 10..200_001));
        assert_eq!(warm_up(&file, 10..200_001).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
