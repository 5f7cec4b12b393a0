//! `TagStore::restore`: points a tag again at a manifest that it was removed from.
//!
//! The restoration is a push of the stored bytes under the tag, so it keeps every promise of a push: beside a collection, a
//! deletion, or another push.

use sampan_driver::StorageDriverExt;

use crate::layout::Entry;
use crate::oci::{Digest, Manifest, Reference, Tag};
use crate::{Error, PutManifest, Result, TagStore};

/// What happens to a tag that exists and points elsewhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnExistingTag {
    /// It stays, and the restoration fails.
    Keep,
    /// It moves.
    Move,
}

/// The result of a restoration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RestoreOutcome {
    /// The tag points at the manifest again.
    Restored(Digest),
    /// The tag pointed at the manifest already.
    Unchanged(Digest),
}

impl TagStore {
    /// Points the tag again at the manifest that it was last removed from, or at the given one.
    ///
    /// An index whose own link is there comes back even if some of its children are gone: the registry serves it by digest. A
    /// manifest that was deleted, too, comes back if a removal of this tag from it is recorded and no collection has taken
    /// its content. Two restorations at once, or a push beside one, leave the tag where the last of them points it.
    ///
    /// # Errors
    ///
    /// `ReadOnly`; `TagExists` if the tag points elsewhere and is to be kept; `TagNotRemoved` if no digest is given and no
    /// removal recorded; `ManifestUnknown` if the manifest is gone; else as [`put`](crate::ManifestStore::put).
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.tags.restore", skip_all)]
    pub async fn restore(
        &self,
        tag: &Tag,
        digest: Option<&Digest>,
        on_existing: OnExistingTag,
    ) -> Result<RestoreOutcome> {
        let (name, manifests) = (&self.repository.name, self.repository.manifests());
        self.repository.registry.check_writable()?;
        let digest = match digest {
            Some(digest) => digest.clone(),
            None => {
                let last = self.last_removal(tag).await?;
                last.ok_or_else(|| Error::TagNotRemoved(name.clone(), tag.clone()))?
            }
        };
        match manifests.resolve(&Reference::Tag(tag.clone())).await {
            Ok((pushed, canonical)) if digest == pushed || digest == canonical => {
                return Ok(RestoreOutcome::Unchanged(digest));
            }
            Ok((pushed, _)) if on_existing == OnExistingTag::Keep => {
                return Err(Error::TagExists(name.clone(), tag.clone(), pushed));
            }
            // A tag that points nowhere does not exist.
            Ok(_) | Err(Error::ManifestUnknown(..) | Error::Corrupt(..)) => {}
            Err(error) => return Err(error),
        }
        let bytes = match manifests.fetch(&Reference::Digest(digest.clone())).await {
            Ok(stored) => stored.bytes,
            Err(unknown @ Error::ManifestUnknown(..)) => {
                // Only the record proves that the manifest was in this repository, and not just in another one.
                if !self.was_removed_from(tag, &digest).await? {
                    return Err(unknown);
                }
                let data = self.driver().get_content_if_any(&Entry::Blob(digest.clone()).path()).await?;
                data.filter(|data| !data.is_empty()).ok_or(unknown)?
            }
            Err(error) => return Err(error),
        };
        // By digest: `put` compares the bytes with it.
        let reference = Reference::Digest(digest);
        let mut put =
            PutManifest { bytes, media_type: None, reference, tags: vec![tag.clone()], left_out: Vec::new() };
        let put_again = match manifests.put(put.clone()).await {
            Ok(outcome) => return Ok(RestoreOutcome::Restored(outcome.digest)),
            Err(Error::ManifestReferencesUnknown(missing)) => {
                // Collections delete an index before its children, so these were not collected with it.
                if !self.is_stored_index(&put).await? {
                    return Err(Error::ManifestReferencesUnknown(missing));
                }
                put.left_out = missing;
                manifests.put(put)
            }
            Err(error) => return Err(error),
        };
        Ok(RestoreOutcome::Restored(put_again.await?.digest))
    }

    /// Whether the manifest is an index that the repository links.
    async fn is_stored_index(&self, put: &PutManifest) -> Result<bool> {
        let is_index = Manifest::parse(&put.bytes, None).is_ok_and(|manifest| manifest.kind.is_index());
        match self.repository.manifests().resolve(&put.reference).await {
            Ok(_) => Ok(is_index),
            Err(Error::ManifestUnknown(..)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
