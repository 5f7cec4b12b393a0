//! `Draft`: the content of one image of a source, before it is part of a plan.

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sampan_bundle::{ContentKind, DockerImage, ImageWalk, LeftOut, PlannedReferrer, Role};
use sampan_engine::oci::{Descriptor, Digest, Manifest, Reference, RepositoryName, media_type};

use crate::children::{kept, platform_of};
use crate::intact::is_intact;
use crate::plan_size::PlanSize;
use crate::rewrite::{IndexPolicy, Rewrites};
use crate::selection::{Platform, shown_platforms};
use crate::{Error, ExportOptions, Result, Source};

/// How many references of a manifest are looked up in parallel.
const CONCURRENT_LOOKUPS: usize = 8;

/// The content of one image: its manifests, its blobs, then the same of each referrer.
pub(crate) struct Draft {
    pub(crate) root: Digest,
    pub(crate) media_type: String,
    pub(crate) contents: Vec<DraftContent>,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) referrers: Vec<PlannedReferrer>,
    pub(crate) docker: Option<DockerImage>,
    pub(crate) rewrites: Rewrites,
    /// The referrers in the source of indexes that are rewritten.
    pub(crate) left_out_referrers: u64,
    /// The root is an image of another platform than those that are carried; nothing below it was looked up.
    pub(crate) is_for_other_platform: bool,
}

pub(crate) struct DraftContent {
    pub(crate) digest: Digest,
    pub(crate) size_bytes: u64,
    pub(crate) kind: ContentKind,
    pub(crate) is_config: bool,
    /// The image or the referrer that needs it, as it is carried.
    pub(crate) root: Digest,
}

/// The input and the findings of a walk over one root.
struct Walker<'a> {
    source: &'a dyn Source,
    options: &'a ExportOptions,
    repository: &'a RepositoryName,
    draft: Draft,
    sizes: HashMap<Digest, u64>,
    /// The digests of the draft's `left_out`.
    left_out: HashSet<Digest>,
    docker: DockerChoice,
    size: PlanSize,
    /// The indexes of the present walk, if they may be rewritten.
    indexes: HashMap<Digest, Bytes>,
}

/// Chooses the image that old clients get: the root itself, or a child of the index.
#[derive(Default)]
struct DockerChoice {
    /// The children, and whether they have the preferred platform.
    children: HashMap<Digest, bool>,
    preferred: Option<DockerImage>,
    first: Option<DockerImage>,
}

impl Draft {
    /// Walks the image whose manifest is `root`.
    ///
    /// # Errors
    ///
    /// `Image` when content is missing or cannot be read; `TooLarge` when it alone is more than `max_bytes` of a plan.
    pub(crate) async fn of(
        source: &dyn Source,
        options: &ExportOptions,
        repository: &RepositoryName,
        root: &Digest,
        max_bytes: u64,
    ) -> Result<Self> {
        let draft = Self {
            root: root.clone(),
            media_type: String::new(),
            contents: Vec::new(),
            left_out: Vec::new(),
            referrers: Vec::new(),
            docker: None,
            rewrites: Rewrites::new(&options.platforms),
            left_out_referrers: 0,
            is_for_other_platform: false,
        };
        let (sizes, docker) = (HashMap::new(), DockerChoice::default());
        let (left_out, size) = (HashSet::new(), PlanSize::new(max_bytes));
        let indexes = HashMap::new();
        let mut walker =
            Walker { source, options, repository, draft, sizes, left_out, docker, size, indexes };
        let mut subjects = VecDeque::from(walker.walk(root).await?);
        walker.draft.root = walker.draft.rewrites.carried(root);
        let DockerChoice { preferred, first, .. } = std::mem::take(&mut walker.docker);
        walker.draft.docker = preferred.or(first);
        let mut known: HashSet<Digest> = subjects.iter().cloned().collect();
        while let Some(subject) = subjects.pop_front().filter(|_| options.referrers) {
            for referrer in source.referrers(repository, &subject).await? {
                if !known.insert(referrer.digest.clone()) {
                    continue;
                }
                let manifests = walker.walk(&referrer.digest).await?;
                let referrer = PlannedReferrer {
                    digest: walker.draft.rewrites.carried(&referrer.digest),
                    subject: subject.clone(),
                    media_type: referrer.media_type,
                    artifact_type: referrer.artifact_type.unwrap_or_default(),
                };
                walker.size.add_referrer(&referrer)?;
                walker.draft.referrers.push(referrer);
                known.extend(manifests.iter().cloned());
                subjects.extend(manifests);
            }
        }
        if options.referrers {
            for index in walker.draft.rewrites.rewritten().cloned().collect::<Vec<_>>() {
                let of_old = source.referrers(repository, &index).await?;
                walker.draft.left_out_referrers += of_old.len() as u64;
            }
        }
        Ok(walker.draft)
    }

    /// The manifests of the image and of its referrers.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Digest> {
        let manifests = self.contents.iter().filter(|content| content.kind == ContentKind::Manifest);
        manifests.map(|content| &content.digest)
    }
}

impl Walker<'_> {
    /// Adds everything below `root`, and returns its manifests as they are carried.
    async fn walk(&mut self, root: &Digest) -> Result<Vec<Digest>> {
        let (mut walk, mut is_index) = (ImageWalk::new(root), false);
        while let Some(digest) = walk.next() {
            let reference = Reference::Digest(digest.clone());
            let found = self.source.manifest(self.repository, &reference).await?;
            let found = found.ok_or_else(|| problem(format!("the manifest {digest} is missing")))?;
            let manifest = Manifest::parse(&found.bytes, None)
                .map_err(|error| problem(format!("the manifest {digest} cannot be read: {error}")))?;
            if digest == self.draft.root {
                self.draft.media_type = found.media_type;
                is_index = !manifest.manifests.is_empty();
                self.docker.begin(&digest, &manifest, &self.options.docker_platform);
                if !self.is_wanted(&manifest).await? {
                    self.draft.is_for_other_platform = true;
                    return Ok(Vec::new());
                }
            }
            self.docker.offer(&digest, &manifest);
            self.note_size(&digest, found.bytes.len() as u64)?;
            if manifest.kind.is_index() && self.options.indexes == IndexPolicy::Rewrite {
                self.indexes.insert(digest.clone(), found.bytes);
            }
            let roles = self.roles(&manifest).await?;
            walk.add(&digest, &manifest, |child| roles.get(&child.digest).copied().unwrap_or(Role::LeftOut));
        }
        // Each image has a blob at least, its configuration. An index in another one may lack the platforms.
        let platforms = &self.options.platforms;
        if is_index && walk.blobs().is_empty() && !platforms.is_empty() {
            return Err(problem(format!("it has no image for {}", shown_platforms(platforms))));
        }
        self.rewrite(&walk.bottom_up())?;
        let carried = walk.manifests().iter().map(|digest| self.draft.rewrites.carried(digest));
        let carried: Vec<Digest> = carried.collect();
        let size = |digest: &Digest| self.sizes.get(digest).copied().unwrap_or_default();
        let root = self.draft.rewrites.carried(root);
        let manifests = carried.iter().map(|digest| DraftContent {
            digest: digest.clone(),
            size_bytes: size(digest),
            kind: ContentKind::Manifest,
            is_config: false,
            root: root.clone(),
        });
        let blobs = walk.blobs().iter().map(|blob| DraftContent {
            digest: blob.digest.clone(),
            size_bytes: size(&blob.digest),
            kind: ContentKind::Blob,
            is_config: blob.is_config,
            root: root.clone(),
        });
        self.draft.contents.extend(manifests.chain(blobs));
        Ok(carried)
    }

    /// Whether an image is for one of the platforms, as far as its configuration says.
    async fn is_wanted(&self, manifest: &Manifest) -> Result<bool> {
        let platforms = &self.options.platforms;
        let Some(image) = docker_image(manifest).filter(|_| !platforms.is_empty()) else { return Ok(true) };
        let platform = platform_of(self.source, self.repository, &image.config).await?;
        Ok(platform.is_none_or(|platform| platforms.iter().any(|wanted| wanted.has(&platform))))
    }

    /// Rewrites the indexes of a walk, each after those in it.
    fn rewrite(&mut self, manifests: &[Digest]) -> Result<()> {
        for digest in manifests {
            let Some(bytes) = self.indexes.remove(digest) else { continue };
            let index = Manifest::parse(&bytes, None)
                .map_err(|error| problem(format!("the manifest {digest} cannot be read: {error}")))?;
            let Some(rewritten) = self.draft.rewrites.rewrite(&bytes, &index)? else { continue };
            let new = Digest::of(digest.algorithm(), &rewritten);
            self.note_size(&new, rewritten.len() as u64)?;
            self.draft.rewrites.add(digest, &new, rewritten.len() as u64);
        }
        Ok(())
    }

    /// Looks up the references of a manifest.
    async fn roles(&mut self, manifest: &Manifest) -> Result<HashMap<Digest, Role>> {
        let mut roles = HashMap::new();
        let (children, left_out) = self.children(manifest);
        // A new index has no gaps.
        let left_out = left_out.into_iter().filter(|_| self.options.indexes == IndexPolicy::Keep);
        for child in left_out.collect::<Vec<_>>() {
            let platform = child.platform.as_ref().map(Platform::show).unwrap_or_default();
            self.leave_out(&child.digest, platform)?;
        }
        let (source, repository) = (self.source, self.repository);
        let blobs = manifest.config.iter().chain(&manifest.layers).map(|blob| (blob.clone(), false));
        let references: Vec<_> =
            blobs.chain(children.into_iter().map(|child| (child.clone(), true))).collect();
        let lookups = stream::iter(references).map(|(descriptor, may_be_manifest)| async move {
            let digest = &descriptor.digest;
            if may_be_manifest {
                let reference = Reference::Digest(digest.clone());
                if source.manifest(repository, &reference).await?.is_some() {
                    return Ok((descriptor, Some((Role::Manifest, 0))));
                }
            }
            let size = source.blob_size(repository, digest).await?;
            Ok::<_, Error>((descriptor, size.map(|size| (Role::Blob, size))))
        });
        let found: Vec<_> = lookups.buffered(CONCURRENT_LOOKUPS).try_collect().await?;
        for (descriptor, found) in found {
            let Descriptor { digest, media_type, size, .. } = descriptor;
            let role = match found {
                Some((Role::Blob, size_bytes)) => {
                    // A manifest may be wrong about the length.
                    if size_bytes != size && !is_intact(source, repository, &digest).await? {
                        return Err(problem(format!(
                            "{digest} is damaged at the source, it has {size_bytes} bytes instead of {size}; push the image \
                             there again, or leave it out with --exclude"
                        )));
                    }
                    self.note_size(&digest, size_bytes)?;
                    Role::Blob
                }
                Some((role, _)) => role,
                None if media_type::is_nondistributable(&media_type) => {
                    self.leave_out(&digest, String::new())?;
                    Role::LeftOut
                }
                None => {
                    let remedy = match manifest.kind.is_index() {
                        true => "name its platforms with --platform if the source has only some of them, or ",
                        false => "",
                    };
                    return Err(problem(format!(
                        "{digest} is missing at the source; {remedy}push the image there again, or leave it out with --exclude"
                    )));
                }
            };
            roles.insert(digest, role);
        }
        Ok(roles)
    }

    /// The children of an index that are carried, and the others, in the order of the index.
    fn children<'m>(&self, manifest: &'m Manifest) -> (Vec<&'m Descriptor>, Vec<&'m Descriptor>) {
        let kept = kept(manifest, &self.options.platforms);
        let children = manifest.manifests.iter().zip(kept);
        let (kept, left_out): (Vec<_>, Vec<_>) = children.partition(|(_, kept)| *kept);
        let only =
            |children: Vec<(&'m Descriptor, bool)>| children.into_iter().map(|(child, _)| child).collect();
        (only(kept), only(left_out))
    }

    fn note_size(&mut self, digest: &Digest, size_bytes: u64) -> Result<()> {
        match self.sizes.insert(digest.clone(), size_bytes) {
            None => self.size.add_digest(digest),
            Some(_) => Ok(()),
        }
    }

    fn leave_out(&mut self, digest: &Digest, platform: String) -> Result<()> {
        if self.left_out.insert(digest.clone()) {
            let left_out = LeftOut { digest: digest.clone(), platform };
            self.size.add_left_out(&left_out)?;
            self.draft.left_out.push(left_out);
        }
        Ok(())
    }
}

impl DockerChoice {
    /// Begins with the manifest of the root.
    fn begin(&mut self, root: &Digest, manifest: &Manifest, platform: &Platform) {
        if !manifest.kind.is_index() {
            self.children.insert(root.clone(), true);
        }
        for child in &manifest.manifests {
            let is_preferred = child.platform.as_ref().is_some_and(|it| platform.has(it));
            *self.children.entry(child.digest.clone()).or_default() |= is_preferred;
        }
    }

    /// Takes an image if it is the first of its kind.
    fn offer(&mut self, digest: &Digest, manifest: &Manifest) {
        let Some(is_preferred) = self.children.get(digest) else { return };
        let choice = if *is_preferred { &mut self.preferred } else { &mut self.first };
        if choice.is_none() {
            *choice = docker_image(manifest);
        }
    }
}

fn docker_image(manifest: &Manifest) -> Option<DockerImage> {
    let config = manifest.config.as_ref()?;
    let is_image = media_type::is_image_config(&config.media_type);
    // Attestations and signatures may have the configuration of an image; their layers are no file systems.
    let has_layers = manifest.layers.iter().all(|layer| media_type::is_image_layer(&layer.media_type));
    (is_image && has_layers).then(|| DockerImage {
        config: config.digest.clone(),
        layers: manifest.layers.iter().map(|layer| layer.digest.clone()).collect(),
    })
}

/// The error of an image whose name the caller adds.
pub(crate) fn problem(problem: String) -> Error {
    Error::Image { image: String::new(), problem }
}
