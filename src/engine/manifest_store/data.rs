//! The data of a manifest: bytes under their digest, which are also its lease file.

use bytes::Bytes;
use sampan_driver::{DriverPath, PutMode, StorageDriver, StorageDriverExt};
use tokio::time::Instant;

use super::ManifestStore;
use crate::layout::Entry;
use crate::lease::RefreshPolicy;
use crate::oci::Digest;
use crate::{Result, link};

impl ManifestStore {
    /// The file of the bytes, to be written unless the store has them, undamaged and fresh enough.
    pub(super) async fn data_to_store(
        &self,
        canonical: &Digest,
        bytes: &Bytes,
        renewal: RefreshPolicy,
    ) -> Result<Option<(DriverPath, Bytes)>> {
        let path = Entry::Blob(canonical.clone()).path();
        // The bytes are likely to exist only if the manifest was here before, so other pushes skip the check; rewriting does
        // no harm.
        if self.repository.registry.inner.manifests.get(canonical).is_some() {
            let here = self.driver().get_content_if_any(&path).await?.is_some_and(|stored| stored == bytes);
            if here && !self.is_due(canonical, renewal).await? {
                return Ok(None);
            }
        }
        Ok(Some((path, bytes.clone())))
    }

    /// Writes the files of a manifest in their order; its data, if they are among them, come first.
    pub(super) async fn put_files(&self, canonical: &Digest, files: &[(DriverPath, Bytes)]) -> Result<()> {
        let data = Entry::Blob(canonical.clone()).path();
        let before = Instant::now();
        link::write_all(self.driver(), files).await?;
        if let Some((_, bytes)) = files.first().filter(|(path, _)| *path == data) {
            self.repository.registry.inner.wrong_lengths.forget(canonical);
            self.leases().note_data(canonical, before, bytes.len() as u64);
        }
        Ok(())
    }

    /// Renews the lease file of a manifest if it is due; returns whether it was due.
    pub(crate) async fn renew(&self, canonical: &Digest, renewal: RefreshPolicy) -> Result<bool> {
        if !self.is_due(canonical, renewal).await? {
            return Ok(false);
        }
        let path = Entry::Blob(canonical.clone()).path();
        match self.driver().get_content_if_any(&path).await? {
            // Damaged data stay as they are, for an administrator to find; they are no lease file.
            Some(bytes) if Digest::sha256_of(&bytes) == *canonical => {
                self.driver().put_content(&path, bytes, PutMode::Overwrite).await?;
            }
            _ => {}
        }
        Ok(true)
    }

    async fn is_due(&self, canonical: &Digest, renewal: RefreshPolicy) -> Result<bool> {
        if renewal == RefreshPolicy::Nothing {
            return Ok(false);
        }
        let data = self.driver().stat_if_any(&Entry::Blob(canonical.clone()).path()).await?;
        Ok(data.is_none_or(|data| renewal.is_due(data.modified)))
    }
}
