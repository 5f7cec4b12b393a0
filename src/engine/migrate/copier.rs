//! `Copier`: the state that the steps of one pass share: both stores, the known data, and the findings.
//!
//! Data are hashed while they are copied and published only if their digest is right. Each is looked at once a pass, however
//! many repositories have it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::{TryStreamExt, join};
use parking_lot::Mutex;
use sampan_driver::{
    ByteRange, DriverError, DriverPath, ErrorKind, PutMode, StorageDriver, StorageDriverExt, WriteHint,
    WriteMode,
};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::digest_set::DigestSet;
use super::error::NameStore;
use super::options::Progress;
use super::report::{Amounts, Damaged, Pass, Unlinked};
use super::staged::StagedFiles;
use super::{Error, Migration, PassKind, Result};
use crate::caches::CachePrefixes;
use crate::layout::Entry;
use crate::oci::{Algorithm, Digest, RepositoryName};
use crate::rate::Rate;
use crate::upload::hash::UploadHash;

/// The state that the steps of one pass share.
#[derive(Debug)]
pub(super) struct Copier {
    pub(super) source: Arc<dyn StorageDriver>,
    pub(super) target: Arc<dyn StorageDriver>,
    pub(super) manner: PassKind,
    pub(super) caches: CachePrefixes,
    /// The target has content of its own.
    pub(super) is_merge: bool,
    dry_run: bool,
    rate: Rate,
    progress: Arc<Progress>,
    /// The known data, by their canonical hash. A plain mutex: held only for a lookup.
    data: Mutex<HashMap<[u8; 32], Arc<OnceCell<Data>>>>,
    /// Content that images need and the source has lost. A plain mutex: held only for a lookup.
    lost: Mutex<DigestSet>,
    /// Content that images need and the source has without a link. A plain mutex: held only for a lookup.
    unlinked: Mutex<HashSet<Unlinked>>,
    staged: Arc<StagedFiles>,
    /// A plain mutex: held only to add.
    pass: Mutex<Pass>,
}

/// Where data are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Data {
    /// In the target.
    There,
    /// In neither store.
    Missing,
    /// Only in the source, and damaged.
    Damaged,
}

/// How much is known of data at a time: some 20 MB.
const MAX_KNOWN: usize = 200_000;

/// Longer data are staged while they are copied.
const MAX_SMALL_BYTES: u64 = 64 << 10;

/// More unreadable files are the sign of a store that is damaged or gone.
const MAX_UNREADABLE: u64 = 100;

impl Copier {
    pub(super) fn new(migration: &Migration) -> Self {
        let Migration { source, target, options, manner, staged } = migration;
        Self {
            source: source.clone(),
            target: target.clone(),
            manner: manner.clone(),
            caches: options.caches.clone(),
            is_merge: options.merge,
            dry_run: options.dry_run,
            rate: Rate::new(options.rate),
            progress: options.progress.clone(),
            data: Mutex::default(),
            lost: Mutex::default(),
            unlinked: Mutex::default(),
            staged: staged.clone(),
            pass: Mutex::default(),
        }
    }

    /// The result of the pass.
    pub(super) fn finish(&self) -> Pass {
        std::mem::take(&mut *self.pass.lock())
    }

    /// Records what a step has found.
    pub(super) fn find(&self, record: impl FnOnce(&mut Pass)) {
        record(&mut self.pass.lock());
    }

    /// Records that an image needs what the source has lost.
    pub(super) fn note_lost(&self, digest: &Digest) {
        if self.lost.lock().insert(digest) {
            self.find(|pass| pass.missing.push(digest.clone()));
        }
    }

    /// Records that an image needs what has no link in its repository at the source: the link is lost, or the data are.
    pub(super) async fn lose_part(&self, repository: &RepositoryName, digest: &Digest) -> Result<()> {
        let is_there = digest.is_canonical()
            && self.source.exists(&Entry::Blob(digest.clone()).path()).await.at_source()?;
        let unlinked = Unlinked { repository: repository.clone(), digest: digest.clone() };
        match is_there {
            false => self.note_lost(digest),
            true if self.unlinked.lock().insert(unlinked.clone()) => {
                self.find(|pass| pass.unlinked.push(unlinked));
            }
            true => {}
        }
        Ok(())
    }

    /// Whether an image needs the content, and the source has lost it.
    pub(super) fn is_lost(&self, digest: &Digest) -> bool {
        self.lost.lock().contains(digest)
    }

    /// Publishes a small file unless there is one; returns whether it did. The caller counts it.
    pub(super) async fn create(&self, path: &DriverPath, content: &Bytes) -> Result<bool> {
        if self.dry_run {
            return Ok(true);
        }
        match self.target.put_content(path, content.clone(), PutMode::Create).await {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            put => {
                put.at_target()?;
                self.progress.add(1, 0);
                Ok(true)
            }
        }
    }

    /// Publishes files in their order, and counts them.
    pub(super) async fn put_all(
        &self,
        files: &[(DriverPath, Bytes)],
        count: impl FnOnce(&mut Amounts),
    ) -> Result<()> {
        match files {
            _ if self.dry_run => {}
            [] => {}
            [(path, content)] => {
                let put = self.target.put_content(path, content.clone(), PutMode::Overwrite);
                put.await.at_target()?;
            }
            files => self.target.put_all(files).await.at_target()?,
        }
        count(&mut self.pass.lock().copied);
        self.progress.add(files.len() as u64, 0);
        Ok(())
    }

    /// Copies data to the target unless they are there.
    pub(super) async fn ensure_data(&self, canonical: &Digest) -> Result<Data> {
        let Some(known) = self.known(canonical) else { return Ok(Data::Missing) };
        match known.get_or_try_init(|| self.copy_data(canonical)).await? {
            // They may have been pushed since another step has looked, and what needs them too.
            Data::Missing => self.copy_data(canonical).await,
            found => Ok(*found),
        }
    }

    /// The same for data whose bytes the caller has read and hashed.
    pub(super) async fn ensure_bytes(&self, canonical: &Digest, bytes: &Bytes) -> Result<()> {
        let known = self.known(canonical);
        let write = async {
            let path = Entry::Blob(canonical.clone()).path();
            let (there, len) = (self.target.stat_if_any(&path).await.at_target()?, bytes.len() as u64);
            if there.is_none_or(|file| file.size_bytes != len) {
                let count = |copied: &mut Amounts| {
                    copied.blobs += 1;
                    copied.bytes += len;
                };
                self.put_all(&[(path, bytes.clone())], count).await?;
            }
            Ok(Data::There)
        };
        match known {
            Some(known) => known.get_or_try_init(|| write).await.map(drop),
            None => Ok(()),
        }
    }

    fn known(&self, canonical: &Digest) -> Option<Arc<OnceCell<Data>>> {
        let hash = canonical.canonical_hash()?;
        let mut data = self.data.lock();
        if data.len() >= MAX_KNOWN {
            data.retain(|_, known| known.get() == Some(&Data::Damaged));
        }
        Some(data.entry(hash).or_default().clone())
    }

    async fn copy_data(&self, canonical: &Digest) -> Result<Data> {
        let path = Entry::Blob(canonical.clone()).path();
        let (source, target) = join!(self.source.stat_if_any(&path), self.target.stat_if_any(&path));
        let (source, target) = (source.at_source()?, target.at_target()?);
        let Some(source) = source else {
            return Ok(if target.is_some() { Data::There } else { Data::Missing });
        };
        if target.as_ref().is_some_and(|target| target.size_bytes == source.size_bytes) {
            return Ok(Data::There);
        }
        let copied = match self.dry_run {
            true => Ok(source.size_bytes),
            false => match self.transfer(canonical, &path).await? {
                // Read once more: the bytes may have been damaged on the way.
                Err(Failure::Damaged(_)) => self.transfer(canonical, &path).await?,
                copied => copied,
            },
        };
        match copied {
            Ok(bytes) => {
                self.find(|pass| {
                    pass.copied.blobs += 1;
                    pass.copied.bytes += bytes;
                });
                self.progress.add(1, 0);
                Ok(Data::There)
            }
            Err(Failure::Gone) => Ok(if target.is_some() { Data::There } else { Data::Missing }),
            Err(Failure::Damaged(reason)) => {
                let digest = canonical.clone();
                self.find(|pass| pass.damaged.push(Damaged { digest, reason }));
                // The target may have them whole, of a time before the damage.
                Ok(if target.is_some() { Data::There } else { Data::Damaged })
            }
        }
    }

    /// Copies data and returns their length.
    async fn transfer(&self, canonical: &Digest, path: &DriverPath) -> Result<Result<u64, Failure>> {
        let reader = match self.source.reader(path, ByteRange::ALL).await {
            Ok(reader) => reader,
            Err(error) => return self.classify(error).map(Err),
        };
        let (bytes, mut chunks) = (reader.size_bytes(), reader.into_stream());
        let mut to = match bytes <= MAX_SMALL_BYTES {
            true => Destination::Small(Vec::new()),
            false => {
                let id = self.staged.begin();
                let staged = Entry::MigrationStaged(id).path();
                let hint = WriteHint { len: Some(bytes), target: Some(path.clone()) };
                Destination::Staged(
                    self.target.writer(&staged, WriteMode::Create(hint)).await.at_target()?,
                    id,
                )
            }
        };
        let mut hash = UploadHash::new(Algorithm::Sha256);
        let failure = loop {
            let chunk = match chunks.try_next().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break None,
                Err(error) => break Some(self.classify(error)),
            };
            self.rate.take(chunk.len()).await;
            self.progress.add(0, chunk.len() as u64);
            let hashing = async { hash.update(&chunk) };
            let (written, ()) = join!(to.write(chunk.clone()), hashing);
            if let Err(error) = written.at_target() {
                self.cancel(to).await.ok();
                return Err(error.of(path));
            }
        };
        let failure = match failure {
            Some(Ok(failure)) => Some(failure),
            Some(Err(error)) => {
                self.cancel(to).await.ok();
                return Err(error);
            }
            None if hash.canonical() != *canonical => {
                Some(Failure::Damaged(format!("its content hashes to {}", hash.canonical())))
            }
            None => None,
        };
        match (failure, to) {
            (None, Destination::Small(content)) => {
                let put = self.target.put_content(path, content.into(), PutMode::Overwrite);
                put.await.at_target()?;
                Ok(Ok(bytes))
            }
            (None, Destination::Staged(writer, id)) => {
                writer.commit(path).await.at_target().map_err(|error| error.of(path))?;
                self.staged.end(id);
                Ok(Ok(bytes))
            }
            (Some(failure), to) => {
                self.cancel(to).await?;
                Ok(Err(failure))
            }
        }
    }

    /// Records content of the source that is damaged, once a pass.
    pub(super) fn damaged(&self, digest: &Digest, reason: String) {
        if let Some(known) = self.known(digest) {
            if known.get() == Some(&Data::Damaged) {
                return;
            }
            // If another step copies it at this moment, that step records it, too.
            _ = known.set(Data::Damaged);
        }
        self.find(|pass| pass.damaged.push(Damaged { digest: digest.clone(), reason }));
    }

    /// Drops what was copied of a file.
    async fn cancel(&self, to: Destination) -> Result<()> {
        if let Destination::Staged(writer, id) = to {
            writer.cancel().await.at_target()?;
            self.staged.end(id);
        }
        Ok(())
    }

    /// Tells content that cannot be read from a store that cannot be reached.
    pub(super) fn classify(&self, error: DriverError) -> Result<Failure> {
        match error.kind() {
            ErrorKind::NotFound => Ok(Failure::Gone),
            ErrorKind::Other | ErrorKind::PermissionDenied => {
                let unreadable = self.pass.lock().damaged.count;
                if unreadable >= MAX_UNREADABLE {
                    return Err(Error::TooManyUnreadable(unreadable, error));
                }
                let reason = std::error::Error::source(&error).map(ToString::to_string);
                Ok(Failure::Damaged(format!(
                    "it cannot be read: {}",
                    reason.unwrap_or_else(|| error.to_string())
                )))
            }
            _ => Err(error).at_source(),
        }
    }
}

/// Why content of the source is not copied.
#[derive(Debug)]
pub(super) enum Failure {
    /// It does not exist.
    Gone,
    /// It is damaged, or cannot be read.
    Damaged(String),
}

/// Where bytes go until their digest is known.
enum Destination {
    Small(Vec<u8>),
    Staged(Box<dyn sampan_driver::FileWriter>, Uuid),
}

impl Destination {
    async fn write(&mut self, chunk: Bytes) -> sampan_driver::Result<()> {
        match self {
            Self::Small(content) => {
                content.extend_from_slice(&chunk);
                Ok(())
            }
            Self::Staged(writer, _) => writer.write(chunk).await,
        }
    }
}
