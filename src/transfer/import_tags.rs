//! The tags of an import: those that are there with another image, before it writes anything and when it sets them.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_engine::oci::{Digest, ManifestKind, Tag};

use crate::import_checks::SelectedImage;
use crate::import_root::Root;
use crate::{Error, ImportReport, Result, TagChange, TagPolicy, Target};

/// How many questions to the target are open at a time.
const CONCURRENT_CHECKS: usize = 16;

/// The tags that are there with another digest.
///
/// # Errors
///
/// `TagTaken` for the first one, if that is the policy; any error of the target.
pub(crate) async fn tag_changes(
    target: &dyn Target,
    selected: &[SelectedImage<'_>],
    policy: TagPolicy,
) -> Result<Vec<TagChange>> {
    let tags = selected.iter().flat_map(|image| image.tags.iter().map(move |tag| (image, tag)));
    let present = stream::iter(tags).map(|(image, tag)| async move {
        Ok::<_, Error>((image, tag, target.tag(&image.target, tag).await?))
    });
    let mut present = present.buffered(CONCURRENT_CHECKS);
    let mut changes = Vec::new();
    while let Some((image, tag, present)) = present.try_next().await? {
        if let Some(present) = present {
            changes.extend(change(target, image, tag, present, policy)?);
        }
    }
    Ok(changes)
}

/// The tags of a root that are to be set.
#[derive(Debug, Default)]
pub(crate) struct TagsToSet {
    pub(crate) tags: Vec<Tag>,
    /// Those that came to another image since the checks, and stay.
    pub(crate) kept: Vec<Tag>,
}

/// The tags of a root that are not there. Since the checks, clients may have set some of them, which the report gets.
///
/// # Errors
///
/// As [`tag_changes`].
pub(crate) async fn tags_to_set(
    target: &dyn Target,
    root: &Root<'_>,
    policy: TagPolicy,
    checked: &HashMap<String, Digest>,
    report: &mut ImportReport,
) -> Result<TagsToSet> {
    let mut found = TagsToSet::default();
    for tag in &root.tags {
        let present = target.tag(&root.image.target, tag).await?;
        if present.as_ref() == Some(root.digest) {
            continue;
        }
        let change = match present {
            Some(present) => change(target, root.image, tag, present, policy)?,
            None => None,
        };
        let is_kept = change.as_ref().is_some_and(|change| change.kept);
        if let Some(change) = change.filter(|change| checked.get(&change.tag) != Some(&change.from)) {
            report.moved_tags.retain(|earlier| earlier.tag != change.tag);
            report.moved_tags.push(change);
        }
        if is_kept { &mut found.kept } else { &mut found.tags }.push(tag.clone());
    }
    Ok(found)
}

/// The change of a tag that is there as `present`; `None` if it stays as it is, or gets entries besides its own.
fn change(
    target: &dyn Target,
    image: &SelectedImage<'_>,
    tag: &Tag,
    present: Digest,
    policy: TagPolicy,
) -> Result<Option<TagChange>> {
    let kind = ManifestKind::from_media_type(&image.planned.media_type);
    let is_merged = target.merges(tag) && kind.is_some_and(ManifestKind::is_index);
    if present == image.planned.digest || is_merged {
        return Ok(None);
    }
    if policy == TagPolicy::Fail {
        let (repository, tag) = (image.target.clone(), tag.to_string());
        return Err(Error::TagTaken { repository, tag, present });
    }
    Ok(Some(TagChange {
        tag: format!("{}:{tag}", image.target),
        to: image.planned.digest.clone(),
        from: present,
        kept: policy == TagPolicy::Keep,
    }))
}
