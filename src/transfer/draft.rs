//! `Draft`: the content of one image of a source, before it is part of a plan.

use std::collections::{HashMap, HashSet, VecDeque};

use futures::{StreamExt, TryStreamExt, stream};
use sampan_bundle::{ContentKind, DockerImage, ImageWalk, LeftOut, PlannedReferrer, Role};
use sampan_engine::oci::{Descriptor, Digest, Manifest, Reference, RepositoryName, media_type};

use crate::selection::Platform;
use crate::{Error, ExportOptions, Result, Source};

/// How many references of a manifest are looked up in parallel.
const CONCURRENT_LOOKUPS: usize = 8;

/// The annotation of an attestation: the image in the same index that it is about (buildkit).
const ATTESTED: &str = "vnd.docker.reference.digest";

/// The content of one image: its manifests, its blobs, then the same of each referrer.
pub(crate) struct Draft {
    pub(crate) root: Digest,
    pub(crate) media_type: String,
    pub(crate) contents: Vec<DraftContent>,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) referrers: Vec<PlannedReferrer>,
    pub(crate) docker: Option<DockerImage>,
}

pub(crate) struct DraftContent {
    pub(crate) digest: Digest,
    pub(crate) size_bytes: u64,
    pub(crate) kind: ContentKind,
    pub(crate) is_config: bool,
}

/// What a walk over one root needs and finds.
struct Walker<'a, S> {
    source: &'a S,
    options: &'a ExportOptions,
    repository: &'a RepositoryName,
    draft: Draft,
    sizes: HashMap<Digest, u64>,
    manifests: HashMap<Digest, Manifest>,
}

impl Draft {
    /// Walks the image whose manifest is `root`.
    ///
    /// # Errors
    ///
    /// `Image` when content is missing or cannot be read.
    pub(crate) async fn of<S: Source>(
        source: &S,
        options: &ExportOptions,
        repository: &RepositoryName,
        root: &Digest,
    ) -> Result<Self> {
        let draft = Self {
            root: root.clone(),
            media_type: String::new(),
            contents: Vec::new(),
            left_out: Vec::new(),
            referrers: Vec::new(),
            docker: None,
        };
        let (sizes, manifests) = (HashMap::new(), HashMap::new());
        let mut walker = Walker { source, options, repository, draft, sizes, manifests };
        let mut subjects = VecDeque::from(walker.walk(root).await?);
        walker.draft.docker = walker.docker_image(root);
        let mut known: HashSet<Digest> = subjects.iter().cloned().collect();
        while let Some(subject) = subjects.pop_front().filter(|_| options.referrers) {
            for referrer in source.referrers(repository, &subject).await? {
                if !known.insert(referrer.digest.clone()) {
                    continue;
                }
                let manifests = walker.walk(&referrer.digest).await?;
                walker.draft.referrers.push(PlannedReferrer {
                    digest: referrer.digest,
                    subject: subject.clone(),
                    media_type: referrer.media_type,
                    artifact_type: referrer.artifact_type.unwrap_or_default(),
                });
                known.extend(manifests.iter().cloned());
                subjects.extend(manifests);
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

impl<S: Source> Walker<'_, S> {
    /// Adds everything below `root`, and returns its manifests.
    async fn walk(&mut self, root: &Digest) -> Result<Vec<Digest>> {
        let mut walk = ImageWalk::new(root);
        while let Some(digest) = walk.next() {
            let reference = Reference::Digest(digest.clone());
            let found = self.source.manifest(self.repository, &reference).await;
            let found = found.map_err(|error| unreadable(&digest, error))?;
            let found = found.ok_or_else(|| problem(format!("the manifest {digest} is missing")))?;
            let manifest = Manifest::parse(&found.bytes, None)
                .map_err(|error| problem(format!("the manifest {digest} cannot be read: {error}")))?;
            if digest == self.draft.root {
                self.draft.media_type = found.media_type;
            }
            self.sizes.insert(digest.clone(), found.bytes.len() as u64);
            let roles = self.roles(&manifest).await?;
            walk.add(&digest, &manifest, |child| roles.get(&child.digest).copied().unwrap_or(Role::LeftOut));
            self.manifests.insert(digest, manifest);
        }
        let size = |digest: &Digest| self.sizes.get(digest).copied().unwrap_or_default();
        let manifests = walk.manifests().iter().map(|digest| DraftContent {
            digest: digest.clone(),
            size_bytes: size(digest),
            kind: ContentKind::Manifest,
            is_config: false,
        });
        let blobs = walk.blobs().iter().map(|blob| DraftContent {
            digest: blob.digest.clone(),
            size_bytes: size(&blob.digest),
            kind: ContentKind::Blob,
            is_config: blob.is_config,
        });
        self.draft.contents.extend(manifests.chain(blobs));
        Ok(walk.manifests().to_vec())
    }

    /// Looks up the references of a manifest.
    async fn roles(&mut self, manifest: &Manifest) -> Result<HashMap<Digest, Role>> {
        let mut roles = HashMap::new();
        let (children, left_out) = self.children(manifest)?;
        for child in left_out {
            let platform = child.platform.as_ref().map(Platform::show).unwrap_or_default();
            self.leave_out(&child.digest, platform);
            roles.insert(child.digest.clone(), Role::LeftOut);
        }
        let (source, repository) = (self.source, self.repository);
        let blobs = manifest.config.iter().chain(&manifest.layers).map(|blob| (blob.clone(), false));
        let references: Vec<_> =
            blobs.chain(children.into_iter().map(|child| (child.clone(), true))).collect();
        let lookups = stream::iter(references).map(|(descriptor, may_be_manifest)| async move {
            let digest = &descriptor.digest;
            if may_be_manifest {
                let reference = Reference::Digest(digest.clone());
                if source
                    .manifest(repository, &reference)
                    .await
                    .map_err(|error| unreadable(digest, error))?
                    .is_some()
                {
                    return Ok((descriptor, Some((Role::Manifest, 0))));
                }
            }
            let size = source.blob_size(repository, digest).await?;
            Ok::<_, Error>((descriptor, size.map(|size| (Role::Blob, size))))
        });
        let found: Vec<_> = lookups.buffered(CONCURRENT_LOOKUPS).try_collect().await?;
        for (descriptor, found) in found {
            let Descriptor { digest, media_type, .. } = descriptor;
            let role = match found {
                Some((role, size_bytes)) => {
                    if role == Role::Blob {
                        self.sizes.insert(digest.clone(), size_bytes);
                    }
                    role
                }
                None if media_type::is_nondistributable(&media_type) => {
                    self.leave_out(&digest, String::new());
                    Role::LeftOut
                }
                None => {
                    return Err(problem(format!("{digest} is missing; push the image again, or exclude it")));
                }
            };
            roles.insert(digest, role);
        }
        Ok(roles)
    }

    /// The children of an index that are carried, and the others.
    fn children<'m>(&self, manifest: &'m Manifest) -> Result<(Vec<&'m Descriptor>, Vec<&'m Descriptor>)> {
        let wanted = &self.options.platforms;
        let is_attestation = |child: &Descriptor| child.annotations.contains_key(ATTESTED);
        let is_wanted = |child: &&Descriptor| {
            wanted.is_empty()
                || child
                    .platform
                    .as_ref()
                    .is_none_or(|platform| wanted.iter().any(|wanted| wanted.has(platform)))
        };
        let (images, attestations): (Vec<_>, Vec<_>) =
            manifest.manifests.iter().partition(|child| !is_attestation(child));
        let (mut kept, mut left_out): (Vec<_>, Vec<_>) = images.into_iter().partition(is_wanted);
        if kept.is_empty() && !manifest.manifests.is_empty() && !wanted.is_empty() {
            let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
            return Err(problem(format!("it has no image for {}", wanted.join(" or "))));
        }
        let kept_digests: HashSet<String> = kept.iter().map(|child| child.digest.to_string()).collect();
        for attestation in attestations {
            match kept_digests.contains(&attestation.annotations[ATTESTED]) || wanted.is_empty() {
                true => kept.push(attestation),
                false => left_out.push(attestation),
            }
        }
        // The order of the index.
        kept.sort_by_key(|child| manifest.manifests.iter().position(|other| std::ptr::eq(other, *child)));
        Ok((kept, left_out))
    }

    fn leave_out(&mut self, digest: &Digest, platform: String) {
        if !self.draft.left_out.iter().any(|known| known.digest == *digest) {
            self.draft.left_out.push(LeftOut { digest: digest.clone(), platform });
        }
    }

    /// The image that old clients get for `root`: itself, or a child of the index.
    fn docker_image(&self, root: &Digest) -> Option<DockerImage> {
        let manifest = self.manifests.get(root)?;
        if !manifest.kind.is_index() {
            return docker_image(manifest);
        }
        let is_preferred = |child: &&Descriptor| {
            child.platform.as_ref().is_some_and(|platform| self.options.docker_platform.has(platform))
        };
        let carried: Vec<&Descriptor> =
            manifest.manifests.iter().filter(|child| self.manifests.contains_key(&child.digest)).collect();
        let preferred = carried.iter().copied().filter(is_preferred);
        let mut candidates = preferred.chain(carried.iter().copied());
        candidates.find_map(|child| docker_image(self.manifests.get(&child.digest)?))
    }
}

fn docker_image(manifest: &Manifest) -> Option<DockerImage> {
    let config = manifest.config.as_ref()?;
    let is_image =
        matches!(config.media_type.as_str(), media_type::DOCKER_IMAGE_CONFIG | media_type::OCI_IMAGE_CONFIG);
    // An attestation has the configuration of an image, and layers that are none.
    let is_attestation = manifest.layers.iter().any(|layer| layer.media_type.contains("in-toto"));
    (is_image && !is_attestation).then(|| DockerImage {
        config: config.digest.clone(),
        layers: manifest.layers.iter().map(|layer| layer.digest.clone()).collect(),
    })
}

fn problem(problem: String) -> Error {
    Error::Image { image: String::new(), problem }
}

/// An unreadable manifest is a problem of its image; a store that fails is not.
fn unreadable(digest: &Digest, error: Error) -> Error {
    match error {
        Error::Store(sampan_engine::Error::Corrupt(..)) => {
            problem(format!("the manifest {digest} is damaged: {error}"))
        }
        error => error,
    }
}
