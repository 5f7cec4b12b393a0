//! `ContentHash`: the running digest of some content.

use aws_lc_rs::digest::{Context, SHA256, SHA384, SHA512};
use data_encoding::HEXLOWER;
use sampan_engine::oci::{Algorithm, Digest};

/// The running digest of content that arrives in pieces.
#[derive(Clone)]
pub struct ContentHash {
    algorithm: Algorithm,
    context: Context,
}

impl ContentHash {
    /// The digest of no bytes.
    pub fn new(algorithm: Algorithm) -> Self {
        let hash = match algorithm {
            Algorithm::Sha256 => &SHA256,
            Algorithm::Sha384 => &SHA384,
            Algorithm::Sha512 => &SHA512,
        };
        Self { algorithm, context: Context::new(hash) }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    /// The digest of all bytes.
    pub fn finish(self) -> Digest {
        let hex = HEXLOWER.encode(self.context.finish().as_ref());
        #[expect(clippy::expect_used, reason = "the text is a digest by construction")]
        format!("{}:{hex}", self.algorithm)
            .parse()
            .expect("invariant: a hash has the length of its algorithm")
    }
}

impl std::fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContentHash").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hash_to_the_digest_of_the_whole() {
        for algorithm in Algorithm::ALL {
            let mut hash = ContentHash::new(algorithm);
            hash.update(b"sam");
            hash.update(b"pan");
            assert_eq!(hash.finish(), Digest::of(algorithm, b"sampan"));
        }
    }
}
