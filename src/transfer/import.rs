//! Import: stores the images of a bundle, each as a push would: blobs, children, the image with its tags, then its referrers.
//!
//! What an interrupted import has stored stays: whole images with their tags, and blobs that the collector takes after its
//! grace period. The same import again passes over what is there. A tag never names an image that is not whole.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sampan_bundle::{ContentKind, ImageWalk, Presumed, Role, WalkedBlob};
use sampan_engine::Error as EngineError;
use sampan_engine::oci::{Digest, Manifest, RepositoryName, Tag};

use crate::carried::Carried;
use crate::import_checks::{SelectedImage, select, tag_changes};
use crate::missing::check_presumed;
use crate::space::{check_space, explain_full};
use crate::spool::Spool;
use crate::target::NewManifest;
use crate::{Error, Failure, ImportReport, Missing, MissingImage, Renames, Result, Selector, Target};

/// How an import proceeds.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Only these images of the bundle; empty means all.
    pub only: Vec<Selector>,
    /// Other names for repositories.
    pub renames: Renames,
    /// What happens to a tag that is there with another digest.
    pub tags: TagPolicy,
    /// Whether an image that cannot be imported is passed over instead of ending the import.
    pub keep_going: bool,
    /// How many blobs are stored at a time, from a file; a pipe yields one at a time.
    pub jobs: usize,
    /// Whether only the checks are made.
    pub dry_run: bool,
    /// Whether the report gets a [receipt](ImportReport::receipt).
    pub receipt: bool,
    /// Whether a pipe is read to its end to find the images that need missing content; those of a file are always found.
    pub find_missing: bool,
    /// The bytes that may still be written to the file system of the target; `None` if that is unknown.
    pub free_bytes: Option<u64>,
    /// The longest manifest, in bytes.
    pub max_manifest_bytes: u64,
}

/// What happens to a tag that is there with another digest.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TagPolicy {
    /// It moves, as by a push.
    #[default]
    Move,
    /// It stays.
    Keep,
    /// The import fails before it writes anything.
    Fail,
}

/// How far a transfer is, for another thread to show.
#[derive(Debug, Default)]
pub struct Progress {
    /// The bytes that are done.
    pub bytes: AtomicU64,
    /// The images that are done.
    pub images: AtomicU64,
}

/// Imports a bundle, or the images of a source, into `target`.
///
/// Before it writes anything it checks the framing of files, all presumed content, the free space unless only a part is
/// imported, and with [`TagPolicy::Fail`] the tags.
///
/// # Errors
///
/// `Bundle` when the bundle is damaged, `PresumedMissing`, `NoSpace`, `Full`, `TagTaken`, `NoMatch`; any error of the target.
/// Images that were stored before stay.
pub async fn import(
    carried: &dyn Carried,
    target: &dyn Target,
    options: &ImportOptions,
    progress: &Progress,
) -> Result<ImportReport> {
    let selected = select(carried.plan(), options)?;
    carried.check().await?;
    check_presumed(carried, target, options).await?;
    if let Some(free_bytes) = options.free_bytes.filter(|_| options.only.is_empty()) {
        check_space(carried.plan(), target, free_bytes).await?;
    }
    let mut report = ImportReport::default();
    let changes = tag_changes(target, &selected, options).await?;
    let kept: HashSet<String> = changes.iter().filter(|it| it.kept).map(|it| it.tag.clone()).collect();
    report.moved_tags = changes;
    let places = carried.plan().contents.iter().enumerate();
    let places = places.map(|(index, content)| (&content.digest, index)).collect();
    let presumed = carried.plan().presumed.iter().map(|presumed| (&presumed.digest, presumed)).collect();
    let importer = Importer { carried, target, options, progress, places, presumed };
    let mut state = State { report, spool: Spool::default(), placed: HashMap::new() };
    if options.dry_run {
        state.report.imported = selected.len() as u64;
        return Ok(state.report);
    }
    for image in selected {
        let shown = image.shown();
        match importer.image(&mut state, &image, &kept).await {
            Ok(true) => state.report.imported += 1,
            Ok(false) => state.report.unchanged += 1,
            Err(error) if options.keep_going && error.is_of_image() => state.report.failures.push(Failure {
                image: shown,
                problem: error.to_string(),
                is_damage: error.is_damage(),
            }),
            Err(error) => {
                let done = progress.bytes.load(Ordering::Relaxed);
                return Err(explain_full(error, carried.plan().totals()?.bytes.saturating_sub(done)));
            }
        }
        progress.images.fetch_add(1, Ordering::Relaxed);
    }
    carried.finish().await?;
    state.report.receipt.sort();
    state.report.receipt.dedup();
    Ok(state.report)
}

struct Importer<'a> {
    carried: &'a dyn Carried,
    target: &'a dyn Target,
    options: &'a ImportOptions,
    progress: &'a Progress,
    /// Where each content is in the bundle.
    places: HashMap<&'a Digest, usize>,
    presumed: HashMap<&'a Digest, &'a Presumed>,
}

struct State {
    report: ImportReport,
    spool: Spool,
    /// The last [`MAX_PLACED`] repositories that got a blob in this import.
    placed: HashMap<Digest, VecDeque<RepositoryName>>,
}

/// The images of a repository follow each other, so its last blobs are known; the rest are hints for a mount.
const MAX_PLACED: usize = 4;

impl Importer<'_> {
    /// Imports an image; returns whether anything was new.
    async fn image(
        &self,
        state: &mut State,
        image: &SelectedImage<'_>,
        kept: &HashSet<String>,
    ) -> Result<bool> {
        let left_out: HashSet<&Digest> = image.planned.left_out.iter().map(|it| &it.digest).collect();
        let tags = image.tags.iter().filter(|tag| !kept.contains(&format!("{}:{tag}", image.target)));
        let tags: Vec<Tag> = tags.cloned().collect();
        let named: Vec<String> = match self.options.receipt {
            true => {
                tags.iter().map(|tag| format!("{}:{tag} {}", image.target, image.planned.digest)).collect()
            }
            false => Vec::new(),
        };
        let mut is_new = self.root(state, image, &image.planned.digest, tags, &left_out).await?;
        for referrer in &image.planned.referrers {
            is_new |= self.root(state, image, &referrer.digest, Vec::new(), &left_out).await?;
        }
        state.report.receipt.extend(named);
        Ok(is_new)
    }

    /// Imports everything below one manifest.
    async fn root(
        &self,
        state: &mut State,
        image: &SelectedImage<'_>,
        root: &Digest,
        tags: Vec<Tag>,
        left_out: &HashSet<&Digest>,
    ) -> Result<bool> {
        let mut walk = ImageWalk::new(root);
        while let Some(digest) = walk.next() {
            let bytes = self.manifest(state, &digest).await?;
            let manifest = Manifest::parse(&bytes, None).map_err(EngineError::ManifestInvalid)?;
            let mut unknown = None;
            walk.add(&digest, &manifest, |reference| match self.kind(&reference.digest) {
                _ if left_out.contains(&reference.digest) => Role::LeftOut,
                Some(ContentKind::Manifest) if manifest.kind.is_index() => Role::Manifest,
                Some(_) => Role::Blob,
                None => {
                    unknown.get_or_insert_with(|| reference.digest.clone());
                    Role::LeftOut
                }
            });
            if let Some(unknown) = unknown {
                let problem =
                    format!("it refers to {unknown}, which is neither here, nor presumed, nor left out");
                return Err(self.fault(&digest, problem));
            }
        }
        let blobs = self.blobs(state, &image.target, walk.blobs()).await;
        let mut is_new = blobs.map_err(|error| match error {
            Error::PresumedMissing(missing) => Error::PresumedMissing(Missing {
                images: vec![MissingImage {
                    repository: image.repository.clone(),
                    digest: image.planned.digest.clone(),
                    tags: image.planned.tags.clone(),
                }],
                ..missing
            }),
            error => error,
        })?;
        let manifests = walk.bottom_up();
        for digest in &manifests {
            let tags = if digest == root { tags.clone() } else { Vec::new() };
            is_new |= self.put_manifest(state, &image.target, digest, tags, left_out).await?;
        }
        if self.options.receipt {
            let stored = manifests.iter().chain(walk.blobs().iter().map(|blob| &blob.digest));
            let lines = stored.map(|digest| format!("{digest} {} {}", self.size_bytes(digest), image.target));
            state.report.receipt.extend(lines);
        }
        Ok(is_new)
    }

    fn size_bytes(&self, digest: &Digest) -> u64 {
        match self.places.get(digest) {
            Some(index) => self.carried.plan().contents[*index].size_bytes,
            None => self.presumed.get(digest).map_or(0, |presumed| presumed.size_bytes),
        }
    }

    fn kind(&self, digest: &Digest) -> Option<ContentKind> {
        match self.places.get(digest) {
            Some(index) => Some(self.carried.plan().contents[*index].kind),
            None => self.presumed.contains_key(digest).then_some(ContentKind::Blob),
        }
    }

    async fn put_manifest(
        &self,
        state: &mut State,
        repository: &RepositoryName,
        digest: &Digest,
        tags: Vec<Tag>,
        left_out: &HashSet<&Digest>,
    ) -> Result<bool> {
        let mut missing = Vec::new();
        for tag in tags {
            if self.target.tag(repository, &tag).await?.as_ref() != Some(digest) {
                missing.push(tag);
            }
        }
        if missing.is_empty() && self.target.has_manifest(repository, digest).await? {
            return Ok(false);
        }
        let bytes = self.manifest(state, digest).await?;
        let left_out = match left_out.is_empty() {
            true => Vec::new(),
            false => {
                let manifest = Manifest::parse(&bytes, None).map_err(EngineError::ManifestInvalid)?;
                manifest.references().filter(|digest| left_out.contains(digest)).cloned().collect()
            }
        };
        self.target.put_manifest(repository, NewManifest { digest, bytes, tags: missing, left_out }).await?;
        Ok(true)
    }

    /// Stores the blobs of an image; returns whether any was new.
    async fn blobs(
        &self,
        state: &mut State,
        repository: &RepositoryName,
        blobs: &[WalkedBlob],
    ) -> Result<bool> {
        let jobs = if self.carried.is_seekable() { self.options.jobs.max(1) } else { 1 };
        let placed = &state.placed;
        let work: Vec<_> = blobs
            .iter()
            .filter(|blob| !placed.get(&blob.digest).is_some_and(|placed| placed.contains(repository)))
            .map(|blob| {
                let hints = placed.get(&blob.digest).into_iter().flatten().cloned();
                (blob.digest.clone(), hints.collect())
            })
            .collect();
        let spool = &state.spool;
        let stored = stream::iter(work).map(|(digest, hints)| async move {
            let stored = self.blob(spool, repository, &digest, hints).await?;
            Ok::<_, Error>((digest, stored))
        });
        // In order for a pipe, since there is one job.
        let mut stored = stored.buffer_unordered(jobs);
        let mut is_new = false;
        let mut done = Vec::new();
        while let Some((digest, stored)) = stored.try_next().await? {
            match stored {
                Some(size_bytes) => {
                    is_new = true;
                    state.report.stored_blobs += 1;
                    state.report.stored_bytes += size_bytes;
                }
                None => state.report.present_blobs += 1,
            }
            done.push(digest);
        }
        drop(stored);
        for digest in done {
            let placed = state.placed.entry(digest).or_default();
            placed.truncate(MAX_PLACED - 1);
            placed.push_front(repository.clone());
        }
        Ok(is_new)
    }

    /// Stores a blob unless it is there; returns the number of bytes that were stored.
    async fn blob(
        &self,
        spool: &Spool,
        repository: &RepositoryName,
        digest: &Digest,
        mut hints: Vec<RepositoryName>,
    ) -> Result<Option<u64>> {
        let Some(index) = self.places.get(digest).copied() else {
            let presumed = self.presumed.get(digest);
            hints.extend(presumed.into_iter().flat_map(|presumed| presumed.repositories.iter().cloned()));
            return match self.target.place(repository, digest, self.size_bytes(digest), &hints).await? {
                true => Ok(None),
                // The collector took it since the check.
                false => {
                    let contents = vec![digest.clone()];
                    Err(Error::PresumedMissing(Missing { contents, images: Vec::new() }))
                }
            };
        };
        let size_bytes = self.carried.plan().contents[index].size_bytes;
        if self.target.place(repository, digest, size_bytes, &hints).await? {
            self.progress.bytes.fetch_add(size_bytes, Ordering::Relaxed);
            return Ok(None);
        }
        let content = match spool.get(digest)? {
            Some(bytes) => stream::iter([Ok(bytes)]).boxed(),
            None => self.carried.content(index).await?,
        };
        let stored = self.target.put_blob(repository, digest, size_bytes, content).await;
        stored.map_err(|error| self.explain(index, error))?;
        self.progress.bytes.fetch_add(size_bytes, Ordering::Relaxed);
        Ok(Some(size_bytes))
    }

    /// A damaged bundle shows as a failed upload.
    fn explain(&self, index: usize, error: Error) -> Error {
        match error {
            Error::Store(EngineError::DigestMismatch { actual, .. }) => {
                self.carried.wrong_digest(index, &actual)
            }
            Error::Registry(refused) if refused.code() == "DIGEST_INVALID" => {
                self.carried.fault(index, "its content does not have its digest".to_owned())
            }
            Error::Store(EngineError::BodyBroken(source)) => match Error::content(source) {
                Error::Other(source) => Error::Store(EngineError::BodyBroken(source)),
                error => error,
            },
            error => error,
        }
    }

    /// The bytes of a manifest of the bundle.
    async fn manifest(&self, state: &mut State, digest: &Digest) -> Result<Bytes> {
        if let Some(bytes) = state.spool.get(digest)? {
            return Ok(bytes);
        }
        let Some(index) = self.places.get(digest).copied() else {
            return Err(self.fault(digest, "it is not carried".to_owned()));
        };
        let bytes = self.carried.whole(index, self.options.max_manifest_bytes).await?;
        if !self.carried.is_seekable() {
            state.spool.put(digest, &bytes)?;
        }
        Ok(bytes)
    }

    fn fault(&self, digest: &Digest, problem: String) -> Error {
        self.carried.fault(self.places.get(digest).copied().unwrap_or_default(), problem)
    }
}
