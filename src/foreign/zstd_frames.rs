//! `ZstdFrames`: decodes frames of zstd that follow each other (RFC 8878, 3), with a bound for the memory.

use std::error::Error;
use std::io::{self, BufRead, Read};
use std::iter::successors;

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The largest window, in bytes: that of `zstd` without `--long` or `--memory`.
const MAX_WINDOW_BYTES: u64 = 128 << 20;

/// The decoded content of an input.
pub(crate) struct ZstdFrames<R> {
    input: R,
    decoder: FrameDecoder,
    is_in_frame: bool,
}

impl<R: BufRead> ZstdFrames<R> {
    pub(crate) fn new(input: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW_BYTES);
        Self { input, decoder, is_in_frame: false }
    }

    /// Begins the next frame; `false` at the end of the input.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.input.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.input) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let skipped = io::copy(&mut (&mut self.input).take(u64::from(length)), &mut io::sink())?;
                    if skipped < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() {
            if !self.is_in_frame {
                if !self.begin()? {
                    return Ok(0);
                }
                self.is_in_frame = true;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let strategy = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.input, strategy).map_err(failed)?;
            }
            let read = self.decoder.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            let written = self.decoder.get_checksum_from_data();
            if written.is_some() && written != self.decoder.get_calculated_checksum() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the checksum of a frame is wrong"));
            }
            self.is_in_frame = false;
        }
        Ok(0)
    }
}

/// The error with the kind that it has in the input, or else `InvalidData`.
fn failed(error: FrameDecoderError) -> io::Error {
    let causes = successors(Some(&error as &dyn Error), |&error| error.source());
    let of_input = causes.filter_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind).next();
    io::Error::new(of_input.unwrap_or(io::ErrorKind::InvalidData), error)
}

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn frame(content: &[u8]) -> Vec<u8> {
        compress_to_vec(content, CompressionLevel::Fastest)
    }

    fn decode(input: &[u8]) -> io::Result<Vec<u8>> {
        let mut decoded = Vec::new();
        ZstdFrames::new(input).read_to_end(&mut decoded)?;
        Ok(decoded)
    }

    #[test]
    fn frames_follow_each_other_and_others_are_skipped() {
        let (one, two) = (b"one".repeat(100_000), b"two".to_vec());
        let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
        let input = [skipped.clone(), frame(&one), frame(b""), skipped, frame(&two)].concat();
        assert!(decode(&input).unwrap() == [one, two].concat());
        assert_eq!(decode(b"").unwrap(), b"");
    }

    #[test]
    fn damage_and_windows_without_bound_are_errors() {
        let whole = frame(&b"some content".repeat(1000));
        for end in 1..whole.len() {
            assert!(decode(&whole[..end]).is_err(), "{end} of {} bytes", whole.len());
        }
        let mut damaged = whole.clone();
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        assert!(decode(&damaged).unwrap_err().to_string().contains("checksum"));
        assert!(decode(b"\x50\x2a\x4d\x18\xff\xff\xff\xffshort").is_err());
        // A frame without a size, with a window of 2^41 bytes.
        let error = decode(&[0x28, 0xb5, 0x2f, 0xfd, 0, 0xf8, 1, 0, 0]).unwrap_err().to_string();
        assert!(error.contains("window"), "{error}");
    }

    /// A medium that fails behind some bytes.
    struct Failing<'a>(&'a [u8]);

    impl Read for Failing<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::ErrorKind::StaleNetworkFileHandle.into()),
                read => Ok(read),
            }
        }
    }

    #[test]
    fn an_error_of_the_medium_is_no_damage() {
        let whole = frame(&b"some content".repeat(1000));
        for end in 0..whole.len() {
            let input = io::BufReader::new(Failing(&whole[..end]));
            let error = ZstdFrames::new(input).read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StaleNetworkFileHandle, "{end} of {} bytes", whole.len());
        }
    }
}
