//! `Recorder`: receives what a pass has found in each repository of the source, and left whole in the target.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::repositories::TagInBoth;
use crate::oci::{Digest, RepositoryName, Tag};

/// Receives the content of repositories, in no order.
#[derive(Clone)]
pub(crate) struct Recorder(Arc<dyn Fn(Recorded) + Send + Sync>);

/// The content of one repository.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) name: RepositoryName,
    /// The manifests of the source that the target has whole, in order.
    pub(crate) manifests: Vec<Digest>,
    /// The tags of the source whose manifests the target has, in order.
    pub(crate) tags: Vec<RecordedTag>,
    /// Tags that only the target has.
    pub(crate) gone: Vec<Tag>,
}

/// A tag.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RecordedTag {
    pub(crate) tag: Tag,
    /// The manifest that it points at.
    pub(crate) digest: Digest,
    /// When it was pushed.
    pub(crate) pushed: SystemTime,
    /// The digest of its push, if that is not the canonical one.
    pub(crate) pushed_as: Option<Digest>,
}

impl Recorder {
    /// Calls `record` with each repository.
    pub(crate) fn new(record: impl Fn(Recorded) + Send + Sync + 'static) -> Self {
        Self(Arc::new(record))
    }

    pub(super) fn record(&self, recorded: Recorded) {
        (self.0)(recorded);
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder(…)")
    }
}

impl Recorded {
    /// A repository of which the source has nothing.
    pub(super) fn gone(name: RepositoryName, tags: &[TagInBoth]) -> Self {
        Self { name, manifests: Vec::new(), tags: Vec::new(), gone: gone(tags) }
    }
}

/// The tags that only the target has.
pub(super) fn gone(tags: &[TagInBoth]) -> Vec<Tag> {
    tags.iter().filter(|tag| tag.source.is_none()).map(|tag| tag.tag.clone()).collect()
}
