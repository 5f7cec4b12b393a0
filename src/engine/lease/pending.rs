//! The files by which collectors and registries know of one another: notices of runs, and batches of pending deletions.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::oci::{Digest, RepositoryName};

/// The content of a notice: a collection is running. It names no end, because the clock that would decide it may be a day
/// ahead.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct ActiveRun {
    /// Grace period of the collection, in milliseconds.
    pub(crate) grace_ms: u64,
    /// Process id of the collector, for people who look for it.
    #[serde(default)]
    pub(crate) process: u32,
}

impl ActiveRun {
    /// Parses the file; `None` if it cannot be read.
    pub(crate) fn parse(content: &[u8]) -> Option<Self> {
        serde_json::from_slice(content).ok()
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    pub(crate) fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }
}

/// One line of a batch: a pending deletion.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum DeletionKey {
    /// Data, and every layer link to them.
    Blob(Digest),
    /// The layer link of one repository, and its aliases.
    Layer(RepositoryName, Digest),
    /// A manifest of one repository.
    Revision(RepositoryName, Digest),
    /// The remains of a repository that has no content.
    Repository(RepositoryName),
}

impl fmt::Display for DeletionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(digest) => write!(f, "{digest}"),
            Self::Layer(name, digest) => write!(f, "{name} {digest}"),
            Self::Revision(name, digest) => write!(f, "{name}@{digest}"),
            Self::Repository(name) => write!(f, "{name}"),
        }
    }
}

/// The content of a batch: the first bytes of each line's hash. A line may be as long as the name of a repository, and a
/// registry keeps the batches of a running collection in memory.
#[derive(Debug, Default)]
pub(crate) struct Batch(HashSet<[u8; 16]>);

impl Batch {
    pub(crate) fn parse(content: &[u8]) -> Self {
        let mut lines: HashSet<_> =
            content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(hash).collect();
        lines.shrink_to_fit();
        Self(lines)
    }

    /// Encodes the keys as the content of a batch.
    pub(crate) fn content(keys: &[DeletionKey]) -> Bytes {
        keys.iter().map(|key| format!("{key}\n")).collect::<String>().into()
    }
}

/// The pending deletions of all runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct PendingDeletions(Vec<Arc<Batch>>);

impl PendingDeletions {
    pub(crate) fn add(&mut self, batch: Arc<Batch>) {
        self.0.push(batch);
    }

    /// Whether a collection is about to delete the blob from the repository.
    pub(crate) fn has_blob(&self, name: &RepositoryName, canonical: &Digest) -> bool {
        self.has(&DeletionKey::Blob(canonical.clone()))
            || self.has(&DeletionKey::Layer(name.clone(), canonical.clone()))
            || self.has(&DeletionKey::Repository(name.clone()))
    }

    /// Whether a collection is about to delete the manifest from the repository.
    pub(crate) fn has_manifest(&self, name: &RepositoryName, canonical: &Digest) -> bool {
        self.has(&DeletionKey::Revision(name.clone(), canonical.clone()))
            || self.has(&DeletionKey::Blob(canonical.clone()))
            || self.has(&DeletionKey::Repository(name.clone()))
    }

    fn has(&self, key: &DeletionKey) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let key = hash(key.to_string().as_bytes());
        self.0.iter().any(|batch| batch.0.contains(&key))
    }
}

fn hash(line: &[u8]) -> [u8; 16] {
    let mut beginning = [0; 16];
    beginning.copy_from_slice(&Sha256::digest(line)[..16]);
    beginning
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn a_batch_tells_what_it_dooms_and_where() {
        let name = |text: &str| text.parse::<RepositoryName>().unwrap();
        let [blob, layer, revision] =
            ["blob", "layer", "revision"].map(|text| Digest::sha256_of(text.as_bytes()));
        let batch = Batch::parse(&Batch::content(&[
            DeletionKey::Blob(blob.clone()),
            DeletionKey::Layer(name("a"), layer.clone()),
            DeletionKey::Revision(name("a"), revision.clone()),
            DeletionKey::Repository(name("empty")),
        ]));
        let mut pending = PendingDeletions::default();
        pending.add(Arc::default());
        pending.add(Arc::new(batch));
        assert!(pending.has_blob(&name("b"), &blob) && pending.has_manifest(&name("b"), &blob));
        assert!(pending.has_blob(&name("a"), &layer) && !pending.has_blob(&name("b"), &layer));
        assert!(!pending.has_manifest(&name("a"), &layer));
        assert!(pending.has_manifest(&name("a"), &revision) && !pending.has_manifest(&name("b"), &revision));
        assert!(pending.has_manifest(&name("empty"), &layer) && pending.has_blob(&name("empty"), &revision));
    }

    #[test]
    fn a_notice_says_what_is_young() {
        assert_eq!(ActiveRun::parse(b"rubbish"), None);
        let notice = ActiveRun { grace_ms: 500, process: 7 };
        assert_eq!(ActiveRun::parse(&notice.to_bytes()), Some(notice.clone()));
        // Format of earlier versions.
        let earlier = br#"{"id":"x","expires_ms":1000,"grace_ms":500}"#;
        assert_eq!(ActiveRun::parse(earlier), Some(ActiveRun { process: 0, ..notice.clone() }));
        assert_eq!(notice.grace(), Duration::from_millis(500));
    }

    #[test]
    fn the_largest_batch_takes_little() {
        let name: RepositoryName = "a".repeat(255).parse().unwrap();
        let keys: Vec<DeletionKey> = (0..5000_u32)
            .map(|number| {
                DeletionKey::Revision(name.clone(), Digest::of(Algorithm::Sha512, &number.to_be_bytes()))
            })
            .collect();
        let content = Batch::content(&keys);
        assert!(content.len() > 1_900_000, "{}", content.len());
        let batch = Batch::parse(&content);
        // A table has at most twice the room that it needs, and a byte more for each slot.
        assert!(batch.0.capacity() * 2 * 17 <= 256 << 10, "{}", batch.0.capacity());
        let mut pending = PendingDeletions::default();
        pending.add(Arc::new(batch));
        let digest = |number: u32| Digest::of(Algorithm::Sha512, &number.to_be_bytes());
        assert!((0..5000).all(|number| pending.has_manifest(&name, &digest(number))));
        assert!((5000..10_000).all(|number| !pending.has_manifest(&name, &digest(number))));
    }
}
