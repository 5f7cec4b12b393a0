//! Pruning: removes the tags of a copy that the upstream does not have, whether or not it had them.

use sampan_bundle::is_fallback_tag;
use sampan_engine::oci::{Digest, RepositoryName, Tag};
use sampan_transfer::{Target, fallback_subject};

use crate::error::Failed;

/// Removes the tags of `name` that are not in `upstream`, and returns how many. A tag that attaches something to an image stays
/// as long as the image does; a tag that moved meanwhile stays. Manifests and blobs stay until a collection.
///
/// A list that lacks more than half of the tags is more likely wrong than right, so then nothing is removed. Tags that attach
/// something do not count: they stay because of their images.
pub(crate) async fn prune(
    target: &dyn Target,
    name: &RepositoryName,
    upstream: &[Tag],
) -> Result<u64, Failed> {
    let all = target.tags(name).await?;
    let mut stale: Vec<(Tag, Digest)> = Vec::new();
    for tag in all.iter().filter(|tag| upstream.binary_search(tag).is_err()) {
        if let Some(subject) = fallback_subject(tag)
            && target.has_manifest(name, &subject).await?
        {
            continue;
        }
        if let Some(digest) = target.tag(name, tag).await? {
            stale.push((tag.clone(), digest));
        }
    }
    if stale.is_empty() {
        return Ok(0);
    }
    target.check_deletable()?;
    let ordinary = all.iter().filter(|tag| !is_fallback_tag(tag)).count();
    let gone = stale.iter().filter(|(tag, _)| !is_fallback_tag(tag)).count();
    if gone * 2 > ordinary {
        return Err(Failed::One(format!(
            "{gone} of its {ordinary} tags here are gone at the upstream, more than half, so none was removed: if that is \
             right, delete them through the API"
        )));
    }
    let mut removed = 0;
    for (tag, digest) in &stale {
        if target.delete_tag(name, tag, digest).await? {
            tracing::info!(repository = %name, %tag, %digest, "{name}:{tag} was removed, since the upstream does not have it");
            removed += 1;
        }
    }
    Ok(removed)
}
