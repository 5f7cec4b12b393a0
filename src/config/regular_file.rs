//! Reads a file that the configuration names and that may be replaced at any time: by a pipe, which would block the reader,
//! or by something too large.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The reason why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum RegularFileError {
    /// The operating system refuses it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The path names a directory.
    #[error("it is a directory and must be a file")]
    Directory,
    /// The path names something else that is no file.
    #[error("it is a device, a pipe or a socket and must be a file")]
    Special,
    /// The file is too long.
    #[error("it is longer than {0}")]
    TooLong(Size),
}

/// A number of bytes, displayed in KiB or MiB.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1 << 20 => write!(f, "{} MiB", bytes >> 20),
            bytes => write!(f, "{} KiB", bytes >> 10),
        }
    }
}

/// Reads a file of at most `max_bytes`. Follows symlinks. Blocks, but not for a pipe.
///
/// # Errors
///
/// The path names no regular file, or the file is unreadable or longer.
pub fn read_regular_file(path: &Path, max_bytes: u64) -> Result<Vec<u8>, RegularFileError> {
    // Opening a named pipe blocks until a program writes to it.
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(RegularFileError::Directory);
    }
    if !kind.is_file() {
        return Err(RegularFileError::Special);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(max_bytes + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > max_bytes {
        true => Err(RegularFileError::TooLong(Size(max_bytes))),
        false => Ok(bytes),
    }
}

impl From<RegularFileError> for io::Error {
    fn from(error: RegularFileError) -> Self {
        match error {
            RegularFileError::Io(error) => error,
            RegularFileError::Directory => Self::from(io::ErrorKind::IsADirectory),
            RegularFileError::Special => Self::new(io::ErrorKind::InvalidInput, error.to_string()),
            RegularFileError::TooLong(_) => Self::new(io::ErrorKind::FileTooLarge, error.to_string()),
        }
    }
}
