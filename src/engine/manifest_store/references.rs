//! `References`: the content that a manifest needs in its repository.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};

use super::ManifestStore;
use crate::lease::{PendingSnapshot, RefreshPolicy};
use crate::oci::{Digest, Manifest, Reference};
use crate::{Error, Result, Validation};

/// The required references of a manifest.
pub(super) struct References {
    of_index: bool,
    /// With the lengths that the manifest says; in order, without duplicates.
    digests: Vec<(Digest, u64)>,
}

/// How many references are checked in parallel.
const CONCURRENT_LOOKUPS: usize = 8;

impl References {
    /// The references of `manifest` that the rules require, but for those that were left out on purpose.
    pub(super) fn of(manifest: &Manifest, validation: &Validation, left_out: &[Digest]) -> Result<Self> {
        let required = validation.required(manifest)?.into_iter();
        // A bundle may leave out as many references as a manifest can have.
        let left_out: HashSet<&Digest> = left_out.iter().collect();
        let required = required.filter(|descriptor| !left_out.contains(&descriptor.digest));
        let mut digests: Vec<(Digest, u64)> =
            required.map(|descriptor| (descriptor.digest.clone(), descriptor.size)).collect();
        digests.sort_unstable();
        digests.dedup_by(|a, b| a.0 == b.0);
        Ok(Self { of_index: manifest.kind.is_index(), digests })
    }

    /// Nothing is required: what a cache lacks is fetched.
    pub(super) fn none(manifest: &Manifest) -> Self {
        Self { of_index: manifest.kind.is_index(), digests: Vec::new() }
    }

    /// Checks that everything exists, renews the lease files, and returns the canonical digests.
    pub(super) async fn check(
        &self,
        store: &ManifestStore,
        renewal: RefreshPolicy,
        look: &PendingSnapshot,
    ) -> Result<Vec<Digest>> {
        // Owned digests: with a stream of borrowed ones the compiler cannot prove that the future is `Send`.
        let found: Vec<(Digest, Option<Digest>)> = stream::iter(self.digests.clone())
            .map(|(digest, size_bytes)| async move {
                let canonical = self.check_one(store, (&digest, size_bytes), renewal, look).await?;
                Ok::<_, Error>((digest, canonical))
            })
            .buffered(CONCURRENT_LOOKUPS)
            .try_collect()
            .await?;
        let missing: Vec<Digest> = found
            .iter()
            .filter(|(_, canonical)| canonical.is_none())
            .map(|(digest, _)| digest.clone())
            .collect();
        match missing.is_empty() {
            true => Ok(found.into_iter().filter_map(|(_, canonical)| canonical).collect()),
            false => Err(Error::ManifestReferencesUnknown(missing)),
        }
    }

    async fn check_one(
        &self,
        store: &ManifestStore,
        (digest, described_bytes): (&Digest, u64),
        renewal: RefreshPolicy,
        look: &PendingSnapshot,
    ) -> Result<Option<Digest>> {
        if self.of_index {
            match store.resolve(&Reference::Digest(digest.clone())).await {
                Ok((_, canonical)) => {
                    store.renew(&canonical, renewal).await?;
                    let size_bytes = store.leases().has_data(store.driver(), &canonical, look).await?;
                    let Some(size_bytes) = size_bytes else { return Ok(None) };
                    return whole(store, canonical, size_bytes, described_bytes).await;
                }
                Err(Error::ManifestUnknown(..)) => {} // An index of blobs, such as a build cache: Distribution accepts them.
                Err(error) => return Err(error),
            }
        }
        let blobs = store.repository.blobs();
        let renewed = async {
            let (canonical, size_bytes) = blobs.find_data(digest, look).await?;
            blobs.renew(digest, &canonical, renewal).await?;
            Ok((canonical, size_bytes))
        };
        match renewed.await {
            Ok((canonical, size_bytes)) => whole(store, canonical, size_bytes, described_bytes).await,
            Err(Error::BlobUnknown(..)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The digest, unless its data are damaged, as their length hints.
async fn whole(
    store: &ManifestStore,
    canonical: Digest,
    size_bytes: u64,
    described_bytes: u64,
) -> Result<Option<Digest>> {
    if size_bytes == described_bytes {
        return Ok(Some(canonical));
    }
    let wrong_lengths = &store.repository.registry.inner.wrong_lengths;
    let is_damaged = wrong_lengths.examine(store.driver(), &canonical).await?;
    Ok((!is_damaged).then_some(canonical))
}
