//! `Hasher`: the digest of bytes that pass by.

use data_encoding::HEXLOWER;
use sampan_engine::oci::{Algorithm, Digest};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// The running digest of a stream.
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha384 => Self::Sha384(Sha384::new()),
            Algorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha384(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest of all bytes so far.
    #[expect(clippy::expect_used, reason = "the hash has the length of its algorithm")]
    pub(crate) fn digest(&self) -> Digest {
        let (algorithm, hex) = match self {
            Self::Sha256(hash) => (Algorithm::Sha256, HEXLOWER.encode(&hash.clone().finalize())),
            Self::Sha384(hash) => (Algorithm::Sha384, HEXLOWER.encode(&hash.clone().finalize())),
            Self::Sha512(hash) => (Algorithm::Sha512, HEXLOWER.encode(&hash.clone().finalize())),
        };
        format!("{algorithm}:{hex}").parse().expect("invariant: an algorithm and its hash are a digest")
    }
}

/// A hash that tells lists of texts apart.
pub(crate) fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_parts_is_that_of_the_whole() {
        for algorithm in Algorithm::ALL {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(b"hello ");
            hasher.update(b"world");
            assert_eq!(hasher.digest(), Digest::of(algorithm, b"hello world"));
        }
    }
}
