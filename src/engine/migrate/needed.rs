//! What a backup lacks of an image that it has already: it comes again. What no manifest needs is left out, since a prune would
//! delete it.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{StorageDriver, StorageDriverExt};

use super::copier::Copier;
use super::digest_set::DigestSet;
use super::error::NameStore;
use super::manifests::needs;
use super::report::Broken;
use super::repository::{ImagePart, RepositoryCopy};
use super::{CONCURRENCY, Error, Migration, Result};
use crate::layout::{self, Entry};
use crate::oci::Digest;

/// A larger file is no manifest. Distribution accepts 4 MiB.
const MAX_BYTES: u64 = 64 << 20;

/// Copies those of `lacking` that a manifest of the source needs, or is. It reads all manifests, but none if nothing lacks.
pub(super) async fn copy_data(migration: &Migration, copier: &Arc<Copier>, lacking: DigestSet) -> Result<()> {
    if lacking.is_empty() {
        return Ok(());
    }
    let (source, lacking) = (&migration.source, Arc::new(lacking));
    let files = source.walk(&layout::repositories_root(), None);
    let revisions = files.try_filter_map(|file| async move {
        Ok(match Entry::parse(&file.path) {
            Some(Entry::RevisionLink(_, digest)) if digest.is_canonical() => Some(digest),
            _ => None,
        })
    });
    let copies = revisions.map(|digest| {
        let (source, copier, lacking) = (source.clone(), copier.clone(), lacking.clone());
        async move {
            // Places that cannot be seen were found by the walk before.
            let Ok(digest) = digest else { return Ok(()) };
            for digest in needed(&source, &digest, &lacking).await? {
                copier.ensure_data(&digest).await?;
            }
            Ok::<_, Error>(())
        }
    });
    let mut copies = Box::pin(copies.buffer_unordered(CONCURRENCY));
    while copies.try_next().await?.is_some() {}
    Ok(())
}

/// Those of `lacking` that a manifest needs, or is. Content that is no manifest needs nothing: a damaged one was named before.
async fn needed(
    source: &Arc<dyn StorageDriver>,
    manifest: &Digest,
    lacking: &DigestSet,
) -> Result<Vec<Digest>> {
    let path = Entry::Blob(manifest.clone()).path();
    let file = source.stat_if_any(&path).await.at_source()?;
    let content = match file.is_some_and(|file| file.size_bytes <= MAX_BYTES) {
        true => source.get_content_if_any(&path).await.at_source()?,
        false => None,
    };
    let parts = content.into_iter().flat_map(|content| needs(&content).collect::<Vec<_>>());
    Ok(parts.chain([manifest.clone()]).filter(|digest| lacking.contains(digest)).collect())
}

impl RepositoryCopy {
    /// Copies those of `layers` that a manifest of the repository needs, and that the copy of the manifests has not brought.
    pub(super) async fn copy_needed_layers(
        self: &Arc<Self>,
        layers: Vec<Digest>,
        revisions: &DigestSet,
    ) -> Result<()> {
        let mut lacking = DigestSet::default();
        layers.iter().filter(|layer| !self.has_layer(layer)).for_each(|layer| _ = lacking.insert(layer));
        if lacking.is_empty() {
            return Ok(());
        }
        let there: Vec<Digest> =
            revisions.iter().filter(|digest| self.settled(digest) == Some(ImagePart::There)).collect();
        let read = stream::iter(there.into_iter().filter(Digest::is_canonical)).map(|manifest| {
            let (copy, lacking) = (self.clone(), &lacking);
            async move {
                let needed = needed(&copy.copier.source, &manifest, lacking).await?;
                Ok::<_, Error>((manifest, needed))
            }
        });
        let mut read = read.buffer_unordered(CONCURRENCY);
        while let Some((manifest, needed)) = read.try_next().await? {
            for layer in needed.into_iter().filter(|layer| *layer != manifest) {
                let because = match self.layer(&layer).await? {
                    ImagePart::There => continue,
                    ImagePart::Missing if self.copier.caches.contains(&self.name) => continue,
                    ImagePart::Missing => {
                        self.copier.lose_part(&self.name, &layer).await?;
                        layer
                    }
                    ImagePart::Broken(because) => because,
                };
                let (repository, manifest) = (self.name.clone(), manifest.clone());
                self.copier
                    .find(|pass| pass.broken.push(Broken { repository, manifest, tag: None, because }));
            }
        }
        Ok(())
    }
}
