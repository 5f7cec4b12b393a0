//! Manifests by digest: from the store, else from the upstream, fetched once for all requests.

use std::sync::atomic::Ordering;

use futures::FutureExt;
use sampan_client::RemoteManifest;
use sampan_engine::oci::{Digest, Manifest, MediaType, Reference, Tag};
use sampan_engine::{CachedPut, Stored, StoredInfo};

use crate::complete::proven_blobs;
use crate::error::{CacheError, Result, Verdict};
use crate::handling::Handling;
use crate::repository::{CachedRepository, Served};
use crate::statistics::CacheRequestKind;
use crate::ticket::Ticket;

impl CachedRepository {
    pub(crate) async fn manifest_by_digest(&self, digest: &Digest) -> Result<(Stored, Served)> {
        let reference = Reference::Digest(digest.clone());
        match self.repository.manifests().get(&reference).await {
            Ok(stored) => return Ok((stored, Served::Hit)),
            Err(error) => self.lacks(error)?,
        }
        let fetched = self.fetch(digest).await?;
        // For its event.
        match self.repository.manifests().get(&reference).await {
            Ok(stored) => Ok((stored, Served::Fetched)),
            Err(_) => Ok((fetched, Served::Fetched)),
        }
    }

    pub(crate) async fn info_by_digest(&self, digest: &Digest) -> Result<(StoredInfo, Served)> {
        match self.repository.manifests().stat(&Reference::Digest(digest.clone())).await {
            Ok(info) => return Ok((info, Served::Hit)),
            Err(error) => self.lacks(error)?,
        }
        // The client's next request is for the content.
        let Stored { digest, media_type, bytes } = self.fetch(digest).await?;
        Ok((StoredInfo { digest, media_type, size_bytes: bytes.len() as u64 }, Served::Fetched))
    }

    /// Nothing if the store lacks the manifest or has it damaged: then it is fetched.
    pub(crate) fn lacks(&self, error: sampan_engine::Error) -> Result<()> {
        match error {
            sampan_engine::Error::ManifestUnknown(..) => Ok(()),
            sampan_engine::Error::Corrupt(path, problem) => {
                tracing::warn!(%path, %problem, "the cached manifest at {path} is damaged, and is fetched again");
                Ok(())
            }
            error => Err(error.into()),
        }
    }

    /// Fetches a manifest and stores it with the tags that wait for it.
    pub(crate) async fn fetch(&self, digest: &Digest) -> Result<Stored> {
        let reference = Reference::Digest(digest.clone());
        let stored_name = &self.name.stored;
        self.check_askable()?;
        if self.inner.is_missing(&self.name.upstream, stored_name, &reference) {
            return Err(self.unknown_manifest(&reference, Handling::REMEMBERED_MISSING));
        }
        if self.inner.is_refused(&self.name.upstream, stored_name, &reference) {
            return Err(self.refused_a_while_ago());
        }
        let key = (stored_name.clone(), digest.clone());
        let fetched = self.inner.manifests.join(&key, self.client, |ticket| {
            let (this, digest) = (self.clone(), digest.clone());
            async move { this.fetch_and_store(&digest, &ticket).await }.boxed()
        });
        fetched.await
    }

    async fn fetch_and_store(&self, digest: &Digest, ticket: &Ticket) -> Result<Stored> {
        let upstream = &self.name.upstream;
        let reference = Reference::Digest(digest.clone());
        let asked = upstream.ask(CacheRequestKind::Manifest, ticket, self.remote.manifest(&reference)).await;
        let withheld = (self.name.stored.clone(), digest.clone());
        match &asked {
            Ok(_) => _ = self.inner.memory.withheld.remove(&withheld),
            Err(Verdict::Missing(_)) => {
                let (key, now) = ((self.name.stored.clone(), reference.clone()), upstream.clock().elapsed());
                self.inner.memory.withheld.insert(withheld, now);
                self.inner.memory.missing.insert(key, now);
            }
            Err(Verdict::Refused(_)) => {
                let key = (self.name.stored.clone(), reference.clone());
                self.inner.memory.refused_at.insert(key, upstream.clock().elapsed());
            }
            Err(verdict) if verdict.is_passing() => {
                self.inner.memory.withheld.insert(withheld, upstream.clock().elapsed());
            }
            Err(_) => {}
        }
        let unknown = |handling| self.unknown_manifest(&reference, handling);
        let manifest = asked.map_err(|verdict| verdict.into_error(upstream.name(), unknown))?;
        let bytes = manifest.bytes.len() as u64;
        self.inner.statistics.pulled_manifest_bytes.fetch_add(bytes, Ordering::Relaxed);
        let key = (self.name.stored.clone(), digest.clone());
        let waiting = self.inner.memory.pending.remove(&key).map(|(_, tags)| tags.to_vec());
        let mut tags = waiting.unwrap_or_default();
        // The tag may have moved on since a client was told of this manifest.
        tags.retain(|tag| self.is_last_seen(tag, digest));
        let (served, is_stored) = self.store(manifest, tags.clone()).await;
        if !is_stored {
            return Ok(served);
        }
        self.complete_later(&served.digest);
        for tag in &tags {
            self.note_confirmed(tag, digest);
            self.follow(tag, digest).await?;
        }
        Ok(served)
    }

    /// Stores a manifest, and returns whether the store has it. One that cannot be stored is served all the same.
    async fn store(&self, manifest: RemoteManifest, tags: Vec<Tag>) -> (Stored, bool) {
        let RemoteManifest { digest, media_type, bytes } = manifest;
        self.note_described(&bytes, &media_type);
        let served = Stored {
            digest: digest.clone(),
            media_type: MediaType::named(&media_type).unwrap_or_else(|| MediaType::of_manifest(&bytes)),
            bytes: bytes.clone(),
        };
        if let Err(reason) = self.inner.fills.admit(&self.bare(), bytes.len() as u64) {
            self.inner.statistics.unstored.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                repository = %self.name.stored, digest = %served.digest,
                "cannot store a manifest of an upstream, which is served all the same: {reason}"
            );
            return (served, false);
        }
        match self.bare().manifests().put_cached(CachedPut { bytes, media_type, digest, tags }).await {
            Ok(stored) => (stored, true),
            Err(error) => {
                self.inner.statistics.unstored.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    repository = %self.name.stored, digest = %served.digest, %error,
                    "cannot store a manifest of an upstream, which is served all the same"
                );
                (served, false)
            }
        }
    }

    /// Points a tag at a stored manifest, and returns whether the store has done so.
    pub(crate) async fn tag_stored(&self, stored: &Stored, tag: &Tag) -> bool {
        let put = CachedPut {
            bytes: stored.bytes.clone(),
            media_type: stored.media_type.as_str().to_owned(),
            digest: stored.digest.clone(),
            tags: vec![tag.clone()],
        };
        let Err(error) = self.bare().manifests().put_cached(put).await else { return true };
        self.inner.statistics.unstored.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            repository = %self.name.stored, %tag, digest = %stored.digest, %error,
            "cannot store a tag of an upstream, which is served all the same"
        );
        false
    }

    /// Remembers what a manifest of this repository proves to be in it there: it may have these blobs. One that the upstream may
    /// have read otherwise, such as with `Layers` beside `layers`, proves nothing.
    fn note_described(&self, bytes: &[u8], media_type: &str) {
        let Ok(manifest) = Manifest::parse_pushed(bytes, Some(media_type)) else { return };
        proven_blobs(&manifest).for_each(|blob| self.note_entitled(&blob.digest, blob.size));
    }

    pub(crate) fn unknown_manifest(&self, reference: &Reference, handling: Handling) -> CacheError {
        CacheError::ManifestUnknown(reference.clone(), self.name.stored.clone(), handling)
    }

    /// The error of content for which the upstream refused the account a short while ago.
    pub(crate) fn refused_a_while_ago(&self) -> CacheError {
        let (upstream, handling) = (self.upstream_name().to_owned(), Handling::REMEMBERED_REFUSED);
        CacheError::Refused { upstream, handling }
    }

    /// The repository without the events of a request.
    pub(crate) fn bare(&self) -> sampan_engine::Repository {
        self.repository.without_events()
    }
}
