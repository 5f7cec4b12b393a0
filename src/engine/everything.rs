//! Listings of everything: the manifests and blobs that a repository links, and the data of the store.
//!
//! A link means little by itself: an upload writes it before the data. [`Registry::data`] says which data exist.

use std::sync::Arc;

use futures::future::ready;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{DirEntry, DriverPath, StorageDriver, StorageDriverExt};

use crate::layout::{self, Entry};
use crate::oci::{Algorithm, Digest};
use crate::{Error, ManifestStore, Registry, RepositoryBlobs, Result};

impl Registry {
    /// Streams digest and length of all data, referenced or not.
    ///
    /// # Errors
    ///
    /// The stream yields any error of the store.
    pub fn data(&self) -> BoxStream<'static, Result<(Digest, u64)>> {
        self.data_after(None)
    }

    /// As [`data`](Self::data), in the order of the digests, those after a digest alone.
    pub(crate) fn data_after(&self, after: Option<&Digest>) -> BoxStream<'static, Result<(Digest, u64)>> {
        let after = after.map(|digest| Entry::Blob(digest.clone()).path());
        let files = self.driver().walk(&layout::blobs_root(), after.as_ref()).map_err(Error::from);
        let data = files.try_filter_map(|file| {
            ready(Ok(match Entry::parse(&file.path) {
                Some(Entry::Blob(digest)) => Some((digest, file.size_bytes)),
                _ => None,
            }))
        });
        data.boxed()
    }

    /// The length of the data with this digest in bytes, referenced or not; `None` if there are none. It grants no lease.
    ///
    /// Data are stored under their canonical digest, so there are none under another one.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub async fn data_size(&self, digest: &Digest) -> Result<Option<u64>> {
        if !digest.is_canonical() {
            return Ok(None);
        }
        let data = self.driver().stat_if_any(&Entry::Blob(digest.clone()).path()).await?;
        Ok(data.map(|data| data.size_bytes))
    }
}

impl ManifestStore {
    /// Streams the digests of all manifests, tagged or not; one that was pushed under another algorithm comes under both.
    ///
    /// # Errors
    ///
    /// The stream yields any error of the store.
    pub fn list(&self) -> BoxStream<'static, Result<Digest>> {
        let name = self.repository.name.clone();
        listed(self.repository.registry.driver(), move |algorithm| layout::revisions(&name, algorithm))
    }
}

impl RepositoryBlobs {
    /// Streams the digests of all blobs that the repository links, whether or not their data exist.
    ///
    /// # Errors
    ///
    /// The stream yields any error of the store.
    pub fn list(&self) -> BoxStream<'static, Result<Digest>> {
        let name = self.repository.name.clone();
        listed(self.repository.registry.driver(), move |algorithm| layout::layers_of(&name, algorithm))
    }
}

/// The digests whose directories are in `directory`, of each algorithm.
fn listed(
    driver: &Arc<dyn StorageDriver>,
    directory: impl Fn(Algorithm) -> DriverPath,
) -> BoxStream<'static, Result<Digest>> {
    let lists = Algorithm::ALL.map(|algorithm| {
        let entries = driver.list(&directory(algorithm), None).map_err(Error::from);
        entries.try_filter_map(move |entry| {
            ready(Ok(match entry {
                DirEntry::Directory(hex) => format!("{algorithm}:{hex}").parse().ok(),
                DirEntry::File(_) => None,
            }))
        })
    });
    stream::iter(lists).flatten().boxed()
}
