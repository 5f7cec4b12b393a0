//! `Compression`: how some bytes are compressed, by their first ones.

use std::io::{BufReader, Read};

use flate2::read::MultiGzDecoder;

use crate::zstd_frames::ZstdFrames;
use crate::{Error, Result};

/// A compression that is undone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Compression {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// How many bytes are read and decoded at a time.
const BUFFER: usize = 256 << 10;

impl Compression {
    /// The compression of bytes that begin so.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            // A frame, or one that readers skip, which pzstd writes first.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The compression of an input.
    ///
    /// # Errors
    ///
    /// When it is one that is not undone.
    pub(crate) fn of_input(head: &[u8]) -> Result<Option<Self>> {
        let (name, command) = match head {
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => ("xz", "xz -d"),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => ("bzip2", "bzip2 -d"),
            [4, 0x22, 0x4d, 0x18, ..] => ("lz4", "lz4 -d"),
            _ => return Ok(Self::of(head)),
        };
        Err(Error::UnknownCompression { name, command })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Undoes the compression.
    pub(crate) fn decoder(self, input: impl Read + Send + 'static) -> Box<dyn Read + Send> {
        let input = BufReader::with_capacity(BUFFER, input);
        match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(input)),
            Self::Zstd => Box::new(ZstdFrames::new(input)),
        }
    }
}
