//! `Registry`: the entry point of the engine.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sampan_driver::StorageDriver;
use tokio::sync::Semaphore;

use crate::cache::{CacheStatistics, ManifestCache};
use crate::caches::{CachePrefixes, ComparedTags, StoredBytes, UseTable};
use crate::clock::Clock;
use crate::deletions::Deletions;
use crate::descriptors::DescriptorCache;
use crate::layer_users::LayerUsers;
use crate::lease::Leases;
use crate::load_budget::LoadBudget;
use crate::oci::RepositoryName;
use crate::referrers::{Builds, KnownManifests};
use crate::small_blobs::SmallBlobs;
use crate::summary::{Summaries, SummaryLimits};
use crate::tag_digest::AbsentDigests;
use crate::upload::locks::UploadLocks;
use crate::writes::{RunningWrite, Writes};
use crate::wrong_lengths::WrongLengths;
use crate::{Error, Repository, Result, Validation};

/// The size of the cache of summaries, in bytes: some fifty thousand images.
const SUMMARY_BYTES: u64 = 16 << 20;

/// A registry over a store. Cloning is cheap; clones share all state.
#[derive(Clone, Debug)]
pub struct Registry {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) driver: Arc<dyn StorageDriver>,
    limits: Limits,
    pub(crate) writes: Arc<Writes>,
    pub(crate) validation: Validation,
    pub(crate) locks: UploadLocks,
    pub(crate) manifests: ManifestCache,
    pub(crate) loads: LoadBudget,
    pub(crate) small_blobs: SmallBlobs,
    pub(crate) summaries: Summaries,
    pub(crate) summary_limits: SummaryLimits,
    pub(crate) descriptors: Option<Arc<dyn DescriptorCache>>,
    pub(crate) leases: Leases,
    pub(crate) known_manifests: KnownManifests,
    pub(crate) referrer_builds: Builds,
    pub(crate) absent_digests: AbsentDigests,
    pub(crate) deletions: Arc<Deletions>,
    /// Previews take memory in proportion to what they walk, so one runs at a time.
    pub(crate) previews: Arc<Semaphore>,
    pub(crate) wrong_lengths: WrongLengths,
    /// A plain mutex: held to take or change the pointer.
    pub(crate) layer_users: Mutex<Option<Arc<LayerUsers>>>,
    caches: CachePrefixes,
    cache_uses: UseTable,
    compared_tags: ComparedTags,
    cache_bytes: StoredBytes,
}

impl Registry {
    /// Returns a builder for a registry over `driver`.
    pub fn builder(driver: Arc<dyn StorageDriver>) -> RegistryBuilder {
        RegistryBuilder {
            driver,
            limits: Limits::default(),
            validation: Validation::default(),
            manifest_cache_bytes: ManifestCache::DEFAULT_BYTES,
            blob_cache_bytes: SmallBlobs::DEFAULT_BYTES,
            descriptors: None,
            gc_grace: None,
            caches: CachePrefixes::default(),
            clock: Clock::default(),
        }
    }

    /// The repository of that name, whether or not it exists.
    pub fn repository(&self, name: RepositoryName) -> Repository {
        Repository::new(self.clone(), name)
    }

    /// The store.
    pub fn driver(&self) -> &Arc<dyn StorageDriver> {
        &self.inner.driver
    }

    /// Which repositories are caches of other registries.
    pub fn caches(&self) -> &CachePrefixes {
        &self.inner.caches
    }

    /// When the manifests of caches were last used. A pull from a cache records itself here.
    pub fn cache_uses(&self) -> &UseTable {
        &self.inner.cache_uses
    }

    /// When the tags of caches were last compared with their upstreams.
    pub fn compared_tags(&self) -> &ComparedTags {
        &self.inner.compared_tags
    }

    /// How many bytes the caches store. A fill of a cache adds its bytes.
    pub fn cache_bytes(&self) -> &StoredBytes {
        &self.inner.cache_bytes
    }

    /// The present limits.
    pub fn limits(&self) -> Limits {
        Limits { read_only: self.inner.writes.is_read_only(), ..self.inner.limits }
    }

    /// The statistics of the manifest cache.
    pub fn cache_statistics(&self) -> CacheStatistics {
        self.inner.manifests.statistics()
    }

    /// Rejects every write from now on, or allows writes again. Running writes continue; see
    /// [`writes_ended`](Self::writes_ended).
    pub fn set_read_only(&self, read_only: bool) {
        self.inner.writes.set_read_only(read_only);
    }

    /// Waits until no write is running but for the bytes of uploads: those that began before the registry became read-only, and
    /// a collection.
    pub async fn writes_ended(&self) {
        self.inner.writes.ended().await;
    }

    /// How many writes are running.
    pub fn running_writes(&self) -> usize {
        self.inner.writes.running()
    }

    /// Waits for the running deletions of manifests and tags, including those whose requests were dropped. Call this after the
    /// last request; interrupting a deletion leaves some of the tags.
    pub async fn finish_deletions(&self) {
        self.inner.deletions.finish().await;
    }

    /// Waits for the running deletions of single tags, which are short. After an interrupted one, pushes of its tag wait.
    pub async fn finish_tag_deletions(&self) {
        self.inner.deletions.finish_tags().await;
    }

    /// The clock for ages.
    pub fn clock(&self) -> &Clock {
        self.inner.leases.clock()
    }

    /// Fails if the registry rejects every write.
    ///
    /// # Errors
    ///
    /// `ReadOnly`; `ReadOnlyStore` if the store can never be written.
    pub fn check_writable(&self) -> Result<()> {
        match self.inner.driver.capabilities().read_only {
            _ if !self.inner.writes.is_read_only() => Ok(()),
            Some(reason) => Err(Error::ReadOnlyStore(reason)),
            None => Err(Error::ReadOnly),
        }
    }

    /// Begins a write unless the registry rejects every write. It lasts until the result is dropped.
    pub(crate) fn begin_write(&self) -> Result<RunningWrite> {
        let write = self.inner.writes.count();
        self.check_writable()?;
        Ok(write)
    }

    /// Runs the removal of a tag in its own task, which continues when the caller is dropped, as a write of its own.
    pub(crate) async fn remove_tag<T: Send + 'static>(
        &self,
        removal: impl Future<Output = T> + Send + 'static,
    ) -> T {
        // The caller has begun a write as well, and may be dropped.
        let write = self.inner.writes.count();
        let counted = async move {
            let _write = write;
            removal.await
        };
        self.inner.deletions.remove_tag(counted).await
    }

    pub(crate) fn begin_deletion(&self) -> Result<RunningWrite> {
        let write = self.begin_write()?;
        if self.inner.limits.delete { Ok(write) } else { Err(Error::Disabled("deletion")) }
    }
}

/// Builds a [`Registry`].
#[derive(Debug)]
pub struct RegistryBuilder {
    driver: Arc<dyn StorageDriver>,
    limits: Limits,
    validation: Validation,
    manifest_cache_bytes: u64,
    blob_cache_bytes: u64,
    descriptors: Option<Arc<dyn DescriptorCache>>,
    gc_grace: Option<Duration>,
    caches: CachePrefixes,
    clock: Clock,
}

impl RegistryBuilder {
    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the requirements on pushed manifests.
    #[must_use]
    pub fn validation(mut self, validation: Validation) -> Self {
        self.validation = validation;
        self
    }

    /// Sets the size of the manifest cache in bytes; 0 disables it.
    #[must_use]
    pub fn manifest_cache_bytes(mut self, bytes: u64) -> Self {
        self.manifest_cache_bytes = bytes;
        self
    }

    /// Sets the size of the cache of small blobs in bytes; 0 disables it.
    #[must_use]
    pub fn blob_cache_bytes(mut self, bytes: u64) -> Self {
        self.blob_cache_bytes = bytes;
        self
    }

    /// Sets a cache of descriptors that registries over the same store share; the default is none.
    #[must_use]
    pub fn descriptors(mut self, cache: Option<Arc<dyn DescriptorCache>>) -> Self {
        self.descriptors = cache;
        self
    }

    /// Sets the grace period of collections that run while this registry serves; `None` when no collection does.
    ///
    /// The registry then renews leases older than half the grace period, so that content stays for the other half.
    /// Without a grace period a lookup of a blob writes nothing; [`gc`](crate::gc) explains the consequence for a collection.
    #[must_use]
    pub fn gc_grace(mut self, grace: Option<Duration>) -> Self {
        self.gc_grace = grace;
        self
    }

    /// Sets which repositories are caches of other registries; the default is none.
    #[must_use]
    pub fn caches(mut self, caches: CachePrefixes) -> Self {
        self.caches = caches;
        self
    }

    /// Sets the clock for ages; the default is the machine's.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the registry.
    pub fn build(self) -> Registry {
        Registry {
            inner: Arc::new(Inner {
                driver: self.driver,
                limits: self.limits,
                writes: Writes::new(self.limits.read_only),
                validation: self.validation,
                locks: UploadLocks::default(),
                loads: LoadBudget::default(),
                manifests: ManifestCache::new(self.manifest_cache_bytes, self.limits.manifest_size_bytes),
                small_blobs: SmallBlobs::new(self.blob_cache_bytes),
                summaries: Summaries::new(SUMMARY_BYTES),
                summary_limits: SummaryLimits::default(),
                descriptors: self.descriptors,
                cache_uses: UseTable::new(self.clock.clone()),
                compared_tags: ComparedTags::new(self.clock.clone()),
                cache_bytes: StoredBytes::new(self.caches.clone()),
                caches: self.caches,
                leases: Leases::new(self.gc_grace, self.clock),
                known_manifests: KnownManifests::default(),
                referrer_builds: Builds::default(),
                absent_digests: AbsentDigests::default(),
                deletions: Arc::default(),
                previews: Arc::new(Semaphore::new(1)),
                wrong_lengths: WrongLengths::default(),
                layer_users: Mutex::default(),
            }),
        }
    }
}

/// The limits of a registry: policy as data, checked where requests enter the engine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The largest accepted manifest, in bytes. The registry serves stored manifests of any size.
    pub manifest_size_bytes: u64,
    /// Whether clients may delete blobs, manifests and tags.
    pub delete: bool,
    /// Whether the registry rejects every write.
    pub read_only: bool,
    /// How many tags the deletion of a manifest reads in parallel.
    pub tag_lookups: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { manifest_size_bytes: 4 << 20, delete: false, read_only: false, tag_lookups: 16 }
    }
}
