//! Links the blob of a fill in further repositories that joined it.

use super::FillError;
use crate::oci::Digest;
use crate::{BlobInfo, Repository};

/// Makes a blob that was just published visible in `repository`, with the lease of an upload.
pub(super) async fn link(
    repository: &Repository,
    stored: &BlobInfo,
    digest: &Digest,
) -> Result<BlobInfo, FillError> {
    let linked = async {
        let _write = repository.registry.begin_write()?;
        let blobs = repository.blobs();
        let look = blobs.link_before_commit(&stored.canonical, digest).await?;
        let info = blobs.stat(digest).await?;
        if !look.is_fresh() {
            blobs.relink_if_collected(&stored.canonical, digest).await?;
        }
        Ok(info)
    };
    linked.await.map_err(FillError::unstored)
}
