//! Deleting: references go before what they refer to.

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::StorageDriver;

use super::ManifestStore;
use crate::oci::{Digest, Reference, Tag};
use crate::{Error, Happening, Result, layout};

impl ManifestStore {
    /// Removes a tag; or a manifest and every tag that points at it.
    ///
    /// # Errors
    ///
    /// `ManifestUnknown`, `Disabled` when nothing may be deleted, `ReadOnly`.
    #[tracing::instrument(
        level = "trace",
        target = "sampan::traces",
        name = "engine.manifest.delete",
        skip_all
    )]
    pub async fn delete(&self, reference: &Reference) -> Result<()> {
        self.repository.registry.check_deletable()?;
        let resolved = self.resolve(reference).await;
        if let Reference::Tag(tag) = reference {
            let tags = self.repository.tags();
            return match resolved {
                Ok(_) => {
                    tags.remove(tag).await?;
                    self.repository.tell(|| Happening::TagDeleted(tag.clone()));
                    Ok(())
                }
                Err(unknown @ Error::ManifestUnknown(..)) => {
                    tags.clear(tag).await?;
                    Err(unknown)
                }
                Err(error) => Err(error),
            };
        }
        let (digest, canonical) = resolved?;
        // References go before what they refer to.
        self.untag(&canonical).await?;
        let name = &self.repository.name;
        self.driver().delete_tree(&layout::revision(name, &canonical)).await?;
        if digest != canonical {
            self.driver().delete_tree(&layout::revision(name, &digest)).await?;
        }
        self.repository.tell(|| Happening::ManifestDeleted(digest));
        Ok(())
    }

    /// Removes every tag that points at the manifest.
    async fn untag(&self, canonical: &Digest) -> Result<()> {
        let tags = self.repository.tags();
        let names = match tags.list(None, None).await {
            Ok(page) => page.items,
            Err(Error::RepositoryUnknown(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let lookups = self.repository.registry.limits().tag_lookups.max(1);
        stream::iter(names.iter().filter_map(|name| name.parse::<Tag>().ok()))
            .map(Ok)
            .try_for_each_concurrent(lookups, |tag| {
                let tags = &tags;
                async move {
                    match tags.resolve(&tag).await {
                        Ok(Some(target)) if target == *canonical => {
                            tags.remove(&tag).await?;
                            self.repository.tell(|| Happening::TagDeleted(tag));
                            Ok(())
                        }
                        Ok(_) => Ok(()),
                        // Not readable, so it does not point here for anyone.
                        Err(Error::Corrupt(path, error)) => {
                            tracing::warn!(%path, %error, "tag {tag} of {} is corrupt", self.repository.name);
                            Ok(())
                        }
                        Err(error) => Err(error),
                    }
                }
            })
            .await
    }
}
