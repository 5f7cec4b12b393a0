//! `Recorder`: receives what a pass has found in each repository of the source, and left whole in the target.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use sampan_driver::StorageDriverExt;

use super::Result;
use super::digest_set::DigestSet;
use super::error::NameStore;
use super::repositories::TagInBoth;
use super::repository::{ImagePart, RepositoryCopy, parse};
use crate::layout::Entry;
use crate::oci::{Digest, RepositoryName, Tag};
use crate::tag_dates::TagDate;

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
    tags.iter().filter(|tag| tag.is_gone()).map(|tag| tag.tag.clone()).collect()
}

impl RepositoryCopy {
    /// The manifests of the source that the target has whole, in order: those of the walk, and those that came meanwhile.
    pub(super) fn whole(&self, here: &DigestSet) -> Vec<Digest> {
        let mut whole: Vec<Digest> =
            here.iter().filter(|digest| self.settled(digest) == Some(ImagePart::There)).collect();
        let state = self.state.lock();
        let settled = state.settled.iter().filter(|(_, part)| **part == ImagePart::There);
        whole.extend(settled.map(|(digest, _)| digest).filter(|digest| !here.contains(digest)).cloned());
        drop(state);
        whole.sort();
        whole
    }

    /// The tags that are `there`, each with its time and the digest that it was pushed by.
    pub(super) async fn record_tags(
        &self,
        dates: Vec<TagDate>,
        there: &HashSet<Tag>,
        digests: &[TagInBoth],
        manifests: &[Digest],
    ) -> Result<Vec<RecordedTag>> {
        let mut pushed_as = HashMap::new();
        for tag in digests.iter().filter(|digest| digest.source.is_some()).map(|digest| &digest.tag) {
            let path = Entry::TagDigest(self.name.clone(), tag.clone()).path();
            let content = self.copier.source.get_content_if_any(&path).await.at_source()?;
            let digest = content.as_deref().and_then(parse);
            if let Some(digest) = digest.filter(|digest| manifests.binary_search(digest).is_ok()) {
                pushed_as.insert(tag, digest);
            }
        }
        let current = dates.into_iter().filter(|date| date.is_current && there.contains(&date.tag));
        let mut tags: Vec<RecordedTag> = current
            .map(|TagDate { tag, digest, pushed, .. }| {
                let pushed_as = pushed_as.get(&tag).cloned();
                RecordedTag { tag, digest, pushed, pushed_as }
            })
            .collect();
        tags.sort_by(|a, b| a.tag.cmp(&b.tag));
        Ok(tags)
    }
}
