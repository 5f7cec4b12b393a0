//! `Compression`: how some bytes are compressed, by their first ones.

use std::io::{self, BufReader, Read};

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

    /// Undoes the compression.
    pub(crate) fn decoder(self, input: impl Read + Send + 'static) -> Decoder {
        let input = BufReader::with_capacity(BUFFER, input);
        match self {
            Self::Gzip => Decoder { content: Box::new(MultiGzDecoder::new(input)), name: "gzip" },
            Self::Zstd => Decoder { content: Box::new(ZstdFrames::new(input)), name: "zstd" },
        }
    }
}

/// The decoded content of an input. Bad data fail with `InvalidData` around [`Error::Compressed`]; the errors of the input stay
/// as they are.
pub(crate) struct Decoder {
    content: Box<dyn Read + Send>,
    name: &'static str,
}

impl Read for Decoder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        self.content.read(buffer).map_err(|source| match source.kind() {
            InvalidData | InvalidInput | UnexpectedEof => {
                io::Error::new(InvalidData, Error::Compressed { name: self.name, source })
            }
            _ => source,
        })
    }
}
