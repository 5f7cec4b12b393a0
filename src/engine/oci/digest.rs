//! `Digest`: identifies content by its hash.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// The hash functions of digests (OCI image-spec, `descriptor.md`, registered algorithms; sha384 as in Distribution).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Algorithm {
    /// `sha256`: the canonical algorithm, under which the registry stores all content.
    Sha256,
    /// `sha384`.
    Sha384,
    /// `sha512`.
    Sha512,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// The name before the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
            .ok_or_else(|| InvalidDigest { text: shorten(text), problem: Problem::UnknownAlgorithm })
    }
}

/// A digest such as `sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b`, in lower-case hexadecimal.
#[derive(Clone, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    algorithm: Algorithm,
    hex: Box<str>,
}

impl Digest {
    /// The digest of `content`.
    pub fn of(algorithm: Algorithm, content: &[u8]) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::from_hash(algorithm, &Sha256::digest(content)),
            Algorithm::Sha384 => Self::from_hash(algorithm, &Sha384::digest(content)),
            Algorithm::Sha512 => Self::from_hash(algorithm, &Sha512::digest(content)),
        }
    }

    /// The canonical digest of `content`.
    pub fn sha256_of(content: &[u8]) -> Self {
        Self::of(Algorithm::Sha256, content)
    }

    /// The digest whose binary value is `hash`.
    pub(crate) fn from_hash(algorithm: Algorithm, hash: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = String::with_capacity(hash.len() * 2);
        for byte in hash {
            hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
            hex.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        Self { algorithm, hex: hex.into_boxed_str() }
    }

    /// The binary value of a canonical digest; `None` for any other.
    pub(crate) fn canonical_hash(&self) -> Option<[u8; 32]> {
        if self.is_canonical() { Self::canonical_hash_of(&self.hex) } else { None }
    }

    /// The binary value of the canonical digest with these digits; `None` when they are invalid.
    pub(crate) fn canonical_hash_of(hex: &str) -> Option<[u8; 32]> {
        let digits: &[u8; 64] = hex.as_bytes().try_into().ok()?;
        let mut hash = [0; 32];
        let mut wrong = 0;
        for (byte, digits) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let (high, low) = (VALUES[usize::from(digits[0])], VALUES[usize::from(digits[1])]);
            *byte = high << 4 | low;
            wrong |= high | low;
        }
        // A single check at the end: this runs for every file of a store.
        (wrong < 16).then_some(hash)
    }

    /// The hash function.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The part after the colon.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// Whether the digest is of the canonical algorithm, under which content is stored.
    pub fn is_canonical(&self) -> bool {
        self.algorithm == Algorithm::Sha256
    }
}

/// The values of hexadecimal digits, and 255 for other bytes.
const VALUES: [u8; 256] = {
    let mut values = [255; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    values
};

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let invalid = |problem| InvalidDigest { text: shorten(text), problem };
        let (algorithm, hex) = text.split_once(':').ok_or_else(|| invalid(Problem::NoColon))?;
        let algorithm: Algorithm = algorithm.parse().map_err(|_| invalid(Problem::UnknownAlgorithm))?;
        if hex.len() != algorithm.hex_len() {
            return Err(invalid(Problem::Length(algorithm)));
        }
        if !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(invalid(Problem::NotHex));
        }
        Ok(Self { algorithm, hex: hex.into() })
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// An error: the text is not a digest.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid digest {text:?}: {problem}")]
pub struct InvalidDigest {
    text: String,
    problem: Problem,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
enum Problem {
    #[error("it has no colon between algorithm and hash")]
    NoColon,
    #[error("the algorithm must be sha256, sha384 or sha512")]
    UnknownAlgorithm,
    #[error("a {0} hash has {len} hexadecimal digits", len = .0.hex_len())]
    Length(Algorithm),
    #[error("the hash must be in lower-case hexadecimal digits")]
    NotHex,
}

/// Shortens client input for errors and logs, and leaves enough to recognise it.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_parses_back_from_its_display() {
        for algorithm in Algorithm::ALL {
            let digest = Digest::of(algorithm, b"sampan");
            assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        }
    }

    #[test]
    fn the_empty_blob_has_its_well_known_digest() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::sha256_of(b"").to_string(), empty);
    }

    #[test]
    fn malformed_digests_are_refused_with_the_reason() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (text, reason) in [
            (String::new(), "no colon"),
            (hex.to_owned(), "no colon"),
            (format!("md5:{hex}"), "algorithm must be"),
            (format!("SHA256:{hex}"), "algorithm must be"),
            (format!("sha256:{}", hex.to_uppercase()), "lower-case"),
            (format!("sha256:{hex}0"), "64 hexadecimal"),
            (format!("sha512:{hex}"), "128 hexadecimal"),
            (format!("sha256:{hex}\n"), "64 hexadecimal"),
        ] {
            let error = text.parse::<Digest>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
