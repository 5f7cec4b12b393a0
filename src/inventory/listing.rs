//! Lists the image behind each tag of a repository.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_engine::oci::descriptor::{Platform, platform_text};
use sampan_engine::oci::{Descriptor, Digest};
use serde::{Deserialize, Serialize};

use super::source::{LoadedManifest, Source, SourceError};

/// A repository and its tags.
#[derive(Clone, Debug, Serialize)]
pub struct Listing {
    /// The repository's name.
    pub repository: String,
    /// The tags, sorted.
    pub tags: Vec<TaggedImage>,
    /// The tags without a readable manifest, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

/// A tagged manifest.
#[derive(Clone, Debug, Serialize)]
pub struct TaggedImage {
    /// The tag.
    pub tag: String,
    /// The manifest's digest.
    pub digest: String,
    /// The manifest's media type.
    pub media_type: String,
    /// The platforms, such as `linux/amd64`; none if it is not an image.
    pub platforms: Vec<String>,
    /// The size of all its content in the store, in bytes: manifests, configurations and layers, each counted
    /// once.
    pub size_bytes: u64,
}

/// The number of concurrent requests for manifests.
const CONCURRENT_READS: usize = 8;

/// Lists the repositories with these names and those below them; all without names. Passes each to `tell`
/// when it is complete. Returns whether any exist.
///
/// # Errors
///
/// The source is not readable.
pub async fn list(
    source: &Source,
    names: &[String],
    mut tell: impl FnMut(Listing),
) -> Result<bool, SourceError> {
    let mut any = false;
    for repository in source.repositories().await? {
        if !is_among(&repository, names) {
            continue;
        }
        any = true;
        let tags = source.tags(&repository).await?;
        let mut images =
            stream::iter(tags).map(|tag| describe(source, &repository, tag)).buffered(CONCURRENT_READS);
        let (mut tags, mut unreadable) = (Vec::new(), Vec::new());
        while let Some(described) = images.try_next().await? {
            match described {
                Ok(image) => tags.push(image),
                Err(tag) => unreadable.push(tag),
            }
        }
        drop(images);
        tell(Listing { repository, tags, unreadable });
    }
    Ok(any)
}

pub(super) fn is_among(repository: &str, names: &[String]) -> bool {
    let matches = |name: &String| {
        let name = name.trim_end_matches('/');
        repository.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    names.is_empty() || names.iter().any(matches)
}

/// The image of a tag; the tag alone if it was deleted meanwhile, or its manifest cannot be read.
async fn describe(
    source: &Source,
    repository: &str,
    tag: String,
) -> Result<Result<TaggedImage, String>, SourceError> {
    let Some(found) = source.manifest(repository, &tag).await? else { return Ok(Err(tag)) };
    let mut platforms = Vec::new();
    let mut counted = HashSet::new();
    let mut size_bytes = count(&mut counted, &found);
    for child in found.manifest.manifests.iter().take(MAX_CHILDREN) {
        platforms.extend(child.platform.as_ref().and_then(Platform::text));
        if let Some(child) = source.manifest(repository, &child.digest.to_string()).await? {
            size_bytes = size_bytes.saturating_add(count(&mut counted, &child));
        }
    }
    if let Some(config) = found.manifest.config.as_ref().filter(|config| is_image(config)) {
        let content = source.small_blob(repository, &config.digest).await?;
        platforms.extend(content.and_then(|content| platform_of_config(&content)));
    }
    Ok(Ok(TaggedImage {
        tag,
        digest: found.digest.to_string(),
        media_type: found.manifest.kind.media_type().to_owned(),
        platforms,
        size_bytes,
    }))
}

/// The most children of an index to read; a hostile one would cause endless work.
const MAX_CHILDREN: usize = 1000;

/// The bytes that a manifest adds to those counted already.
fn count(counted: &mut HashSet<Digest>, found: &LoadedManifest) -> u64 {
    let own = std::iter::once((&found.digest, found.size_bytes));
    let parts =
        found.manifest.config.iter().chain(found.manifest.layers.iter().filter(|layer| is_stored(layer)));
    own.chain(parts.map(|part| (&part.digest, part.size)))
        .filter(|(digest, _)| counted.insert((*digest).clone()))
        .fold(0, |sum: u64, (_, size)| sum.saturating_add(size))
}

/// Layers with URLs are stored elsewhere.
pub(super) fn is_stored(layer: &Descriptor) -> bool {
    layer.urls.is_empty()
}

fn is_image(config: &Descriptor) -> bool {
    matches!(
        config.media_type.as_str(),
        "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json"
    )
}

fn platform_of_config(content: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Config {
        architecture: String,
        os: String,
        variant: Option<String>,
    }
    let config: Config = serde_json::from_slice(content).ok()?;
    platform_text(&config.os, &config.architecture, config.variant.as_deref())
}
