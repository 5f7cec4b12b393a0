//! Reads blobs of a source while an export is planned.

use futures::TryStreamExt;
use sampan_bundle::ContentHash;
use sampan_engine::oci::{Digest, RepositoryName};

use crate::{Error, Result, Source};

/// Whether the bytes of a blob have its digest.
///
/// # Errors
///
/// Any error of the source.
pub(crate) async fn is_intact(
    source: &dyn Source,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<bool> {
    let mut blob = source.blob(repository, digest).await?;
    let mut hash = ContentHash::new(digest.algorithm());
    loop {
        match blob.try_next().await.map_err(Error::content) {
            Ok(Some(bytes)) => hash.update(&bytes),
            Ok(None) => return Ok(hash.finish() == *digest),
            // A client compares it too.
            Err(error) if error.is_of_image() => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

/// A blob as a whole; `None` if it is missing, or longer than `max_bytes`.
///
/// # Errors
///
/// Any error of the source.
pub(crate) async fn small_blob(
    source: &dyn Source,
    repository: &RepositoryName,
    digest: &Digest,
    max_bytes: u64,
) -> Result<Option<Vec<u8>>> {
    if source.blob_size(repository, digest).await?.is_none_or(|size_bytes| size_bytes > max_bytes) {
        return Ok(None);
    }
    let (mut blob, mut whole) = (source.blob(repository, digest).await?, Vec::new());
    while let Some(bytes) = blob.try_next().await.map_err(Error::content)? {
        whole.extend_from_slice(&bytes);
        if whole.len() as u64 > max_bytes {
            return Ok(None);
        }
    }
    Ok(Some(whole))
}
