//! `Walker`: everything that the images of a file need, and where it is.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use sampan_bundle::{ContentKind, ImageWalk, LeftOut, Presumed, Role};
use sampan_engine::oci::{Descriptor, Digest, Manifest, ManifestKind, MediaType, media_type};

use crate::error::SHOWN;
use crate::extent::Extent;
use crate::{Error, Result};

/// The longest manifest or configuration, in bytes. Targets have a limit of their own.
pub(crate) const MAX_MANIFEST_BYTES: u64 = 16 << 20;

/// The most references that are looked up, so that indexes of indexes end.
const MAX_REFERENCES: u64 = 5_000_000;

/// How much may be missing before the search ends.
const MAX_MISSING: usize = 100_000;

/// Finds content by its digest.
pub(crate) type Find<'a> = dyn Fn(&Digest) -> Result<Option<Extent>> + 'a;

/// What a blob means that a file does not have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lack {
    /// The file is not whole.
    Refuse,
    /// The target must have it.
    Presume,
}

/// What was found so far.
pub(crate) struct Walker<'a> {
    find: &'a Find<'a>,
    lack: Lack,
    /// The blobs that the target must have.
    pub(crate) presumed: Vec<Presumed>,
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
    pub(crate) manifests: Vec<Digest>,
}

impl<'a> Walker<'a> {
    pub(crate) fn new(find: &'a Find<'a>, lack: Lack) -> Self {
        Self {
            find,
            lack,
            presumed: Vec::new(),
            contents: Vec::new(),
            places: HashMap::new(),
            missing: HashSet::new(),
            first_missing: Vec::new(),
            references: 0,
        }
    }

    /// Walks everything below a manifest. Notes missing content, for [`check_missing`](Self::check_missing); of an image that
    /// cannot be read, nothing.
    ///
    /// # Errors
    ///
    /// `Damaged` when a manifest is; when the file cannot be read.
    pub(crate) fn walk(&mut self, root: &Digest) -> Result<Walked> {
        let (contents, presumed) = (self.contents.len(), self.presumed.len());
        let walked = self.walk_below(root);
        if walked.is_err() {
            for (digest, ..) in self.contents.drain(contents..) {
                self.places.remove(&digest);
            }
            for content in self.presumed.drain(presumed..) {
                self.missing.remove(&content.digest);
            }
        }
        walked
    }

    fn walk_below(&mut self, root: &Digest) -> Result<Walked> {
        let mut walk = ImageWalk::new(root);
        let mut walked = Walked { media_type: String::new(), left_out: Vec::new(), manifests: Vec::new() };
        while let Some(digest) = walk.next() {
            let Some((extent, bytes, manifest)) = self.manifest(&digest)? else {
                self.miss(&digest)?;
                continue;
            };
            if digest == *root {
                walked.media_type = MediaType::of_manifest(&bytes).as_str().to_owned();
            }
            self.add(&digest, ContentKind::Manifest, extent);
            let roles = self.roles(&manifest, &mut walked.left_out)?;
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
        let bytes = extent.whole(MAX_MANIFEST_BYTES)?;
        let actual = Digest::of(digest.algorithm(), &bytes);
        if actual != *digest {
            return Err(extent.damaged(format!("its content hashes to {actual}, and not to {digest}")));
        }
        let manifest = Manifest::parse(&bytes, None);
        let manifest = manifest.map_err(|problem| extent.damaged(format!("as a manifest, {problem}")))?;
        Ok(Some((extent, bytes, manifest)))
    }

    /// Looks up the references of a manifest.
    fn roles(&mut self, manifest: &Manifest, left_out: &mut Vec<LeftOut>) -> Result<HashMap<Digest, Role>> {
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
        // docker and containerd write an index as it is, and only the platforms that they have.
        let is_partial = self.lack == Lack::Presume || roles.values().any(|role| *role == Role::Manifest);
        for (descriptor, is_manifest) in absent {
            let may_be_absent = media_type::is_nondistributable(&descriptor.media_type);
            match is_manifest && is_partial || may_be_absent {
                true => left_out
                    .push(LeftOut { digest: descriptor.digest.clone(), platform: platform_of(descriptor) }),
                false => self.miss_blob(descriptor)?,
            }
            roles.insert(descriptor.digest.clone(), Role::LeftOut);
        }
        Ok(roles)
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

    /// Notes that a blob is missing, or presumed.
    fn miss_blob(&mut self, descriptor: &Descriptor) -> Result<()> {
        if self.lack == Lack::Refuse {
            return self.miss(&descriptor.digest);
        }
        if self.missing.insert(descriptor.digest.clone()) {
            self.presumed.push(Presumed {
                digest: descriptor.digest.clone(),
                size_bytes: descriptor.size,
                kind: ContentKind::Blob,
                repositories: Vec::new(),
            });
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

/// The platform of a child, such as `linux/arm/v7`.
fn platform_of(descriptor: &Descriptor) -> String {
    let Some(platform) = &descriptor.platform else { return String::new() };
    let variant = platform.rest.get("variant").and_then(|variant| variant.as_str());
    let names = [&platform.os[..], &platform.architecture].into_iter().chain(variant);
    names.collect::<Vec<_>>().join("/")
}
