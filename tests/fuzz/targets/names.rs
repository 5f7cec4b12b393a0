//! Names, tags, digests and references: the specification's grammar and nothing else, written as they were read.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::LazyLock;

use regex::Regex;
use sampan_engine::oci::{Digest, Reference, RepositoryName, Tag};

/// OCI distribution-spec, "Pulling manifests", and image-spec, `descriptor.md`.
static GRAMMAR: LazyLock<[Regex; 3]> = LazyLock::new(|| {
    [
        r"^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$",
        "^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$",
        "^(sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})$",
    ]
    .map(|pattern| Regex::new(pattern).expect("a pattern"))
});

pub(super) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let [name, tag, digest] = &*GRAMMAR;
    check::<RepositoryName>(text, name.is_match(text) && text.len() <= RepositoryName::MAX_LEN);
    check::<Tag>(text, tag.is_match(text));
    check::<Digest>(text, digest.is_match(text));
    check::<Reference>(text, tag.is_match(text) || digest.is_match(text));
}

fn check<T: FromStr<Err: Display> + Display>(text: &str, is_valid: bool) {
    match text.parse::<T>() {
        Ok(value) => {
            assert!(is_valid, "{text:?} was taken");
            assert_eq!(value.to_string(), text);
        }
        Err(error) => {
            assert!(!is_valid, "{text:?}: {error}");
            // A client chooses the text, and the error goes into an answer and a line of the log.
            let message = error.to_string();
            assert!(message.len() < 4096 && !message.contains('\n'), "{message}");
        }
    }
}
