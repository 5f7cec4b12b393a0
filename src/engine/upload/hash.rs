//! `UploadHash`: the running digest of an upload, and its serialized form, which outlives the process.
//!
//! The form is that of Go's `crypto/sha256` and `crypto/sha512` (`MarshalBinary`): four bytes of magic, the chaining values
//! and the bytes of the unfinished block, all big-endian, and the total length. Distribution stores it beside the upload.

use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::oci::{Algorithm, Digest};

/// The digest of the first `offset` bytes of an upload.
#[derive(Clone)]
pub(crate) struct UploadHash {
    offset: u64,
    sha256: Sha256,
    /// The algorithm of the client's digest, when that is not sha256.
    other: Option<Other>,
}

#[derive(Clone)]
enum Other {
    Sha384(Sha384),
    Sha512(Sha512),
}

impl UploadHash {
    /// The digest of no bytes, also in `algorithm`.
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let other = match algorithm {
            Algorithm::Sha256 => None,
            Algorithm::Sha384 => Some(Other::Sha384(Sha384::new())),
            Algorithm::Sha512 => Some(Other::Sha512(Sha512::new())),
        };
        Self { offset: 0, sha256: Sha256::new(), other }
    }

    /// How many bytes the digest covers.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Hashes further `bytes`.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        self.sha256.update(bytes);
        match &mut self.other {
            Some(Other::Sha384(hash)) => hash.update(bytes),
            Some(Other::Sha512(hash)) => hash.update(bytes),
            None => {}
        }
    }

    /// The canonical digest so far.
    pub(crate) fn canonical(&self) -> Digest {
        Digest::from_hash(Algorithm::Sha256, &self.sha256.clone().finalize())
    }

    /// The digest so far in `algorithm`; `None` when that hash is not running.
    pub(crate) fn digest(&self, algorithm: Algorithm) -> Option<Digest> {
        let hash: Box<[u8]> = match (algorithm, &self.other) {
            (Algorithm::Sha256, _) => return Some(self.canonical()),
            (Algorithm::Sha384, Some(Other::Sha384(hash))) => Box::from(&hash.clone().finalize()[..]),
            (Algorithm::Sha512, Some(Other::Sha512(hash))) => Box::from(&hash.clone().finalize()[..]),
            (Algorithm::Sha384 | Algorithm::Sha512, _) => return None,
        };
        Some(Digest::from_hash(algorithm, &hash))
    }

    /// The state of each running hash, for storage.
    pub(crate) fn states(&self) -> Vec<(Algorithm, Vec<u8>)> {
        let mut states = vec![(Algorithm::Sha256, SHA256.encode(&self.sha256.serialize()))];
        match &self.other {
            Some(Other::Sha384(hash)) => states.push((Algorithm::Sha384, SHA384.encode(&hash.serialize()))),
            Some(Other::Sha512(hash)) => states.push((Algorithm::Sha512, SHA512.encode(&hash.serialize()))),
            None => {}
        }
        states
    }

    /// Resumes from stored states; `None` when they are not the result of `states` after `offset` bytes.
    pub(crate) fn resume(offset: u64, sha256: &[u8], other: Option<(Algorithm, &[u8])>) -> Option<Self> {
        let sha256 = Sha256::deserialize(SHA256.decode(sha256, offset)?.as_slice().try_into().ok()?).ok()?;
        let other = match other {
            None | Some((Algorithm::Sha256, _)) => None,
            Some((Algorithm::Sha384, state)) => Some(Other::Sha384(
                Sha384::deserialize(SHA384.decode(state, offset)?.as_slice().try_into().ok()?).ok()?,
            )),
            Some((Algorithm::Sha512, state)) => Some(Other::Sha512(
                Sha512::deserialize(SHA512.decode(state, offset)?.as_slice().try_into().ok()?).ok()?,
            )),
        };
        Some(Self { offset, sha256, other })
    }
}

impl std::fmt::Debug for UploadHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UploadHash").field("offset", &self.offset).finish_non_exhaustive()
    }
}

/// How Go and the `sha2` crate serialize the state of one algorithm. The form of `sha2`:
/// chaining values, number of whole blocks, length of the rest, the rest; all little-endian.
struct Form {
    magic: &'static [u8; 4],
    word_bytes: usize,
    block_bytes: usize,
    /// The size of the `sha2` crate's block counter.
    count_bytes: usize,
}

const SHA256: Form = Form { magic: b"sha\x03", word_bytes: 4, block_bytes: 64, count_bytes: 8 };
const SHA384: Form = Form { magic: b"sha\x04", word_bytes: 8, block_bytes: 128, count_bytes: 16 };
const SHA512: Form = Form { magic: b"sha\x07", word_bytes: 8, block_bytes: 128, count_bytes: 16 };

impl Form {
    fn encode(&self, native: &[u8]) -> Vec<u8> {
        let (words, rest) = native.split_at(8 * self.word_bytes);
        let (count, rest) = rest.split_at(self.count_bytes);
        let (len, block) = (usize::from(rest[0]), &rest[1..]);
        let mut blocks = [0; 8];
        blocks.copy_from_slice(&count[..8]);
        let total = u64::from_le_bytes(blocks) * self.block_bytes as u64 + len as u64;

        let mut state = Vec::with_capacity(4 + words.len() + self.block_bytes + 8);
        state.extend_from_slice(self.magic);
        words.chunks_exact(self.word_bytes).for_each(|word| state.extend(word.iter().rev()));
        state.extend_from_slice(&block[..len]);
        state.resize(state.len() + self.block_bytes - len, 0);
        state.extend_from_slice(&total.to_be_bytes());
        state
    }

    fn decode(&self, state: &[u8], offset: u64) -> Option<Vec<u8>> {
        let (words_bytes, block_bytes) = (8 * self.word_bytes, self.block_bytes);
        if state.len() != 4 + words_bytes + block_bytes + 8 || !state.starts_with(self.magic) {
            return None;
        }
        let (words, rest) = state[4..].split_at(words_bytes);
        let (block, total) = rest.split_at(block_bytes);
        if total != offset.to_be_bytes() {
            return None;
        }
        let len = usize::try_from(offset % block_bytes as u64).ok()?;

        let mut native = Vec::with_capacity(words_bytes + self.count_bytes + block_bytes);
        words.chunks_exact(self.word_bytes).for_each(|word| native.extend(word.iter().rev()));
        native.extend_from_slice(&(offset / block_bytes as u64).to_le_bytes());
        native.resize(words_bytes + self.count_bytes, 0);
        native.push(u8::try_from(len).ok()?);
        native.extend_from_slice(&block[..len]);
        native.resize(words_bytes + self.count_bytes + block_bytes, 0);
        Some(native)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What Go 1.19's `sha256.New()` marshals to after `Write([]byte("sampan"))`: the initial values, the six bytes, their count.
    #[test]
    fn the_state_is_that_of_gos_crypto_library() {
        let mut hash = UploadHash::new(Algorithm::Sha256);
        hash.update(b"sampan");
        let mut expected = b"sha\x03".to_vec();
        for word in [
            0x6a09_e667_u32,
            0xbb67_ae85,
            0x3c6e_f372,
            0xa54f_f53a,
            0x510e_527f,
            0x9b05_688c,
            0x1f83_d9ab,
            0x5be0_cd19,
        ] {
            expected.extend_from_slice(&word.to_be_bytes());
        }
        expected.extend_from_slice(b"sampan");
        expected.resize(4 + 32 + 64, 0);
        expected.extend_from_slice(&6_u64.to_be_bytes());
        assert_eq!(hash.states(), [(Algorithm::Sha256, expected)]);
    }

    #[test]
    fn a_state_that_does_not_fit_is_not_taken_up() {
        let mut hash = UploadHash::new(Algorithm::Sha256);
        hash.update(&[7; 100]);
        let (_, state) = hash.states().remove(0);
        assert!(UploadHash::resume(100, &state, None).is_some());
        assert!(UploadHash::resume(101, &state, None).is_none());
        assert!(UploadHash::resume(100, &state[1..], None).is_none());
        assert!(UploadHash::resume(100, b"", None).is_none());
    }

    proptest! {
        #[test]
        fn a_resumed_hash_goes_on_as_if_nothing_had_happened(
            content in prop::collection::vec(any::<u8>(), 0..1000),
            cut in any::<prop::sample::Index>(),
            algorithm in prop::sample::select(&Algorithm::ALL[..]),
        ) {
            let cut = cut.index(content.len() + 1);
            let mut hash = UploadHash::new(algorithm);
            hash.update(&content[..cut]);
            let states = hash.states();
            let other = states.get(1).map(|(algorithm, state)| (*algorithm, state.as_slice()));
            let mut resumed = UploadHash::resume(cut as u64, &states[0].1, other).unwrap();
            resumed.update(&content[cut..]);
            prop_assert_eq!(resumed.digest(algorithm), Some(Digest::of(algorithm, &content)));
            prop_assert_eq!(resumed.canonical(), Digest::sha256_of(&content));
        }
    }
}
