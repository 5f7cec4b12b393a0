//! `Registry`: the entry of the engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sampan_driver::StorageDriver;

use crate::cache::{CacheStatistics, ManifestCache};
use crate::clock::Clock;
use crate::deletions::Deletions;
use crate::descriptors::DescriptorCache;
use crate::lease::Leases;
use crate::oci::RepositoryName;
use crate::referrers::{Builds, KnownManifests};
use crate::small_blobs::SmallBlobs;
use crate::tag_digest::AbsentDigests;
use crate::upload::locks::UploadLocks;
use crate::{Error, Repository, Result, Validation};

/// A registry over a store. Cloning is cheap and shares everything.
#[derive(Clone, Debug)]
pub struct Registry {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) driver: Arc<dyn StorageDriver>,
    limits: Limits,
    read_only: AtomicBool,
    pub(crate) validation: Validation,
    pub(crate) locks: UploadLocks,
    pub(crate) manifests: ManifestCache,
    pub(crate) small_blobs: SmallBlobs,
    pub(crate) descriptors: Option<Arc<dyn DescriptorCache>>,
    pub(crate) leases: Leases,
    pub(crate) known_manifests: KnownManifests,
    pub(crate) referrer_builds: Builds,
    pub(crate) absent_digests: AbsentDigests,
    pub(crate) deletions: Arc<Deletions>,
}

impl Registry {
    /// A registry over `driver`, to be configured.
    pub fn builder(driver: Arc<dyn StorageDriver>) -> RegistryBuilder {
        RegistryBuilder {
            driver,
            limits: Limits::default(),
            validation: Validation::default(),
            manifest_cache_bytes: ManifestCache::DEFAULT_BYTES,
            blob_cache_bytes: SmallBlobs::DEFAULT_BYTES,
            descriptors: None,
            gc_grace: None,
            clock: Clock::default(),
        }
    }

    /// The repository of that name, whether or not anything was ever pushed to it.
    pub fn repository(&self, name: RepositoryName) -> Repository {
        Repository::new(self.clone(), name)
    }

    /// The store.
    pub fn driver(&self) -> &Arc<dyn StorageDriver> {
        &self.inner.driver
    }

    /// What is allowed at the moment.
    pub fn limits(&self) -> Limits {
        Limits { read_only: self.inner.read_only.load(Ordering::Relaxed), ..self.inner.limits }
    }

    /// How the cache of manifests does.
    pub fn cache_statistics(&self) -> CacheStatistics {
        self.inner.manifests.statistics()
    }

    /// Refuses every write from now on, or allows them again. Requests that have begun go on.
    pub fn set_read_only(&self, read_only: bool) {
        self.inner.read_only.store(read_only, Ordering::Relaxed);
    }

    /// Waits until the deletions of manifests that are running have finished, also those whose requests were dropped. To be
    /// called when no request is served any more; a deletion that is cut leaves some of the tags.
    pub async fn finish_deletions(&self) {
        self.inner.deletions.finish().await;
    }

    /// The clock by which ages are told.
    pub fn clock(&self) -> &Clock {
        self.inner.leases.clock()
    }

    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.inner.read_only.load(Ordering::Relaxed) { Err(Error::ReadOnly) } else { Ok(()) }
    }

    pub(crate) fn check_deletable(&self) -> Result<()> {
        self.check_writable()?;
        if self.inner.limits.delete { Ok(()) } else { Err(Error::Disabled("deletion")) }
    }
}

/// How a registry is put together.
#[derive(Debug)]
pub struct RegistryBuilder {
    driver: Arc<dyn StorageDriver>,
    limits: Limits,
    validation: Validation,
    manifest_cache_bytes: u64,
    blob_cache_bytes: u64,
    descriptors: Option<Arc<dyn DescriptorCache>>,
    gc_grace: Option<Duration>,
    clock: Clock,
}

impl RegistryBuilder {
    /// Sets what is allowed.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets what a manifest must fulfil.
    #[must_use]
    pub fn validation(mut self, validation: Validation) -> Self {
        self.validation = validation;
        self
    }

    /// Sets how many bytes of manifests are kept in memory; 0 for none.
    #[must_use]
    pub fn manifest_cache_bytes(mut self, bytes: u64) -> Self {
        self.manifest_cache_bytes = bytes;
        self
    }

    /// Sets how many bytes of small blobs are kept in memory; 0 for none.
    #[must_use]
    pub fn blob_cache_bytes(mut self, bytes: u64) -> Self {
        self.blob_cache_bytes = bytes;
        self
    }

    /// Sets where descriptors of manifests are kept for other registries over the same store, too; nowhere without it.
    #[must_use]
    pub fn descriptors(mut self, cache: Option<Arc<dyn DescriptorCache>>) -> Self {
        self.descriptors = cache;
        self
    }

    /// Sets the grace period of the collections of garbage that run while this registry serves; `None` when there are none.
    ///
    /// What clients are told to be here is then renewed when it is older than half of it, so that it stays for the other half.
    /// Without it, asking for a blob writes nothing; see [`gc`](crate::gc) on what that means for a collection.
    #[must_use]
    pub fn gc_grace(mut self, grace: Option<Duration>) -> Self {
        self.gc_grace = grace;
        self
    }

    /// Sets the clock by which ages are told; the machine's without it.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The registry.
    pub fn build(self) -> Registry {
        Registry {
            inner: Arc::new(Inner {
                driver: self.driver,
                limits: self.limits,
                read_only: AtomicBool::new(self.limits.read_only),
                validation: self.validation,
                locks: UploadLocks::default(),
                manifests: ManifestCache::new(self.manifest_cache_bytes),
                small_blobs: SmallBlobs::new(self.blob_cache_bytes),
                descriptors: self.descriptors,
                leases: Leases::new(self.gc_grace, self.clock),
                known_manifests: KnownManifests::default(),
                referrer_builds: Builds::default(),
                absent_digests: AbsentDigests::default(),
                deletions: Arc::default(),
            }),
        }
    }
}

/// What is allowed: policy as data, checked at the engine's doors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The largest manifest that is taken, in bytes. What is in the store is served whatever its size.
    pub manifest_size_bytes: u64,
    /// Whether blobs, manifests and tags may be deleted.
    pub delete: bool,
    /// Whether every write is refused.
    pub read_only: bool,
    /// How many tags are looked at together when a manifest is deleted.
    pub tag_lookups: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { manifest_size_bytes: 4 << 20, delete: false, read_only: false, tag_lookups: 16 }
    }
}
