//! The two files by which collector and promisers know of one another: `gc/run` and `gc/doomed`.

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::oci::{Digest, RepositoryName};

/// The content of `gc/run`: that a collection is going on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct RunNotice {
    /// Which one.
    pub(crate) id: String,
    /// Until when, in milliseconds since 1970, unless it is renewed.
    pub(crate) expires_ms: u64,
    /// What the collector takes for young, in milliseconds.
    pub(crate) grace_ms: u64,
}

impl RunNotice {
    /// What stands in the file; `None` when it cannot be read.
    pub(crate) fn parse(content: &[u8]) -> Option<Self> {
        serde_json::from_slice(content).ok()
    }

    /// A run of which nothing is known but that it is there.
    pub(crate) fn unknown() -> Self {
        Self { id: String::new(), expires_ms: u64::MAX, grace_ms: 0 }
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    pub(crate) fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }

    /// Whether it was given up, or its collector died.
    pub(crate) fn has_expired(&self, now: SystemTime) -> bool {
        millis(now) >= self.expires_ms
    }
}

/// Milliseconds since 1970.
pub(crate) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// One line of `gc/doomed`: something that is about to be deleted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Key {
    /// Data, and every layer link to them.
    Blob(Digest),
    /// The layer link of one repository, and its aliases.
    Layer(RepositoryName, Digest),
    /// A manifest of one repository.
    Revision(RepositoryName, Digest),
    /// What is left of a repository that has nothing in it.
    Repository(RepositoryName),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(digest) => write!(f, "{digest}"),
            Self::Layer(name, digest) => write!(f, "{name} {digest}"),
            Self::Revision(name, digest) => write!(f, "{name}@{digest}"),
            Self::Repository(name) => write!(f, "{name}"),
        }
    }
}

/// The content of `gc/doomed`.
#[derive(Debug, Default)]
pub(crate) struct Doomed(HashSet<Box<str>>);

impl Doomed {
    pub(crate) fn parse(content: &[u8]) -> Self {
        Self(String::from_utf8_lossy(content).lines().map(Box::from).collect())
    }

    /// The content that says so.
    pub(crate) fn content(keys: &[Key]) -> Bytes {
        keys.iter().map(|key| format!("{key}\n")).collect::<String>().into()
    }

    /// Whether the blob is about to vanish from the repository.
    pub(crate) fn has_blob(&self, name: &RepositoryName, canonical: &Digest) -> bool {
        self.has(&Key::Blob(canonical.clone()))
            || self.has(&Key::Layer(name.clone(), canonical.clone()))
            || self.has(&Key::Repository(name.clone()))
    }

    /// Whether the manifest is about to vanish from the repository.
    pub(crate) fn has_manifest(&self, name: &RepositoryName, canonical: &Digest) -> bool {
        self.has(&Key::Revision(name.clone(), canonical.clone()))
            || self.has(&Key::Blob(canonical.clone()))
            || self.has(&Key::Repository(name.clone()))
    }

    fn has(&self, key: &Key) -> bool {
        !self.0.is_empty() && self.0.contains(key.to_string().as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_tells_what_it_dooms_and_where() {
        let name = |text: &str| text.parse::<RepositoryName>().unwrap();
        let [blob, layer, revision] =
            ["blob", "layer", "revision"].map(|text| Digest::sha256_of(text.as_bytes()));
        let doomed = Doomed::parse(&Doomed::content(&[
            Key::Blob(blob.clone()),
            Key::Layer(name("a"), layer.clone()),
            Key::Revision(name("a"), revision.clone()),
            Key::Repository(name("empty")),
        ]));
        assert!(doomed.has_blob(&name("b"), &blob) && doomed.has_manifest(&name("b"), &blob));
        assert!(doomed.has_blob(&name("a"), &layer) && !doomed.has_blob(&name("b"), &layer));
        assert!(!doomed.has_manifest(&name("a"), &layer));
        assert!(doomed.has_manifest(&name("a"), &revision) && !doomed.has_manifest(&name("b"), &revision));
        assert!(doomed.has_manifest(&name("empty"), &layer) && doomed.has_blob(&name("empty"), &revision));
    }

    #[test]
    fn a_run_that_cannot_be_read_is_still_a_run() {
        assert_eq!(RunNotice::parse(b"rubbish"), None);
        let notice = RunNotice::unknown();
        assert!(!notice.has_expired(SystemTime::now()));
        assert_eq!(notice.grace(), Duration::ZERO);
        let notice = RunNotice { id: "x".to_owned(), expires_ms: 1000, grace_ms: 500 };
        assert_eq!(RunNotice::parse(&notice.to_bytes()), Some(notice.clone()));
        assert!(notice.has_expired(SystemTime::UNIX_EPOCH + Duration::from_secs(1)));
        assert!(!notice.has_expired(SystemTime::UNIX_EPOCH));
    }
}
