//! `CacheClient`: pulls from a cache of another registry, which fetches what it lacks.
//!
//! Inside a cache, the registry may lack anything at any moment, and says so (I1c). What it gives is right, and what it has just
//! fetched stays for a while.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use rand::Rng;
use rand::rngs::StdRng;
use sampan_driver::ByteRange;
use sampan_engine::gc::{Eviction, Scope};
use sampan_engine::oci::{Digest, Reference};
use sampan_engine::{Error, PutManifest, Registry, Repository};
use tokio::time::{Instant, sleep};

use super::Scenario;
use super::model_content::{ModelContent, ModelImage, TAGS};
use crate::Failed;
use crate::gc::seed::{name, tag};

/// The prefix of caches.
pub(super) const PREFIX: &str = "hub";

/// The only cache.
pub(super) const CACHE: &str = "hub/c";

pub(super) struct CacheClient {
    pub(super) registry: Registry,
    pub(super) wares: Arc<ModelContent>,
    pub(super) scenario: Scenario,
    pub(super) rng: StdRng,
}

/// A collection's eviction: often of everything that is not young.
pub(super) fn eviction(scenario: Scenario, rng: &mut StdRng) -> (Eviction, Scope) {
    let max_bytes = Some(if rng.random_bool(0.6) { 0 } else { rng.random_range(0..1500) });
    // Half the time is for the transfer.
    let grace = scenario.grace().mul_f32(rng.random_range(0.5..1.0));
    let scope = if rng.random_bool(0.5) { Scope::All } else { Scope::Caches };
    (Eviction { max_bytes, grace, ..Eviction::default() }, scope)
}

impl CacheClient {
    pub(super) async fn work(mut self) -> Result<(), Failed> {
        for _ in 0..5 {
            let pause = if self.rng.random_bool(0.3) { 1.2 } else { 0.1 };
            sleep(self.scenario.grace().mul_f32(self.rng.random_range(0.0..pause))).await;
            match self.pull().await {
                Err(PullError::Registry(Error::Driver(_))) if self.scenario.faults.any() => {}
                Err(PullError::Registry(Error::Collecting(_) | Error::TagBeingRemoved(..))) | Ok(()) => {}
                Err(PullError::Registry(error)) => return Err(error.into()),
                Err(PullError::Wrong(failed)) => return Err(failed),
            }
        }
        Ok(())
    }

    /// Pulls an image: fetches its manifest and those blobs that are not here.
    async fn pull(&mut self) -> Result<(), PullError> {
        let wares = self.wares.clone();
        let ware = &wares.images[self.rng.random_range(0..wares.images.len())];
        let reference: Reference = match self.rng.random_bool(0.6) {
            true => tag(TAGS[self.rng.random_range(0..2)]).into(),
            false => ware.digest().into(),
        };
        let here = self.registry.repository(name(CACHE));
        match here.manifests().get(&reference).await {
            Ok(_) if self.rng.random_bool(0.5) => {}
            Ok(_) | Err(Error::ManifestUnknown(..)) => self.fetch_manifest(&here, ware, reference).await?,
            Err(error) => return Err(error.into()),
        }
        self.registry.cache_uses().note_used(&name(CACHE), &ware.digest());
        for blob in &ware.blobs {
            if self.rng.random_bool(0.3) {
                sleep(Duration::from_millis(self.rng.random_range(0..800))).await;
            }
            let content = &wares.blobs[*blob];
            let digest = Digest::sha256_of(content);
            match here.blobs().read(&digest, ByteRange::ALL).await {
                Ok(_) => {}
                Err(Error::BlobUnknown(..)) => {
                    let body = futures::stream::iter([Ok(content.clone())]).boxed();
                    here.uploads().put(&digest, None, body).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Stores a manifest without regard to what it needs.
    async fn fetch_manifest(
        &self,
        here: &Repository,
        ware: &ModelImage,
        reference: Reference,
    ) -> Result<(), PullError> {
        let left_out = ware.blobs.iter().map(|blob| Digest::sha256_of(&self.wares.blobs[*blob])).collect();
        let put = PutManifest {
            bytes: ware.bytes.clone(),
            media_type: None,
            reference,
            tags: Vec::new(),
            left_out,
        };
        let begun = Instant::now();
        here.manifests().put_fetched(put).await?;
        let found = here.manifests().get(&ware.digest().into()).await;
        match found {
            Ok(stored) if stored.bytes == ware.bytes => Ok(()),
            Ok(_) => Err(PullError::Wrong(Failed::new("the cache has other bytes"))),
            Err(error @ Error::Driver(_)) => Err(error.into()),
            // Evicted again, after a long stop.
            Err(_) if begun.elapsed() > self.scenario.grace() / 4 => Ok(()),
            Err(error) => {
                Err(PullError::Wrong(Failed::new(format_args!("fetched a moment ago, and gone: {error}"))))
            }
        }
    }
}

/// Why a pull fails.
enum PullError {
    /// The registry says why.
    Registry(Error),
    /// The cache broke its rules.
    Wrong(Failed),
}

impl From<Error> for PullError {
    fn from(error: Error) -> Self {
        Self::Registry(error)
    }
}
