//! Completing in the background: a client skips the layers that it has, so what it pulled is here in part. After a while the rest
//! is fetched.

use std::sync::Arc;

use sampan_engine::oci::{Digest, Reference};

use crate::client::Client;
use crate::complete::{Read, needed_blobs};
use crate::error::{CacheError, Result};
use crate::repository::CachedRepository;

/// The most manifests of an upstream that wait for their turn, each with its repository and its digest. The blobs of others are
/// left to `registry cache complete`.
pub(crate) const MAX_WAITING: usize = 1000;

impl CachedRepository {
    /// Fetches the blobs of a manifest that was stored now, after the time that the settings say. Those of one manifest after the
    /// other, so that clients have the connections.
    pub(crate) fn complete_later(&self, manifest: &Digest) {
        let upstream = &self.name.upstream;
        let wait = upstream.settings.complete;
        if wait.is_zero() {
            return;
        }
        let Ok(place) = Arc::clone(&upstream.to_complete).try_acquire_owned() else {
            tracing::debug!(repository = %self.name.stored, "so many images wait to be completed that this one is not");
            return;
        };
        let (this, manifest) = (self.clone().asked_by(Client::Background), manifest.clone());
        tokio::spawn(async move {
            let upstream = &this.name.upstream;
            upstream.clock().sleep(wait).await;
            let _turn = upstream.completing.lock().await;
            if let Err(error) = this.complete_blobs(&manifest).await {
                tracing::debug!(repository = %this.name.stored, %error, "an image that was pulled in part stays so");
            }
            drop(place);
        });
    }

    async fn complete_blobs(&self, manifest: &Digest) -> Result<()> {
        let stored = self.bare().manifests().get(&Reference::Digest(manifest.clone())).await?;
        let Some(Read { manifest, is_proof }) = Read::of(&stored.bytes) else { return Ok(()) };
        for blob in needed_blobs(&manifest) {
            if self.has_blob(blob).await? {
                continue;
            }
            match self.fetch_blob(blob, is_proof).await {
                // Others may be there.
                Err(CacheError::BlobUnknown(..) | CacheError::Wrong { .. }) => {}
                fetched => fetched?,
            }
        }
        Ok(())
    }
}
