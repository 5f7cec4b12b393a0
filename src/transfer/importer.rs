//! `Importer`: stores what one manifest needs, and then that manifest.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sampan_bundle::{ContentKind, ImageWalk, PlannedContent, Role, WalkedBlob};
use sampan_engine::Error as EngineError;
use sampan_engine::oci::{Digest, Manifest, RepositoryName, Tag};
use tokio::sync::{Mutex, Semaphore};

use crate::import_root::Root;
use crate::import_tags::tags_to_set;
use crate::known_content::KnownContent;
use crate::pipe_position::PipePosition;
use crate::placed::PlacedBlobs;
use crate::plan_reader::PlanReader;
use crate::spool::Spool;
use crate::target::NewManifest;
use crate::{Error, ImportOptions, ImportReport, Missing, MissingImage, Progress, Result, Target};

/// How many blobs of a root wait for their turn. They are stored in the order in which they began to wait, so that the first
/// root is whole before the blobs of later ones take its turns.
const MAX_WAITING_BLOBS: usize = 128;

/// How often a blob is sent whose uploads the registry loses.
const MAX_SENDS: u32 = 5;

/// Stores images of a bundle. Several roots may be prepared at once.
pub(crate) struct Importer<'a> {
    carried: &'a dyn PlanReader,
    target: &'a dyn Target,
    options: &'a ImportOptions,
    progress: &'a Progress,
    known: KnownContent<'a>,
    /// The repository of the target in which presumed content was found.
    presumed_in: HashMap<Digest, RepositoryName>,
    /// The tags that were there with another digest before the import, and these.
    checked_tags: HashMap<String, Digest>,
    spool: Mutex<Spool>,
    /// How far a pipe is; `None` for a file.
    passed: Option<PipePosition>,
    placed: PlacedBlobs,
    /// A permit is a blob that is being stored.
    permits: Semaphore,
    /// Held while the manifests of a root are read, which may be long.
    walking: Mutex<()>,
    stored_blobs: AtomicU64,
    stored_bytes: AtomicU64,
    present_blobs: AtomicU64,
}

/// A root whose blobs are stored.
#[derive(Default)]
pub(crate) struct PreparedRoot {
    /// Children come before their parents.
    manifests: Vec<Digest>,
    blobs: Vec<WalkedBlob>,
    /// The subjects of the manifests that are attached to others.
    subjects: HashMap<Digest, Digest>,
    is_new: bool,
}

/// A root that is stored.
#[derive(Default)]
pub(crate) struct StoredRoot {
    /// Whether anything was new.
    pub(crate) is_new: bool,
    /// The tags that clients gave to other images since the checks, and that stay.
    pub(crate) kept: Vec<Tag>,
}

/// The manifests of a root that were read.
struct Walked {
    walk: ImageWalk,
    subjects: HashMap<Digest, Digest>,
}

impl<'a> Importer<'a> {
    pub(crate) fn new(
        carried: &'a dyn PlanReader,
        target: &'a dyn Target,
        options: &'a ImportOptions,
        progress: &'a Progress,
        presumed_in: HashMap<Digest, RepositoryName>,
        checked_tags: HashMap<String, Digest>,
    ) -> Self {
        let plan = carried.plan();
        let jobs = jobs(carried, options);
        Self {
            carried,
            target,
            options,
            progress,
            known: KnownContent::new(plan),
            presumed_in,
            checked_tags,
            spool: Mutex::default(),
            passed: (!carried.is_seekable()).then(|| PipePosition::new(plan)),
            placed: PlacedBlobs::default(),
            permits: Semaphore::new(jobs),
            walking: Mutex::default(),
            stored_blobs: AtomicU64::new(0),
            stored_bytes: AtomicU64::new(0),
            present_blobs: AtomicU64::new(0),
        }
    }

    /// How many blobs are stored at a time, and how many roots are begun.
    pub(crate) fn jobs(&self) -> usize {
        jobs(self.carried, self.options)
    }

    /// Stores the blobs that a root needs.
    pub(crate) async fn prepare(&self, root: &Root<'_>) -> Result<PreparedRoot> {
        let prepared = match root.has_failed() {
            true => Ok(PreparedRoot::default()),
            false => self.prepare_whole(root).await,
        };
        let goes_on = match &prepared {
            Ok(_) => root.has_failed(),
            Err(error) => self.options.keep_going && error.is_of_image(),
        };
        if goes_on && let Some(passed) = &self.passed {
            self.keep_rest(root, passed).await?;
        }
        prepared
    }

    /// Keeps the rest of a root that is passed over: other images may need it, and a pipe does not go back.
    async fn keep_rest(&self, root: &Root<'_>, passed: &PipePosition) -> Result<()> {
        let own = self.known.place(root.digest).unwrap_or_default();
        for index in passed.rest_of(own, self.carried.plan().contents.len()) {
            let content = &self.carried.plan().contents[index];
            let kept = match content.kind {
                ContentKind::Manifest => self.manifest(&content.digest).await.map(drop),
                ContentKind::Blob => self.blob(&root.image.target, &content.digest).await.map(drop),
            };
            match kept {
                // Images that need it fail by themselves.
                Err(error) if error.is_of_image() => {}
                kept => kept?,
            }
        }
        Ok(())
    }

    async fn prepare_whole(&self, root: &Root<'_>) -> Result<PreparedRoot> {
        let Walked { walk, subjects } = self.walk(root).await?;
        let image = root.image;
        let blobs = self.blobs(&image.target, walk.blobs()).await;
        let is_new = blobs.map_err(|error| match error {
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
        Ok(PreparedRoot { manifests: walk.bottom_up(), blobs: walk.blobs().to_vec(), subjects, is_new })
    }

    /// Stores the manifests of a root whose blobs are there, and sets its tags.
    pub(crate) async fn finish(
        &self,
        root: &Root<'_>,
        prepared: PreparedRoot,
        report: &mut ImportReport,
    ) -> Result<StoredRoot> {
        let PreparedRoot { manifests, blobs, subjects, mut is_new } = prepared;
        let mut kept = Vec::new();
        for digest in &manifests {
            let mut tags = Vec::new();
            if digest == root.digest {
                let (target, policy) = (self.target, self.options.tags);
                let found = tags_to_set(target, root, policy, &self.checked_tags, report).await?;
                (tags, kept) = (found.tags, found.kept);
            }
            is_new |= self.put_manifest(root, digest, subjects.get(digest), tags).await?;
        }
        if self.options.receipt {
            let target = &root.image.target;
            let stored = manifests.iter().chain(blobs.iter().map(|blob| &blob.digest));
            let lines = stored.map(|digest| format!("{digest} {} {target}", self.known.size_bytes(digest)));
            report.receipt.extend(lines);
        }
        Ok(StoredRoot { is_new, kept })
    }

    /// Writes the number of blobs into the report.
    pub(crate) fn count(&self, report: &mut ImportReport) {
        report.stored_blobs = self.stored_blobs.load(Ordering::Relaxed);
        report.stored_bytes = self.stored_bytes.load(Ordering::Relaxed);
        report.present_blobs = self.present_blobs.load(Ordering::Relaxed);
    }

    /// Reads the manifests of a root.
    async fn walk(&self, root: &Root<'_>) -> Result<Walked> {
        let _walking = self.walking.lock().await;
        let (mut walk, mut subjects) = (ImageWalk::new(root.digest), HashMap::new());
        while let Some(digest) = walk.next() {
            let bytes = self.manifest(&digest).await?;
            let manifest = Manifest::parse(&bytes, None).map_err(EngineError::ManifestInvalid)?;
            let mut unknown = None;
            walk.add(&digest, &manifest, |reference| match self.known.kind(&reference.digest) {
                _ if root.leaves_out(&manifest, reference) => Role::LeftOut,
                // The target has it, with everything below it.
                Some(ContentKind::Manifest) if self.known.presumed(&reference.digest).is_some() => {
                    Role::LeftOut
                }
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
            subjects.extend(manifest.subject.map(|subject| (digest, subject.digest)));
        }
        Ok(Walked { walk, subjects })
    }

    /// Stores a manifest, attaches it to its subject, and sets these tags; returns whether anything of that was new.
    async fn put_manifest(
        &self,
        root: &Root<'_>,
        digest: &Digest,
        subject: Option<&Digest>,
        tags: Vec<Tag>,
    ) -> Result<bool> {
        let repository = &root.image.target;
        if tags.is_empty() && self.is_there(repository, digest, subject).await? {
            return Ok(false);
        }
        let bytes = self.manifest(digest).await?;
        let left_out = match root.left_out.is_empty() {
            true => Vec::new(),
            false => {
                let manifest = Manifest::parse(&bytes, None).map_err(EngineError::ManifestInvalid)?;
                let references = manifest.layers.iter().chain(&manifest.manifests);
                let left_out = references.filter(|reference| root.leaves_out(&manifest, reference));
                left_out.map(|reference| reference.digest.clone()).collect()
            }
        };
        self.target.put_manifest(repository, NewManifest { digest, bytes, tags, left_out }).await
    }

    /// Whether the repository keeps the manifest, attached to its subject. To attach it may be another request than to store it,
    /// which an interrupted import has not made.
    async fn is_there(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        subject: Option<&Digest>,
    ) -> Result<bool> {
        if !self.target.keeps_manifest(repository, digest).await? {
            return Ok(false);
        }
        match subject {
            Some(subject) => self.target.has_referrer(repository, subject, digest).await,
            None => Ok(true),
        }
    }

    /// Stores the blobs of a root; returns whether any was new.
    async fn blobs(&self, repository: &RepositoryName, blobs: &[WalkedBlob]) -> Result<bool> {
        // In order for a pipe, since there is one job.
        let begun = if self.jobs() == 1 { 1 } else { self.jobs().max(MAX_WAITING_BLOBS) };
        let stored = stream::iter(blobs).map(|blob| self.blob(repository, &blob.digest));
        let mut stored = stored.buffer_unordered(begun);
        let mut is_new = false;
        while let Some(stored) = stored.try_next().await? {
            is_new |= stored;
        }
        Ok(is_new)
    }

    /// Stores a blob unless it is there; returns whether it was stored.
    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        let mut placed = self.placed.claim(digest).await;
        if placed.is_in(repository) {
            return Ok(false);
        }
        // After the claim, so that a blob with a permit waits for no claim.
        let Ok(_permit) = self.permits.acquire().await else { return Ok(false) };
        let hints = placed.repositories().cloned().collect();
        let stored = self.store_blob(repository, digest, hints).await?;
        placed.add(repository);
        let count = match stored {
            Some(size_bytes) => {
                self.stored_bytes.fetch_add(size_bytes, Ordering::Relaxed);
                &self.stored_blobs
            }
            None => &self.present_blobs,
        };
        count.fetch_add(1, Ordering::Relaxed);
        Ok(stored.is_some())
    }

    /// Stores a blob unless it is there; returns the number of bytes that were stored.
    async fn store_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        mut hints: Vec<RepositoryName>,
    ) -> Result<Option<u64>> {
        let Some(index) = self.known.place(digest) else {
            let presumed = self.known.presumed(digest);
            hints.extend(self.presumed_in.get(digest).cloned());
            hints.extend(presumed.into_iter().flat_map(|presumed| presumed.repositories.iter().cloned()));
            return match self.target.place(repository, digest, self.known.size_bytes(digest), &hints).await? {
                true => Ok(None),
                // The collector took it since the check.
                false => {
                    let (contents, supplement) = (vec![digest.clone()], self.carried.supplement());
                    Err(Error::PresumedMissing(Missing { contents, images: Vec::new(), supplement }))
                }
            };
        };
        let PlannedContent { size_bytes, kind, .. } = self.carried.plan().contents[index];
        // A pipe passes it once, and it may be a manifest of a later image.
        if kind == ContentKind::Manifest
            && self.passed.is_some()
            && size_bytes <= self.options.max_manifest_bytes
        {
            self.manifest(digest).await?;
        }
        if self.target.place(repository, digest, size_bytes, &hints).await? {
            self.progress.bytes.fetch_add(size_bytes, Ordering::Relaxed);
            return Ok(None);
        }
        for sends in 1.. {
            let spooled = self.spool.lock().await.get(digest)?;
            let may_repeat = sends < MAX_SENDS && (spooled.is_some() || self.carried.is_seekable());
            let content = match spooled {
                Some(bytes) => stream::iter([Ok(bytes)]).boxed(),
                None => {
                    self.pass(index);
                    self.carried.content(index).await?
                }
            };
            match self.target.put_blob(repository, digest, size_bytes, content).await {
                Ok(()) => break,
                Err(error) if may_repeat && error.is_lost_upload() => {}
                Err(error) => return Err(self.carried.upload_failure(index, error)),
            }
        }
        self.progress.bytes.fetch_add(size_bytes, Ordering::Relaxed);
        Ok(Some(size_bytes))
    }

    /// The bytes of a manifest of the bundle.
    async fn manifest(&self, digest: &Digest) -> Result<Bytes> {
        if let Some(bytes) = self.spool.lock().await.get(digest)? {
            return Ok(bytes);
        }
        let Some(index) = self.known.place(digest) else {
            return Err(self.fault(digest, "it is not carried".to_owned()));
        };
        self.pass(index);
        let bytes = self.carried.read_whole(index, self.options.max_manifest_bytes).await?;
        if !self.carried.is_seekable() {
            self.spool.lock().await.put(digest, &bytes)?;
        }
        Ok(bytes)
    }

    /// Notes that a pipe has come to this content.
    fn pass(&self, index: usize) {
        if let Some(passed) = &self.passed {
            passed.add(index);
        }
    }

    fn fault(&self, digest: &Digest, problem: String) -> Error {
        self.carried.fault(self.known.place(digest).unwrap_or_default(), problem)
    }
}

fn jobs(carried: &dyn PlanReader, options: &ImportOptions) -> usize {
    if carried.is_seekable() { options.jobs.clamp(1, Semaphore::MAX_PERMITS) } else { 1 }
}
