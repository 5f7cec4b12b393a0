//! `RepositoryBlobs`: the blobs of a repository.
//!
//! The registry stores the data of a blob once; a layer link makes the blob visible in a repository.
//! A link without data means "not here": an upload writes the link first.
//! The answer that a blob is here grants a lease, and the link is the lease file: see [`lease`](crate::lease).

use sampan_driver::{ByteRange, FileReader, RedirectRequest, StorageDriverExt};
use tokio::time::Instant;
use url::Url;

use crate::error::OnMissing;
use crate::layout::{self, Entry};
use crate::lease::{Leases, PendingSnapshot, RefreshPolicy, Retry};
use crate::oci::{Digest, RepositoryName};
use crate::{BlobEvent, Error, EventKind, Repository, Result, link};

/// The blobs of one repository.
#[derive(Clone, Debug)]
pub struct RepositoryBlobs {
    pub(crate) repository: Repository,
}

/// An existing blob.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BlobInfo {
    /// The digest of the request.
    pub digest: Digest,
    /// The digest under which the blob is stored.
    pub canonical: Digest,
    /// The length in bytes.
    pub size_bytes: u64,
}

/// The result of an attempt to mount a blob.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MountOutcome {
    /// The blob is now in this repository.
    Mounted(BlobInfo),
    /// The source does not have the blob; the client must upload it.
    NotFound,
}

impl From<&BlobInfo> for BlobEvent {
    fn from(blob: &BlobInfo) -> Self {
        Self { digest: blob.digest.clone(), size_bytes: blob.size_bytes }
    }
}

impl RepositoryBlobs {
    pub(crate) fn new(repository: Repository) -> Self {
        Self { repository }
    }

    /// Looks up the blob and grants a lease on it: the blob stays for at least half the grace period.
    ///
    /// # Errors
    ///
    /// `BlobUnknown` when the repository lacks the blob, or a collection is about to delete it.
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.blob.stat", skip_all)]
    pub async fn stat_and_lease(&self, digest: &Digest) -> Result<BlobInfo> {
        let found = self.stat(digest).await?;
        if self.repository.registry.limits().read_only {
            return Ok(found); // No push can depend on it.
        }
        let renewal = self.leases().renewal(self.driver()).await?;
        let renewed = self.renew(digest, &found.canonical, renewal).await?;
        // A fresh link alone proves little: an upload that waits for the collector may have written it.
        if renewed || self.leases().is_collecting(self.driver()).await? {
            let look = self.leases().check_pending(self.driver()).await?;
            if look.pending.has_blob(&self.repository.name, &found.canonical) {
                return Err(self.unknown(digest));
            }
            return self.stat(digest).await;
        }
        Ok(found)
    }

    /// Like [`stat_and_lease`](Self::stat_and_lease), for a blob whose length a manifest gives. Data of another length are
    /// hashed, since the manifest may be wrong, too; damaged ones are unknown from then on, so that they are replaced.
    ///
    /// # Errors
    ///
    /// `BlobUnknown` when the repository lacks the blob, or its data are damaged.
    pub async fn stat_described(&self, digest: &Digest, described_bytes: u64) -> Result<BlobInfo> {
        let found = self.stat_and_lease(digest).await?;
        let wrong_lengths = &self.repository.registry.inner.wrong_lengths;
        let is_damaged = found.size_bytes != described_bytes
            && wrong_lengths.examine(self.driver(), &found.canonical).await?;
        if is_damaged { Err(self.unknown(digest)) } else { Ok(found) }
    }

    /// Like [`stat_and_lease`](Self::stat_and_lease), but grants no lease.
    pub(crate) async fn stat(&self, digest: &Digest) -> Result<BlobInfo> {
        let canonical = self.resolve(digest).await?;
        let before = Instant::now();
        let info = self.driver().stat(&Entry::Blob(canonical.clone()).path()).await;
        let info = info.on_missing(|| self.unknown(digest))?;
        self.reject_damaged(digest, &canonical, info.size_bytes).await?;
        self.leases().note_data(&canonical, before, info.size_bytes);
        Ok(BlobInfo { digest: digest.clone(), canonical, size_bytes: info.size_bytes })
    }

    /// The canonical digest of a blob in this repository, and its length in bytes. Where `look` allows it, skips the check for
    /// data seen since.
    pub(crate) async fn find_data(&self, digest: &Digest, look: &PendingSnapshot) -> Result<(Digest, u64)> {
        let canonical = self.resolve(digest).await?;
        match self.leases().has_data(self.driver(), &canonical, look).await? {
            Some(size_bytes) => Ok((canonical, size_bytes)),
            None => Err(self.unknown(digest)),
        }
    }

    /// Opens a range of the blob, and describes the blob. A frequently read small blob comes from memory: the store then
    /// confirms its link, not its data.
    ///
    /// # Errors
    ///
    /// `BlobUnknown` when the repository lacks the blob; a driver error of kind `RangeInvalid` when the range begins
    /// beyond its end.
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.blob.read", skip_all)]
    pub async fn read(&self, digest: &Digest, range: ByteRange) -> Result<(BlobInfo, FileReader)> {
        let canonical = self.resolve(digest).await?;
        let small_blobs = &self.repository.registry.inner.small_blobs;
        let reader = match small_blobs.reader(&canonical, range) {
            Some(reader) => reader,
            None => self.read_data(digest, &canonical, range).await?,
        };
        let info = BlobInfo { digest: digest.clone(), canonical, size_bytes: reader.size_bytes() };
        Ok((info, reader))
    }

    async fn read_data(&self, digest: &Digest, canonical: &Digest, range: ByteRange) -> Result<FileReader> {
        let small_blobs = &self.repository.registry.inner.small_blobs;
        let path = Entry::Blob(canonical.clone()).path();
        let reader = self.driver().reader(&path, range).await;
        let reader = reader.on_missing(|| self.unknown(digest))?;
        self.reject_damaged(digest, canonical, reader.size_bytes()).await?;
        small_blobs.keep(canonical, &path, reader).await
    }

    /// A power failure empties data that were never synced, such as those of other registries. A client that gets "unknown"
    /// pushes the blob again, which repairs it.
    async fn reject_damaged(&self, digest: &Digest, canonical: &Digest, size_bytes: u64) -> Result<()> {
        let is_there = size_bytes > 0 || *canonical == Digest::sha256_of(b"");
        let wrong_lengths = &self.repository.registry.inner.wrong_lengths;
        if is_there && !wrong_lengths.is_damaged(self.driver(), canonical, size_bytes).await? {
            return Ok(());
        }
        Err(self.unknown(digest))
    }

    /// A URL from which the client may fetch the blob; `None` when the registry must send it.
    ///
    /// If the request asks whether the blob exists, the store confirms it after the redirect, so this grants the lease of
    /// [`stat_and_lease`](Self::stat_and_lease).
    ///
    /// # Errors
    ///
    /// `BlobUnknown` when the repository lacks the blob.
    #[tracing::instrument(
        level = "trace",
        target = "sampan::traces",
        name = "engine.blob.redirect",
        skip_all
    )]
    pub async fn redirect(
        &self,
        digest: &Digest,
        request: RedirectRequest,
    ) -> Result<Option<(BlobInfo, Url)>> {
        if !self.driver().capabilities().redirect {
            return Ok(None);
        }
        let blob = match request {
            RedirectRequest::Head => self.stat_and_lease(digest).await?,
            RedirectRequest::Get => self.stat(digest).await?,
        };
        let url = self.driver().redirect_url(&Entry::Blob(blob.canonical.clone()).path(), request).await?;
        Ok(url.map(|url| (blob, url)))
    }

    /// Emits `BlobPulled`. The HTTP layer calls this once per request that served all or part of the blob, redirected to it,
    /// or confirmed it.
    pub fn emit_pulled(&self, blob: &BlobInfo) {
        self.repository.emit(|| EventKind::BlobPulled(BlobEvent::from(blob)));
    }

    /// Makes a blob of another repository (of any, without `from`) visible in this one, without transferring a byte.
    ///
    /// # Errors
    ///
    /// `ReadOnly`; any error of the store. A missing blob is not an error.
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.blob.mount", skip_all)]
    pub async fn mount(&self, digest: &Digest, from: Option<&RepositoryName>) -> Result<MountOutcome> {
        let _write = self.repository.registry.begin_write()?;
        let Some(found) = self.find(digest, from).await? else { return Ok(MountOutcome::NotFound) };
        self.link(&found.canonical, digest).await?;
        let look = self.leases().check_pending(self.driver()).await?;
        if look.pending.has_blob(&self.repository.name, &found.canonical) {
            return Ok(MountOutcome::NotFound);
        }
        match self.stat(digest).await {
            Ok(found) => {
                self.repository.emit(|| {
                    let (blob, from) = (BlobEvent::from(&found), from.cloned());
                    EventKind::BlobMounted { blob, from }
                });
                Ok(MountOutcome::Mounted(found))
            }
            Err(Error::BlobUnknown(..)) => Ok(MountOutcome::NotFound),
            Err(error) => Err(error),
        }
    }

    /// Removes the blob from this repository. Its data stay until a collection deletes them.
    ///
    /// # Errors
    ///
    /// `BlobUnknown` when the repository lacks the blob, `Disabled` when the configuration forbids deletion, `ReadOnly`.
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.blob.delete", skip_all)]
    pub async fn delete(&self, digest: &Digest) -> Result<()> {
        let _write = self.repository.registry.begin_deletion()?;
        let canonical = self.resolve(digest).await?;
        // The canonical link counts: without it, an alias that a crash left means nothing.
        self.driver().delete_tree(&layout::layer(&self.repository.name, &canonical)).await?;
        if *digest != canonical {
            self.driver().delete_tree(&layout::layer(&self.repository.name, digest)).await?;
        }
        self.repository.emit(|| EventKind::BlobDeleted(digest.clone()));
        Ok(())
    }

    /// Links stored or soon to be stored data, also under `digest` if that is an alias.
    pub(crate) async fn link(&self, canonical: &Digest, digest: &Digest) -> Result<()> {
        let name = &self.repository.name;
        let file = |digest: &Digest| link::file(&Entry::LayerLink(name.clone(), digest.clone()), canonical);
        let alias = (digest != canonical).then(|| file(digest));
        let links: Vec<_> = alias.into_iter().chain([file(canonical)]).collect();
        link::write_all(self.driver(), &links).await
    }

    /// Links data before they are stored, once the collector has no pending deletion of the old link.
    pub(crate) async fn link_before_commit(
        &self,
        canonical: &Digest,
        digest: &Digest,
    ) -> Result<PendingSnapshot> {
        let hold = Retry::new();
        let is_pending = |look: &PendingSnapshot| look.pending.has_blob(&self.repository.name, canonical);
        loop {
            let before = self.leases().check_pending(self.driver()).await?;
            if !is_pending(&before) {
                self.link(canonical, digest).await?;
                let look = self.leases().check_pending(self.driver()).await?;
                // A run that was active when the link was written may have deleted the link before the check.
                let is_linked = before.is_fresh() || self.is_linked(canonical).await?;
                if !is_pending(&look) && is_linked {
                    return Ok(look);
                }
            }
            // The batch includes the link, so writing it again is pointless until the batch is done.
            while self
                .leases()
                .check_pending(self.driver())
                .await?
                .pending
                .has_blob(&self.repository.name, canonical)
            {
                hold.wait(canonical).await?;
            }
        }
    }

    async fn is_linked(&self, canonical: &Digest) -> Result<bool> {
        match self.resolve(canonical).await {
            Ok(_) => Ok(true),
            Err(Error::BlobUnknown(..)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Checks, after the data of a linked blob were stored, that they are still visible.
    pub(crate) async fn relink_if_collected(&self, canonical: &Digest, digest: &Digest) -> Result<()> {
        match self.resolve(digest).await {
            Ok(_) => Ok(()),
            // The link was a pending deletion before it was written, and the collector deleted it afterwards.
            Err(Error::BlobUnknown(..)) => self.link(canonical, digest).await,
            Err(error) => Err(error),
        }
    }

    /// Renews the lease file of a blob if it is due; returns whether it was written.
    pub(crate) async fn renew(
        &self,
        digest: &Digest,
        canonical: &Digest,
        renewal: RefreshPolicy,
    ) -> Result<bool> {
        if renewal == RefreshPolicy::Nothing {
            return Ok(false);
        }
        let link = Entry::LayerLink(self.repository.name.clone(), canonical.clone()).path();
        let due = match self.driver().stat_if_any(&link).await? {
            Some(info) => renewal.is_due(info.modified),
            None => return Err(self.unknown(digest)),
        };
        if due {
            self.link(canonical, digest).await?;
        }
        Ok(due)
    }

    async fn find(&self, digest: &Digest, from: Option<&RepositoryName>) -> Result<Option<BlobInfo>> {
        let Some(from) = from else {
            // Any repository will do; an alias is known only to repositories that link it.
            let info = match digest.is_canonical() {
                true => self.driver().stat_if_any(&Entry::Blob(digest.clone()).path()).await?,
                false => None,
            };
            return Ok(info.map(|info| BlobInfo {
                digest: digest.clone(),
                canonical: digest.clone(),
                size_bytes: info.size_bytes,
            }));
        };
        let source = self.repository.registry.repository(from.clone()).blobs();
        match source.stat(digest).await {
            Ok(found) => Ok(Some(found)),
            Err(Error::BlobUnknown(..)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn resolve(&self, digest: &Digest) -> Result<Digest> {
        let name = &self.repository.name;
        let canonical =
            link::resolve(self.driver(), digest, |digest| Entry::LayerLink(name.clone(), digest)).await?;
        canonical.ok_or_else(|| self.unknown(digest))
    }

    fn unknown(&self, digest: &Digest) -> Error {
        Error::BlobUnknown(digest.clone(), self.repository.name.clone())
    }

    fn leases(&self) -> &Leases {
        &self.repository.registry.inner.leases
    }

    fn driver(&self) -> &std::sync::Arc<dyn sampan_driver::StorageDriver> {
        self.repository.registry.driver()
    }
}
