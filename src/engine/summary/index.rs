//! The summary of an index: what its children have together.
//!
//! An index may be hostile: as many children as fit into a manifest, each an index again. So the number of manifests that are
//! read is bounded, and so are their bytes; digests cannot form a cycle, and each is read once.

use std::collections::HashSet;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::config::ImageConfig;
use super::outline::ImageOutline;
use super::tally::Tally;
use super::{Gap, ImageKind, ImageSummary};
use crate::oci::descriptor::Platform;
use crate::oci::{Descriptor, Digest, Manifest, Reference};
use crate::{Error, Repository, Result};

/// How many manifests of an index are read.
const MAX_MANIFESTS: usize = 256;

/// How many bytes of manifests are read, but for those that are under way when it is reached.
const MAX_MANIFEST_BYTES: usize = 16 << 20;

/// How many configurations are read to learn the platforms of children whose descriptors have none.
const MAX_CONFIGS: usize = 16;

/// How many platforms a summary lists.
const MAX_PLATFORMS: usize = 64;

const CONCURRENT_READS: usize = 8;

/// Summarizes an index, whose annotations are in `summary`.
pub(super) async fn summarize(
    repository: &Repository,
    mut summary: ImageSummary,
    family: Family,
) -> Result<ImageSummary> {
    let mut walk = Walk { repository, family };
    walk.read_children().await?;
    let mut family = walk.family;
    summary.size_bytes = family.tally.size_bytes();
    summary.layers = family.tally.layers();
    if let Some(image) = family.first_image.take() {
        let image = image.complete(repository).await?;
        summary.created = summary.created.or(image.created);
        summary.title = summary.title.or(image.title);
        summary.version = summary.version.or(image.version);
        summary.gaps = image.gaps;
    }
    summary.gaps.extend(family.gaps());
    summary.platforms = family.platforms;
    Ok(summary)
}

/// The way through the manifests of an index, level by level.
struct Walk<'a> {
    repository: &'a Repository,
    family: Family,
}

/// The manifests of an index, as far as they were read.
#[derive(Debug, Default)]
pub(super) struct Family {
    /// Children that are not read yet, and whether a descriptor has named their platform.
    next: Vec<(Digest, bool)>,
    met: HashSet<Digest>,
    tally: Tally,
    platforms: Vec<String>,
    met_platforms: HashSet<String>,
    first_image: Option<ImageOutline>,
    read_manifests: usize,
    read_bytes: usize,
    read_configs: usize,
    missing: u64,
    unreadable: u64,
    left_out: u64,
}

impl Walk<'_> {
    async fn read_children(&mut self) -> Result<()> {
        while !self.family.next.is_empty() {
            let mut level = std::mem::take(&mut self.family.next);
            let allowed = MAX_MANIFESTS.saturating_sub(self.family.read_manifests).min(level.len());
            self.family.left_out += (level.len() - allowed) as u64;
            level.truncate(allowed);
            let repository = self.repository;
            let mut children = stream::iter(level)
                .map(|(digest, has_platform)| async move {
                    Ok::<_, Error>((read(repository.clone(), digest).await?, has_platform))
                })
                .buffered(CONCURRENT_READS);
            let mut left = allowed;
            while self.family.read_bytes < MAX_MANIFEST_BYTES
                && let Some((child, has_platform)) = children.try_next().await?
            {
                left -= 1;
                self.family.read_manifests += 1;
                match child {
                    Some(bytes) => self.take(bytes, has_platform).await?,
                    None => self.family.missing += 1,
                }
            }
            self.family.left_out += left as u64;
        }
        Ok(())
    }

    async fn take(&mut self, bytes: Bytes, has_platform: bool) -> Result<()> {
        let mut family = std::mem::take(&mut self.family);
        family.read_bytes += bytes.len();
        let limits = &self.repository.registry.inner.summary_limits;
        let take = move |parsed: std::result::Result<Manifest, _>| {
            let config = match parsed {
                Ok(manifest) => family.take(&manifest, has_platform),
                Err(_) => {
                    family.unreadable += 1;
                    None
                }
            };
            (family, config)
        };
        let (family, config) = limits.parse(bytes, take).await;
        self.family = family;
        if let Some(config) = config {
            // The image's own summary says why its platform is not known.
            let config = ImageConfig::read(self.repository, &config).await?;
            self.family.add_platform(config.ok().and_then(|config| config.platform()));
        }
        Ok(())
    }
}

impl Family {
    pub(super) fn take_children(&mut self, index: &Manifest) {
        for child in &index.manifests {
            if !child.may_be_manifest() {
                // The index of a build cache lists blobs.
                self.tally.add_blob(child, true);
                continue;
            }
            let platform = child.platform.as_ref();
            self.add_platform(platform.and_then(Platform::text));
            if self.met.insert(child.digest.clone()) {
                self.next.push((child.digest.clone(), platform.is_some()));
            }
        }
    }

    fn add_platform(&mut self, platform: Option<String>) {
        let Some(platform) = platform.filter(|platform| !self.met_platforms.contains(platform)) else {
            return;
        };
        if self.platforms.len() < MAX_PLATFORMS {
            self.platforms.push(platform.clone());
        }
        self.met_platforms.insert(platform);
    }

    /// Takes a child; returns its configuration if that is to be read for the platform.
    fn take(&mut self, manifest: &Manifest, has_platform: bool) -> Option<Descriptor> {
        if manifest.kind.is_index() {
            self.take_children(manifest);
            return None;
        }
        self.tally.add(manifest);
        let image = ImageOutline::of(manifest);
        if image.summary.kind != ImageKind::Image {
            return None;
        }
        let is_needed = !has_platform && self.read_configs < MAX_CONFIGS;
        let config = image.config.clone().filter(|_| is_needed);
        self.read_configs += usize::from(config.is_some());
        self.first_image.get_or_insert(image);
        config
    }

    fn gaps(&self) -> impl Iterator<Item = Gap> + use<> {
        let platforms = (self.met_platforms.len() - self.platforms.len()) as u64;
        [
            (self.missing, Gap::ChildrenMissing(self.missing)),
            (self.unreadable, Gap::ChildrenUnreadable(self.unreadable)),
            (self.left_out, Gap::ChildrenLeftOut(self.left_out)),
            (platforms, Gap::PlatformsLeftOut(platforms)),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(_, gap)| gap)
    }
}

/// The bytes of a child; `None` if they are missing or damaged.
async fn read(repository: Repository, digest: Digest) -> Result<Option<Bytes>> {
    match repository.manifests().fetch(&Reference::Digest(digest)).await {
        Ok(stored) => Ok(Some(stored.bytes)),
        Err(Error::ManifestUnknown(..) | Error::Corrupt(..)) => Ok(None),
        Err(error) => Err(error),
    }
}
