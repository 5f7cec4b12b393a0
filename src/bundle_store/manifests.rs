//! `Manifests`: what only the manifests of a repository say: its children, layers, referrers and second names.

use std::collections::{BTreeMap, HashSet};
use std::sync::OnceLock;

use quick_cache::Weighter;
use sampan_bundle::{ContentKind, MAX_MANIFEST_BYTES};
use sampan_engine::oci::{Digest, Manifest};

use crate::checks::{Checks, Unreadable};
use crate::contents::{ContentIndex, Contents};
use crate::files::File;
use crate::repository::Repository;

/// The manifests and layers of one repository.
#[derive(Debug, Default)]
pub(crate) struct Manifests {
    /// In the order of their places.
    pub(crate) list: Vec<KnownManifest>,
    /// The blobs, in the order of their places.
    pub(crate) layers: Vec<ContentIndex>,
    /// The manifests that plans name by another algorithm, by their canonical digest.
    pub(crate) canonical: BTreeMap<Digest, usize>,
    /// The canonical digests of the blobs that plans name by another algorithm, for listings.
    pub(crate) layer_names: OnceLock<BTreeMap<ContentIndex, Digest>>,
    /// The files in the order of their paths, for listings.
    all_files: OnceLock<Vec<File>>,
    files_without_layers: OnceLock<Vec<File>>,
}

/// The files that a listing needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Listed {
    All,
    /// Without the links of blobs: those of blobs that plans name by another algorithm than the engine need their hashes.
    WithoutLayers,
}

/// A manifest.
#[derive(Debug)]
pub(crate) struct KnownManifest {
    pub(crate) place: ContentIndex,
    /// The canonical digest, if the plan names the manifest by another algorithm, and it can be read.
    canonical: Option<Digest>,
    /// The manifest that it is attached to.
    pub(crate) subject: Option<Digest>,
}

impl KnownManifest {
    /// The digest under which the engine keeps the manifest.
    pub(crate) fn canonical<'a>(&'a self, contents: &'a Contents) -> &'a Digest {
        self.canonical.as_ref().unwrap_or_else(|| contents.digest(self.place))
    }
}

impl Manifests {
    /// Reads the manifests of a repository. One that is damaged is logged, and counts as one without references. Blocks.
    ///
    /// # Errors
    ///
    /// When the medium fails.
    pub(crate) fn read(
        repository: &Repository,
        contents: &Contents,
        checks: &Checks,
    ) -> Result<Self, Unreadable> {
        let left_out: HashSet<&Digest> = repository.left_out(contents).collect();
        let mut read = Self::default();
        let mut seen: HashSet<ContentIndex> = repository.roots.iter().copied().collect();
        let mut pending = repository.roots.clone();
        while let Some(place) = pending.pop() {
            let whole = check_len(contents, place).and_then(|()| checks.read_whole(contents, place));
            let bytes = match whole {
                Ok(bytes) => bytes,
                // It was logged when it was found.
                Err(Unreadable::Damaged(_)) => {
                    read.list.push(KnownManifest { place, canonical: None, subject: None });
                    continue;
                }
                Err(failed) => return Err(failed),
            };
            let digest = contents.digest(place);
            let canonical = (!digest.is_canonical()).then(|| Digest::sha256_of(&bytes));
            let manifest = match Manifest::parse(&bytes, None) {
                Ok(manifest) => manifest,
                Err(problem) => {
                    tracing::error!(repository = %repository.name, "{}", contents.fault(place, problem.to_string()));
                    read.list.push(KnownManifest { place, canonical, subject: None });
                    continue;
                }
            };
            for reference in manifest.references() {
                match contents.find(reference) {
                    Some(found) => {
                        let is_manifest = contents.planned(found).kind == ContentKind::Manifest;
                        match is_manifest && manifest.kind.is_index() {
                            true if seen.insert(found) => pending.push(found),
                            true => {}
                            false => read.layers.push(found),
                        }
                    }
                    None if left_out.contains(reference) => {}
                    None => tracing::error!(
                        repository = %repository.name,
                        "{digest} of {} refers to {reference}, which no bundle here carries",
                        repository.name
                    ),
                }
            }
            let subject = manifest.subject.map(|subject| subject.digest);
            read.list.push(KnownManifest { place, canonical, subject });
        }
        read.list.sort_unstable_by_key(|known| known.place);
        read.layers.sort_unstable();
        read.layers.dedup();
        read.layers.shrink_to_fit();
        let named = read.list.iter().enumerate();
        read.canonical = named.filter_map(|(index, known)| Some((known.canonical.clone()?, index))).collect();
        Ok(read)
    }

    /// The manifest at a place.
    pub(crate) fn at(&self, place: ContentIndex) -> Option<&KnownManifest> {
        let found = self.list.binary_search_by_key(&place, |known| known.place);
        found.ok().map(|found| &self.list[found])
    }

    /// The manifest with this digest, by any of its names.
    pub(crate) fn named(&self, contents: &Contents, digest: &Digest) -> Option<&KnownManifest> {
        let planned = contents.find(digest).and_then(|place| self.at(place));
        planned.or_else(|| self.canonical.get(digest).map(|index| &self.list[*index]))
    }

    /// Whether the files are sorted already.
    pub(crate) fn is_sorted(&self, listed: Listed) -> bool {
        self.sorted(listed).get().is_some()
    }

    fn sorted(&self, listed: Listed) -> &OnceLock<Vec<File>> {
        match listed {
            Listed::All => &self.all_files,
            Listed::WithoutLayers => &self.files_without_layers,
        }
    }

    /// The files of the repository in the order of their paths, each once.
    pub(crate) fn files(&self, repository: &Repository, contents: &Contents, listed: Listed) -> &[File] {
        self.sorted(listed).get_or_init(|| {
            let tags = repository.tags.iter().flat_map(|(tag, place)| {
                let digest = (!contents.digest(*place).is_canonical()).then(|| File::TagDigest(tag.clone()));
                [File::TagCurrent(tag.clone()), File::TagIndex(tag.clone())].into_iter().chain(digest)
            });
            let manifests = self.list.iter().enumerate().flat_map(|(index, known)| {
                let canonical = known.canonical.is_some().then_some(File::Canonical(index));
                let referrer = known.subject.is_some().then_some(File::Referrer(index));
                [File::Revision(index)].into_iter().chain(canonical).chain(referrer)
            });
            let named = self.layer_names.get().into_iter().flat_map(BTreeMap::keys);
            let named = named.map(|place| File::CanonicalLayer(*place));
            let layers = self.layers.iter().map(|place| File::Layer(*place)).chain(named);
            let layers = layers.filter(|_| listed == Listed::All);
            let mut files: Vec<File> =
                tags.chain(manifests).chain(layers).chain([File::ReferrersComplete]).collect();
            let path = |file: &File| file.path(repository, contents, Some(self));
            files.sort_by_cached_key(path);
            files.dedup_by(|a, b| path(a) == path(b));
            files
        })
    }
}

/// Checks that a content has the length of a manifest at most.
///
/// # Errors
///
/// When it is longer.
pub(crate) fn check_len(contents: &Contents, place: ContentIndex) -> Result<(), Unreadable> {
    match contents.size_bytes(place) {
        size if size > MAX_MANIFEST_BYTES => {
            let problem = format!("it has {size} bytes, more than a manifest may have");
            Err(Unreadable::Damaged(contents.fault(place, problem).into()))
        }
        _ => Ok(()),
    }
}

/// Weighs a repository by the memory that it takes, with its listing.
#[derive(Clone, Debug)]
pub(crate) struct ByBytes;

impl<K> Weighter<K, std::sync::Arc<Manifests>> for ByBytes {
    fn weight(&self, _: &K, manifests: &std::sync::Arc<Manifests>) -> u64 {
        const OVERHEAD: u64 = 256;
        const LAYER: u64 = 40;
        const MANIFEST: u64 = 320;
        OVERHEAD + manifests.layers.len() as u64 * LAYER + manifests.list.len() as u64 * MANIFEST
    }
}
