//! Which images of an index an export carries.

use std::collections::{BTreeMap, HashSet};

use sampan_engine::oci::{Descriptor, Digest, Manifest, RepositoryName, descriptor};
use serde::Deserialize;

use crate::intact::small_blob;
use crate::selection::Platform;
use crate::{Result, Source};

/// The annotation of an attestation: the image in the same index that it is about (buildkit).
const ATTESTED: &str = "vnd.docker.reference.digest";

/// Whether each child of an index is carried, in the order of the index. An attestation goes with its image.
pub(crate) fn kept(index: &Manifest, platforms: &[Platform]) -> Vec<bool> {
    let is_wanted = |child: &Descriptor| {
        let platform = child.platform.as_ref();
        platforms.is_empty()
            || platform.is_none_or(|platform| platforms.iter().any(|wanted| wanted.has(platform)))
    };
    let images = index.manifests.iter().filter(|child| !child.annotations.contains_key(ATTESTED));
    let images: HashSet<String> =
        images.filter(|child| is_wanted(child)).map(|child| child.digest.to_string()).collect();
    let is_kept = |child: &Descriptor| match child.annotations.get(ATTESTED) {
        Some(attested) => platforms.is_empty() || images.contains(attested),
        None => is_wanted(child),
    };
    index.manifests.iter().map(is_kept).collect()
}

/// The longest configuration that is read for its platform, in bytes.
const MAX_CONFIG_BYTES: u64 = 4 << 20;

/// The platform in the configuration of an image (OCI image-spec, `config.md`).
#[derive(Default, Deserialize)]
#[serde(default)]
struct ConfigPlatform {
    os: String,
    architecture: String,
    variant: String,
}

/// The platform that the configuration of an image names; `None` if it names none, or cannot be read.
///
/// # Errors
///
/// Any error of the source.
pub(crate) async fn platform_of(
    source: &dyn Source,
    repository: &RepositoryName,
    config: &Digest,
) -> Result<Option<descriptor::Platform>> {
    let Some(bytes) = small_blob(source, repository, config, MAX_CONFIG_BYTES).await? else {
        return Ok(None);
    };
    let ConfigPlatform { os, architecture, variant } = serde_json::from_slice(&bytes).unwrap_or_default();
    let is_named = !os.is_empty() && !architecture.is_empty();
    let rest = BTreeMap::from([("variant".to_owned(), variant.into())]);
    Ok(is_named.then_some(descriptor::Platform { architecture, os, rest }))
}
