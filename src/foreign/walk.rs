//! `Walker`: everything that the images of a file need, and where it is.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use sampan_bundle::{ContentKind, ImageWalk, LeftOut, Presumed, Role};
use sampan_engine::oci::{Descriptor, Digest, Manifest, ManifestKind, MediaType, RepositoryName, media_type};

use crate::error::SHOWN;
use crate::extent::Extent;
use crate::{Error, Result};

/// The longest manifest or configuration, in bytes. Targets have a limit of their own.
pub(crate) const MAX_MANIFEST_BYTES: u64 = 16 << 20;

/// The most references that are looked up, so that indexes of indexes end.
pub(crate) const MAX_REFERENCES: u64 = 5_000_000;

/// How much may be missing before the search ends.
const MAX_MISSING: usize = 100_000;

/// Finds content by its digest.
pub(crate) type FindContent<'a> = dyn Fn(&Digest) -> Result<Option<Extent>> + 'a;

/// Whether a repository of the file links a manifest.
pub(crate) type IsLinked<'a> = dyn Fn(&RepositoryName, &Digest) -> Result<bool> + 'a;

/// How to treat content that a file does not have.
#[derive(Clone, Copy)]
pub(crate) enum WhenMissing<'a> {
    /// The file is incomplete: refuse it.
    Refuse,
    /// An earlier file had a blob, or a manifest that is linked, and the target must have it.
    Presume(&'a IsLinked<'a>),
}

/// The most repositories that are named for content that the target must have.
pub(crate) const MAX_PRESUMED_REPOSITORIES: usize = 64;

/// The repositories of an image.
#[derive(Clone, Debug, Default)]
pub(crate) struct ImageRepositories {
    /// By their names in the file.
    pub(crate) original: Vec<RepositoryName>,
    /// By the names that they get.
    pub(crate) named: Vec<RepositoryName>,
}

/// The findings so far.
pub(crate) struct Walker<'a> {
    find: &'a FindContent<'a>,
    lack: WhenMissing<'a>,
    /// The content that the target must have.
    pub(crate) presumed: Vec<Presumed>,
    /// Where each is in [`presumed`](Self::presumed).
    presumed_places: HashMap<Digest, usize>,
    /// The content in the order in which it was found.
    pub(crate) contents: Vec<(Digest, ContentKind, Extent)>,
    places: HashMap<Digest, usize>,
    missing: HashSet<Digest>,
    first_missing: Vec<String>,
    references: u64,
}

/// An image that was walked.
#[derive(Clone, Debug)]
pub(crate) struct Walked {
    pub(crate) media_type: String,
    pub(crate) left_out: Vec<LeftOut>,
    /// The images that are left out: their platforms, or else their digests.
    pub(crate) absent: Vec<String>,
    pub(crate) manifests: Vec<Digest>,
}

impl<'a> Walker<'a> {
    pub(crate) fn new(find: &'a FindContent<'a>, lack: WhenMissing<'a>) -> Self {
        Self {
            find,
            lack,
            presumed: Vec::new(),
            presumed_places: HashMap::new(),
            contents: Vec::new(),
            places: HashMap::new(),
            missing: HashSet::new(),
            first_missing: Vec::new(),
            references: 0,
        }
    }

    /// Walks everything below a manifest in these repositories. Notes missing content, for
    /// [`check_missing`](Self::check_missing); of an image that cannot be read, nothing.
    ///
    /// # Errors
    ///
    /// `Damaged` when a manifest is; when the file cannot be read.
    pub(crate) fn walk(&mut self, root: &Digest, homes: &ImageRepositories) -> Result<Walked> {
        let (contents, presumed) = (self.contents.len(), self.presumed.len());
        let walked = self.walk_below(root, homes);
        if walked.is_err() {
            for (digest, ..) in self.contents.drain(contents..) {
                self.places.remove(&digest);
            }
            for content in self.presumed.drain(presumed..) {
                self.missing.remove(&content.digest);
                self.presumed_places.remove(&content.digest);
            }
        }
        walked
    }

    fn walk_below(&mut self, root: &Digest, homes: &ImageRepositories) -> Result<Walked> {
        let mut walk = ImageWalk::new(root);
        let mut walked = Walked {
            media_type: String::new(),
            left_out: Vec::new(),
            absent: Vec::new(),
            manifests: Vec::new(),
        };
        while let Some(digest) = walk.next() {
            let Some((extent, bytes, manifest)) = self.manifest(&digest)? else {
                self.miss(&digest)?;
                continue;
            };
            if digest == *root {
                walked.media_type = MediaType::of_manifest(&bytes).as_str().to_owned();
            }
            self.add(&digest, ContentKind::Manifest, extent);
            let roles = self.roles(&digest, &manifest, homes, &mut walked)?;
            walk.add(&digest, &manifest, |child| roles.get(&child.digest).copied().unwrap_or(Role::LeftOut));
        }
        walked.manifests = walk.manifests().to_vec();
        Ok(walked)
    }

    /// A manifest, compared with its digest; `None` if it is not there.
    ///
    /// # Errors
    ///
    /// As [`walk`](Self::walk).
    pub(crate) fn manifest(&self, digest: &Digest) -> Result<Option<(Extent, Bytes, Manifest)>> {
        let Some(extent) = (self.find)(digest)? else { return Ok(None) };
        let bytes = extent.read_whole(MAX_MANIFEST_BYTES)?;
        let actual = Digest::of(digest.algorithm(), &bytes);
        if actual != *digest {
            return Err(extent.damaged(format!("its content hashes to {actual}, and not to {digest}")));
        }
        let manifest = Manifest::parse(&bytes, None);
        let manifest = manifest.map_err(|problem| extent.damaged(format!("as a manifest, {problem}")))?;
        Ok(Some((extent, bytes, manifest)))
    }

    /// Looks up the references of a manifest.
    fn roles(
        &mut self,
        digest: &Digest,
        manifest: &Manifest,
        homes: &ImageRepositories,
        walked: &mut Walked,
    ) -> Result<HashMap<Digest, Role>> {
        let mut roles = HashMap::new();
        let references = manifest.config.iter().chain(&manifest.layers).chain(&manifest.manifests);
        let mut absent = Vec::new();
        for descriptor in references {
            self.references += 1;
            if self.references > MAX_REFERENCES {
                let problem = format!("the indexes of the file have more than {MAX_REFERENCES} references");
                return Err(Error::damaged(&descriptor.digest, problem));
            }
            let is_manifest =
                manifest.kind.is_index() && ManifestKind::from_media_type(&descriptor.media_type).is_some();
            let Some(extent) = (self.find)(&descriptor.digest)? else {
                absent.push((descriptor, is_manifest));
                continue;
            };
            check_size(descriptor, &extent)?;
            let role = match is_manifest {
                true => Role::Manifest,
                false => {
                    self.add(&descriptor.digest, ContentKind::Blob, extent);
                    Role::Blob
                }
            };
            roles.insert(descriptor.digest.clone(), role);
        }
        // docker, containerd and oc-mirror write an index as it is, and only the platforms that they have.
        let mut is_partial = roles.values().any(|role| *role == Role::Manifest);
        let mut unlinked = Vec::new();
        for (descriptor, is_manifest) in absent {
            roles.insert(descriptor.digest.clone(), Role::LeftOut);
            if is_manifest && !self.is_linked(&descriptor.digest, homes)? {
                unlinked.push(descriptor);
            } else if media_type::is_nondistributable(&descriptor.media_type) {
                walked.left_out.push(LeftOut { digest: descriptor.digest.clone(), platform: String::new() });
            } else {
                let kind = if is_manifest { ContentKind::Manifest } else { ContentKind::Blob };
                is_partial |= is_manifest;
                self.miss_content(descriptor, kind, homes)?;
            }
        }
        for descriptor in unlinked {
            match (is_partial, self.lack) {
                (true, _) => {
                    let platform = platform_of(descriptor);
                    walked.absent.extend(shown(descriptor, &platform));
                    walked.left_out.push(LeftOut { digest: descriptor.digest.clone(), platform });
                }
                (false, WhenMissing::Refuse) => self.miss(&descriptor.digest)?,
                (false, WhenMissing::Presume(_)) => {
                    return Err(Error::damaged(
                        digest,
                        "it is an index, and the file has none of its images",
                    ));
                }
            }
        }
        Ok(roles)
    }

    /// Whether an earlier file had a manifest.
    fn is_linked(&self, digest: &Digest, homes: &ImageRepositories) -> Result<bool> {
        let WhenMissing::Presume(is_linked) = self.lack else { return Ok(false) };
        for repository in &homes.original {
            if is_linked(repository, digest)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn add(&mut self, digest: &Digest, kind: ContentKind, extent: Extent) {
        match self.places.get(digest) {
            Some(place) if kind == ContentKind::Manifest => self.contents[*place].1 = kind,
            Some(_) => {}
            None => {
                self.places.insert(digest.clone(), self.contents.len());
                self.contents.push((digest.clone(), kind, extent));
            }
        }
    }

    /// Notes that content is missing, or presumed.
    fn miss_content(
        &mut self,
        descriptor: &Descriptor,
        kind: ContentKind,
        homes: &ImageRepositories,
    ) -> Result<()> {
        if matches!(self.lack, WhenMissing::Refuse) {
            return self.miss(&descriptor.digest);
        }
        let digest = &descriptor.digest;
        let place = match self.presumed_places.get(digest) {
            Some(place) => *place,
            None => {
                self.missing.insert(digest.clone());
                self.presumed_places.insert(digest.clone(), self.presumed.len());
                let (size_bytes, repositories) = (descriptor.size, Vec::new());
                self.presumed.push(Presumed { digest: digest.clone(), size_bytes, kind, repositories });
                self.presumed.len() - 1
            }
        };
        let presumed = &mut self.presumed[place];
        if kind == ContentKind::Manifest {
            presumed.kind = kind;
        }
        for repository in &homes.named {
            add_repository(presumed, repository);
        }
        Ok(())
    }

    /// Notes that content is missing.
    fn miss(&mut self, digest: &Digest) -> Result<()> {
        if self.missing.insert(digest.clone()) && self.first_missing.len() < SHOWN {
            self.first_missing.push(digest.to_string());
        }
        if self.missing.len() < MAX_MISSING { Ok(()) } else { self.check_missing() }
    }

    /// The digests of everything that was found.
    pub(crate) fn found(&self) -> HashSet<&Digest> {
        self.places.keys().collect()
    }

    /// Whether anything was missing.
    ///
    /// # Errors
    ///
    /// `Missing`, with the number and the first ones.
    pub(crate) fn check_missing(&self) -> Result<()> {
        match self.missing.len() - self.presumed.len() {
            0 => Ok(()),
            count => Err(Error::Missing { count, first: self.first_missing.clone() }),
        }
    }
}

fn check_size(descriptor: &Descriptor, extent: &Extent) -> Result<()> {
    match descriptor.size == extent.size_bytes {
        true => Ok(()),
        false => Err(extent
            .damaged(format!("it has {} bytes, and a manifest says {}", extent.size_bytes, descriptor.size))),
    }
}

/// Adds a repository in which presumed content may be, unless there are too many.
pub(crate) fn add_repository(presumed: &mut Presumed, repository: &RepositoryName) {
    let repositories = &mut presumed.repositories;
    if repositories.len() < MAX_PRESUMED_REPOSITORIES && !repositories.contains(repository) {
        repositories.push(repository.clone());
    }
}

/// An image that is left out, as a notice names it; `None` for an attestation, whose platform is `unknown/unknown`.
fn shown(descriptor: &Descriptor, platform: &str) -> Option<String> {
    match platform {
        "" => Some(descriptor.digest.to_string()),
        platform => (!platform.starts_with("unknown/")).then(|| platform.to_owned()),
    }
}

/// The platform of a child, such as `linux/arm/v7`.
fn platform_of(descriptor: &Descriptor) -> String {
    let Some(platform) = &descriptor.platform else { return String::new() };
    let variant = platform.rest.get("variant").and_then(|variant| variant.as_str());
    let names = [&platform.os[..], &platform.architecture].into_iter().chain(variant);
    names.collect::<Vec<_>>().join("/")
}
