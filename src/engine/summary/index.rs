//! The summary of an index: what its children have together.
//!
//! An index may be hostile: as many children as fit into a manifest, each an index again. So the number of manifests that are
//! read is bounded, and so are their bytes; digests cannot form a cycle, and each is read once.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};

use super::config::{ImageConfig, given};
use super::tally::Tally;
use super::{Gap, ImageKind, ImageSummary};
use crate::oci::descriptor::Platform;
use crate::oci::{Descriptor, Digest, Manifest, ManifestKind, Reference};
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

/// Summarizes an index.
pub(super) async fn summarize(repository: &Repository, index: &Manifest) -> Result<ImageSummary> {
    let mut walk = Walk::new(repository);
    walk.take_children(index);
    walk.read_children().await?;
    let mut summary = ImageSummary {
        kind: ImageKind::Index,
        artifact_type: index.artifact_type.as_deref().and_then(given),
        size_bytes: walk.tally.size_bytes(),
        layers: walk.tally.layers(),
        ..ImageSummary::annotated(index)
    };
    if let Some(image) = &walk.first_image {
        let image = ImageSummary::of_image(repository, image).await?;
        summary.created = summary.created.or(image.created);
        summary.title = summary.title.or(image.title);
        summary.version = summary.version.or(image.version);
        summary.gaps = image.gaps;
    }
    summary.gaps.extend(walk.gaps());
    summary.platforms = walk.platforms;
    Ok(summary)
}

/// The way through the manifests of an index, level by level.
struct Walk<'a> {
    repository: &'a Repository,
    /// Children that are not read yet, and whether a descriptor has named their platform.
    next: Vec<(Digest, bool)>,
    met: HashSet<Digest>,
    tally: Tally,
    platforms: Vec<String>,
    met_platforms: HashSet<String>,
    first_image: Option<Manifest>,
    read_manifests: usize,
    read_bytes: usize,
    read_configs: usize,
    missing: u64,
    unreadable: u64,
    left_out: u64,
}

/// A child of an index.
enum Child {
    Found(Box<Manifest>, usize),
    Missing,
    Unreadable(usize),
}

impl<'a> Walk<'a> {
    fn new(repository: &'a Repository) -> Self {
        Self {
            repository,
            next: Vec::new(),
            met: HashSet::new(),
            tally: Tally::default(),
            platforms: Vec::new(),
            met_platforms: HashSet::new(),
            first_image: None,
            read_manifests: 0,
            read_bytes: 0,
            read_configs: 0,
            missing: 0,
            unreadable: 0,
            left_out: 0,
        }
    }

    fn take_children(&mut self, index: &Manifest) {
        for child in &index.manifests {
            if !may_be_manifest(child) {
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

    async fn read_children(&mut self) -> Result<()> {
        while !self.next.is_empty() {
            let mut level = std::mem::take(&mut self.next);
            let allowed = MAX_MANIFESTS.saturating_sub(self.read_manifests).min(level.len());
            self.left_out += (level.len() - allowed) as u64;
            level.truncate(allowed);
            let repository = self.repository;
            let mut children = stream::iter(level)
                .map(|(digest, has_platform)| async move {
                    Ok::<_, Error>((read(repository.clone(), digest).await?, has_platform))
                })
                .buffered(CONCURRENT_READS);
            let mut left = allowed;
            while self.read_bytes < MAX_MANIFEST_BYTES
                && let Some((child, has_platform)) = children.try_next().await?
            {
                left -= 1;
                self.read_manifests += 1;
                self.take(child, has_platform).await?;
            }
            self.left_out += left as u64;
        }
        Ok(())
    }

    async fn take(&mut self, child: Child, has_platform: bool) -> Result<()> {
        let manifest = match child {
            Child::Found(manifest, bytes) => {
                self.read_bytes += bytes;
                manifest
            }
            Child::Missing => {
                self.missing += 1;
                return Ok(());
            }
            Child::Unreadable(bytes) => {
                self.read_bytes += bytes;
                self.unreadable += 1;
                return Ok(());
            }
        };
        if manifest.kind.is_index() {
            self.take_children(&manifest);
            return Ok(());
        }
        self.tally.add(&manifest);
        if ImageKind::of(&manifest) != ImageKind::Image {
            return Ok(());
        }
        if let Some(config) = manifest.config.as_ref().filter(|_| !has_platform)
            && self.read_configs < MAX_CONFIGS
        {
            self.read_configs += 1;
            // The image's own summary says why its platform is not known.
            let config = ImageConfig::read(self.repository, config).await?;
            self.add_platform(config.ok().and_then(|config| config.platform()));
        }
        self.first_image.get_or_insert(*manifest);
        Ok(())
    }

    fn gaps(&self) -> impl Iterator<Item = Gap> {
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

/// Whether a child of an index is a manifest by its descriptor.
fn may_be_manifest(child: &Descriptor) -> bool {
    child.media_type.is_empty() || ManifestKind::from_media_type(&child.media_type).is_some()
}

async fn read(repository: Repository, digest: Digest) -> Result<Child> {
    let stored = match repository.manifests().fetch(&Reference::Digest(digest)).await {
        Ok(stored) => stored,
        Err(Error::ManifestUnknown(..) | Error::Corrupt(..)) => return Ok(Child::Missing),
        Err(error) => return Err(error),
    };
    Ok(match Manifest::parse(&stored.bytes, None) {
        Ok(manifest) => Child::Found(Box::new(manifest), stored.bytes.len()),
        Err(_) => Child::Unreadable(stored.bytes.len()),
    })
}
