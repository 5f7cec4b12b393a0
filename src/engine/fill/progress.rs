//! `Progress`: the state of a fill, for its clients.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use sampan_driver::{ByteRange, FileReader, StagedView};

use super::FillError;
use super::spool::Spool;
use crate::oci::{Digest, RepositoryName};
use crate::{BlobInfo, Repository};

/// The state of a fill. Cheap to clone: every reader takes a copy at each change.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// Set once the source has answered: its length in bytes, or that of the descriptor.
    pub(super) opened: Option<Option<u64>>,
    /// Where readers find the bytes; `None` until the staged file is open. Each part begins where the one before ends.
    pub(super) parts: Option<Arc<[Part]>>,
    /// The bytes from the start that readers may have.
    pub(super) released_bytes: u64,
    /// The length of the blob in bytes, once its digest is verified.
    pub(super) verified: Option<u64>,
    /// Why the transfer failed. Final.
    pub(super) failed: Option<FillError>,
    /// Why the blob does not come into the store. Final for every repository that is not in `stored`.
    pub(super) unstored: Option<FillError>,
    /// The repositories that have the blob, or why not.
    pub(super) stored: Arc<HashMap<RepositoryName, Result<BlobInfo, FillError>>>,
}

/// Some of the bytes of a fill.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The offset of the first byte.
    pub(super) start: u64,
    pub(super) place: BytesLocation,
}

/// Where bytes of a fill are.
#[derive(Clone, Debug)]
pub(super) enum BytesLocation {
    /// In the staged file.
    Staged(Arc<dyn StagedView>),
    /// In a spool file.
    Spooled(Arc<Spool>),
    /// In the published blob.
    Stored(Repository, Digest),
}

impl BytesLocation {
    pub(super) async fn reader(&self, range: Range<u64>) -> Result<FileReader, FillError> {
        match self {
            Self::Staged(view) => view.reader(range).await.map_err(|error| FillError::unstored(error.into())),
            Self::Spooled(spool) => Ok(spool.reader(range)),
            Self::Stored(repository, digest) => {
                let range = ByteRange::new(range.start, range.end - range.start);
                let (_, reader) =
                    repository.blobs().read(digest, range).await.map_err(FillError::unstored)?;
                Ok(reader)
            }
        }
    }
}

impl Progress {
    /// The length of the blob in bytes, announced or verified.
    pub(super) fn size_bytes(&self) -> Option<u64> {
        self.verified.or(self.opened.flatten())
    }

    /// The place of the byte at `offset`, and the end of the part in it that readers may have; `None` if not yet.
    pub(super) fn find(&self, offset: u64) -> Option<(BytesLocation, u64)> {
        if offset >= self.released_bytes {
            return None;
        }
        let parts = self.parts.as_ref()?;
        let index = parts.partition_point(|part| part.start <= offset).checked_sub(1)?;
        let end =
            parts.get(index + 1).map_or(self.released_bytes, |next| next.start.min(self.released_bytes));
        Some((parts[index].place.clone(), end))
    }
}
