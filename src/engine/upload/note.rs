//! `UploadNote`: state stored with the bytes of an upload between its requests.
//!
//! The driver returns the note only with exactly those bytes. The length alone could not ensure that: an upload may be lost
//! and begun again, or two registries may write it at once.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::oci::Algorithm;
use crate::upload::hash::UploadHash;

/// The running hash of an upload, and whether other files lie beside its bytes.
#[derive(Debug)]
pub(crate) struct UploadNote {
    pub(crate) hash: UploadHash,
    /// Only Sampan wrote here, so only `startedat` lies beside the bytes. Distribution leaves more.
    pub(crate) is_alone: bool,
}

/// The note as JSON; the states of the hashes are in hexadecimal digits.
#[derive(Deserialize, Serialize)]
struct Text {
    offset: u64,
    alone: bool,
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    other: Option<(String, String)>,
}

impl UploadNote {
    pub(crate) fn to_bytes(&self) -> Bytes {
        let mut states = self.hash.states().into_iter();
        let sha256 = states.next().map(|(_, state)| digits(&state)).unwrap_or_default();
        let other = states.next().map(|(algorithm, state)| (algorithm.as_str().to_owned(), digits(&state)));
        let text = Text { offset: self.hash.offset(), alone: self.is_alone, sha256, other };
        serde_json::to_vec(&text).unwrap_or_default().into()
    }

    /// Parses the note of `size_bytes` bytes; `None` when it is not such a note.
    pub(crate) fn parse(note: &[u8], size_bytes: u64) -> Option<Self> {
        let text: Text = serde_json::from_slice(note).ok()?;
        if text.offset != size_bytes {
            return None;
        }
        let sha256 = bytes(&text.sha256)?;
        let other: Option<(Algorithm, Vec<u8>)> = match &text.other {
            Some((algorithm, state)) => Some((algorithm.parse().ok()?, bytes(state)?)),
            None => None,
        };
        let other = other.as_ref().map(|(algorithm, state)| (*algorithm, state.as_slice()));
        let hash = UploadHash::resume(size_bytes, &sha256, other)?;
        Some(Self { hash, is_alone: text.alone })
    }
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.as_bytes().chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Digest;

    #[test]
    fn a_note_comes_back_for_its_length_alone() {
        for algorithm in Algorithm::ALL {
            let mut hash = UploadHash::new(algorithm);
            hash.update(&[7; 1000]);
            let note = UploadNote { hash, is_alone: true }.to_bytes();
            assert!(note.len() <= sampan_driver::MAX_NOTE_BYTES);
            let mut found = UploadNote::parse(&note, 1000).unwrap();
            assert!(found.is_alone);
            found.hash.update(&[8; 1000]);
            let whole = [[7; 1000], [8; 1000]].concat();
            assert_eq!(found.hash.digest(algorithm), Some(Digest::of(algorithm, &whole)));
            assert!(UploadNote::parse(&note, 1001).is_none());
        }
    }

    #[test]
    fn rubbish_is_no_note() {
        let state = "0".repeat(216);
        for text in [
            String::new(),
            "{}".to_owned(),
            format!(r#"{{"offset":0,"alone":true,"sha256":"{state}"}}"#),
            r#"{"offset":0,"alone":true,"sha256":"zz"}"#.to_owned(),
            r#"{"offset":0,"alone":true,"sha256":"é"}"#.to_owned(),
        ] {
            assert!(UploadNote::parse(text.as_bytes(), 0).is_none(), "{text}");
        }
    }
}
