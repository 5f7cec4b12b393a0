//! Which images of an index an export carries.

use std::collections::HashSet;

use sampan_engine::oci::{Descriptor, Manifest};

use crate::Result;
use crate::draft::problem;
use crate::selection::Platform;

/// The annotation of an attestation: the image in the same index that it is about (buildkit).
const ATTESTED: &str = "vnd.docker.reference.digest";

/// Whether each child of an index is carried, in the order of the index. An attestation goes with its image.
///
/// # Errors
///
/// `Image` when the index has children, and none for the platforms.
pub(crate) fn kept(index: &Manifest, platforms: &[Platform]) -> Result<Vec<bool>> {
    let is_wanted = |child: &Descriptor| {
        let platform = child.platform.as_ref();
        platforms.is_empty()
            || platform.is_none_or(|platform| platforms.iter().any(|wanted| wanted.has(platform)))
    };
    let images = index.manifests.iter().filter(|child| !child.annotations.contains_key(ATTESTED));
    let images: HashSet<String> =
        images.filter(|child| is_wanted(child)).map(|child| child.digest.to_string()).collect();
    if images.is_empty() && !index.manifests.is_empty() && !platforms.is_empty() {
        let platforms: Vec<String> = platforms.iter().map(ToString::to_string).collect();
        return Err(problem(format!("it has no image for {}", platforms.join(" or "))));
    }
    let is_kept = |child: &Descriptor| match child.annotations.get(ATTESTED) {
        Some(attested) => platforms.is_empty() || images.contains(attested),
        None => is_wanted(child),
    };
    Ok(index.manifests.iter().map(is_kept).collect())
}
