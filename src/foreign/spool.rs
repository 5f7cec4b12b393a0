//! Decodes a tar file from a stream into a temporary file: the entries with a meaning, one behind the other.
//!
//! The temporary file has no name, so it is gone when the program ends, however it ends.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::archive::{Archive, Entries, Verdict};
use crate::tar_walk::{Tape, TarWalk};
use crate::{Error, Result};

/// The most bytes of entries that no image has, with their headers; they are decoded for nothing.
const MAX_IGNORED_BYTES: u64 = 1 << 30;

/// The share of the file system that stays free.
const RESERVE: u64 = 20;

/// How many bytes are copied at a time.
const PIECE: usize = 1 << 20;

/// Reads `input`, a tar file, to its end marker.
///
/// # Errors
///
/// `SpoolFull` before an entry is written that would leave less than a twentieth of the file system; `Damaged` when the tar
/// file is; when the input or the temporary file fails.
pub(crate) fn spool(input: &mut dyn Read) -> Result<Archive> {
    let directory = std::env::temp_dir();
    let failed = |source| Error::Spool { directory: directory.clone(), source };
    let file = tempfile::tempfile_in(&directory).map_err(failed)?;
    let mut walk = TarWalk::new(StreamTape { input });
    let (mut entries, mut end, mut passed, mut ignored) = (Entries::default(), 0, 0, 0);
    let mut piece = vec![0; PIECE];
    while let Some(entry) = walk.next()? {
        let start = std::mem::replace(&mut passed, entry.data + entry.size_bytes);
        let Verdict::Keep(name) = entries.judge(&entry)? else {
            ignored += passed - start;
            if ignored > MAX_IGNORED_BYTES {
                let problem = format!("more than {MAX_IGNORED_BYTES} bytes of the file belong to no image");
                return Err(Error::damaged(String::from_utf8_lossy(&entry.name), problem));
            }
            continue;
        };
        check_room(&file, &directory, &name.to_string(), entry.size_bytes)?;
        let start = end;
        loop {
            match walk.read(&mut piece)? {
                0 => break,
                read => {
                    file.write_all_at(&piece[..read], end).map_err(failed)?;
                    end += read as u64;
                }
            }
        }
        entries.add(name, start, entry.size_bytes);
    }
    Ok(Archive::spooled(file, &directory, entries))
}

/// The directory of temporary files.
pub(crate) fn directory() -> PathBuf {
    std::env::temp_dir()
}

fn check_room(file: &File, directory: &Path, entry: &str, needed: u64) -> Result<()> {
    let failed =
        |errno: rustix::io::Errno| Error::Spool { directory: directory.into(), source: errno.into() };
    let state = rustix::fs::fstatvfs(file).map_err(failed)?;
    let free = state.f_bavail.saturating_mul(state.f_frsize);
    let reserve = state.f_blocks.saturating_mul(state.f_frsize) / RESERVE;
    let room = free.saturating_sub(reserve);
    match needed <= room {
        true => Ok(()),
        false => Err(Error::SpoolFull { entry: entry.to_owned(), needed, room, directory: directory.into() }),
    }
}

/// A tar file that is read once.
struct StreamTape<'a> {
    input: &'a mut dyn Read,
}

impl StreamTape<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match self.input.read(buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(read) => return Ok(read),
                Err(error) => return Err(Error::input(error)),
            }
        }
    }
}

impl Tape for StreamTape<'_> {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    }

    fn skip(&mut self, len: u64) -> Result<bool> {
        let mut left = len;
        let mut piece = vec![0; PIECE.min(usize::try_from(len).unwrap_or(PIECE))];
        while left > 0 {
            let most = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match self.read(&mut piece[..most])? {
                0 => return Ok(false),
                read => left -= read as u64,
            }
        }
        Ok(true)
    }
}
