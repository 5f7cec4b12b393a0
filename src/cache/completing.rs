//! Completing in the background: a client skips the layers that it has, so what it pulled is here in part. After a while the rest
//! is fetched.

use std::sync::Arc;

use sampan_engine::oci::media_type::is_nondistributable;
use sampan_engine::oci::{Descriptor, Manifest};

use crate::error::{CacheError, Result};
use crate::repository::CachedRepository;

/// The most manifests of an upstream that wait for their turn. The blobs of others are left to `registry cache complete`.
pub(crate) const MAX_WAITING: usize = 1000;

impl CachedRepository {
    /// Fetches the blobs of a manifest that was fetched now, after the time that the settings say. Those of one manifest after the
    /// other, so that clients have the connections.
    pub(crate) fn complete_later(&self, manifest: &[u8]) {
        let upstream = &self.name.upstream;
        let wait = upstream.settings.complete;
        let Some(blobs) = Manifest::parse(manifest, None).ok().map(needed).filter(|blobs| !blobs.is_empty())
        else {
            return;
        };
        if wait.is_zero() {
            return;
        }
        let Ok(place) = Arc::clone(&upstream.completions).try_acquire_owned() else {
            tracing::debug!(repository = %self.name.stored, "so many images wait to be completed that this one is not");
            return;
        };
        let this = self.clone();
        tokio::spawn(async move {
            let upstream = &this.name.upstream;
            upstream.clock().sleep(wait).await;
            let _turn = upstream.completing.lock().await;
            if let Err(error) = this.complete_blobs(&blobs).await {
                tracing::debug!(repository = %this.name.stored, %error, "an image that was pulled in part stays so");
            }
            drop(place);
        });
    }

    async fn complete_blobs(&self, blobs: &[Descriptor]) -> Result<()> {
        for blob in blobs {
            if self.has_blob(&blob.digest).await? {
                continue;
            }
            match self.fetch_blob(blob).await {
                // Others may be there.
                Err(CacheError::BlobUnknown(..) | CacheError::Wrong { .. }) => {}
                fetched => fetched?,
            }
        }
        Ok(())
    }
}

/// The blobs of a manifest that an upstream has to have.
fn needed(manifest: Manifest) -> Vec<Descriptor> {
    let blobs = manifest.config.into_iter().chain(manifest.layers);
    blobs.filter(|blob| blob.urls.is_empty() || !is_nondistributable(&blob.media_type)).collect()
}
