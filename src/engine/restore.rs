//! `TagStore::restore`: points a tag again at a manifest that it was removed from.
//!
//! The restoration is a push of the stored bytes under the tag, so it keeps every promise of a push: beside a collection, a
//! deletion, or another push.

use std::collections::BTreeSet;

use bytes::Bytes;
use sampan_driver::StorageDriverExt;

use crate::layout::Entry;
use crate::oci::{Digest, Manifest, Reference, Tag};
use crate::{Error, PutManifest, Result, TagStore};

/// The treatment of a tag that exists and points elsewhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnExistingTag {
    /// It stays, and the restoration fails.
    Keep,
    /// It moves.
    Move,
}

/// A larger child of an index is not brought back. Distribution accepts 4 MiB.
const MAX_CHILD_BYTES: u64 = 4 << 20;

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
    /// its content; the children of a deleted index that the repository had at that removal come back with it, so that no index
    /// gives access to a manifest of another repository. If the tag was pushed by a digest of another algorithm,
    /// it has that again. Two restorations at once, or a push beside one, leave the tag where the last of them points it.
    ///
    /// # Errors
    ///
    /// `ReadOnly`; `TagExists` if the tag points elsewhere and must be kept; `TagNotRemoved` if no digest is given and no
    /// removal recorded; `ManifestUnknown` if the manifest is gone; else as [`put`](crate::ManifestStore::put).
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.tags.restore", skip_all)]
    pub async fn restore(
        &self,
        tag: &Tag,
        digest: Option<&Digest>,
        on_existing: OnExistingTag,
    ) -> Result<RestoreOutcome> {
        let (name, manifests) = (&self.repository.name, self.repository.manifests());
        let _write = self.repository.registry.begin_write()?;
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
        let removal = self.last_removal_from(tag, &digest).await?;
        // The data of a deleted manifest are found by the canonical digest.
        let digest = removal.as_ref().map_or(digest, |removal| removal.digest.clone());
        let bytes = match manifests.fetch(&Reference::Digest(digest.clone())).await {
            Ok(stored) => stored.bytes,
            Err(unknown @ Error::ManifestUnknown(..)) => {
                // Only the record proves that the manifest was in this repository, and not just in another one.
                if removal.is_none() {
                    return Err(unknown);
                }
                let data = self.driver().get_content_if_any(&Entry::Blob(digest.clone()).path()).await?;
                data.filter(|data| !data.is_empty()).ok_or(unknown)?
            }
            Err(error) => return Err(error),
        };
        let (pushed_as, descendants) =
            removal.map(|removal| (removal.pushed_as, removal.descendants)).unwrap_or_default();
        // By digest: `put` compares the bytes with it.
        let pushed_as = pushed_as.filter(|pushed| Digest::of(pushed.algorithm(), &bytes) == *pushed);
        let reference = Reference::Digest(pushed_as.unwrap_or(digest));
        let mut put =
            PutManifest { bytes, media_type: None, reference, tags: vec![tag.clone()], left_out: Vec::new() };
        let put_again = match manifests.put(put.clone()).await {
            Ok(outcome) => return Ok(RestoreOutcome::Restored(outcome.digest)),
            Err(Error::ManifestReferencesUnknown(missing)) => {
                // Collections delete an index before its children, so these were not collected with it.
                match self.is_stored_index(&put).await? {
                    true => put.left_out = missing,
                    false => self.bring_back_children(&put.bytes, missing, &descendants).await?,
                }
                manifests.put(put)
            }
            Err(error) => return Err(error),
        };
        Ok(RestoreOutcome::Restored(put_again.await?.digest))
    }

    /// Links the children again that the index of this tag names, as far as they are among `deleted` and their data are there: a
    /// deletion of a whole repository, which deleted those, may have met the push of the index.
    ///
    /// # Errors
    ///
    /// `ManifestReferencesUnknown` with those that are gone, as in a sparse index; `ReadOnly`; any error of the store.
    pub async fn complete(&self, tag: &Tag, deleted: &BTreeSet<Digest>) -> Result<()> {
        let bytes = match self.repository.manifests().fetch(&Reference::Tag(tag.clone())).await {
            Ok(stored) => stored.bytes,
            Err(Error::ManifestUnknown(..) | Error::Corrupt(..)) => return Ok(()),
            Err(error) => return Err(error),
        };
        match self.unlinked_children(&bytes).await? {
            unlinked if unlinked.is_empty() => Ok(()),
            unlinked => self.bring_back_children(&bytes, unlinked, deleted).await,
        }
    }

    /// Links the children of a deleted index again that the repository `had`, and theirs, if the data of all are there. Layers
    /// are not brought back, so a child comes back only if the repository has its layers.
    async fn bring_back_children(
        &self,
        index: &[u8],
        missing: Vec<Digest>,
        had: &BTreeSet<Digest>,
    ) -> Result<()> {
        if !Manifest::parse(index, None).is_ok_and(|manifest| manifest.kind.is_index()) {
            return Err(Error::ManifestReferencesUnknown(missing));
        }
        let mut gone = Vec::new();
        let (mut todo, mut deleted) = (missing.clone(), BTreeSet::new());
        while let Some(digest) = todo.pop() {
            let bytes = match had.contains(&digest) {
                true => self.child(&digest).await?,
                false => None,
            };
            let Some(bytes) = bytes else {
                // A deeper one may be a blob: the push of its index tells.
                gone.extend(missing.contains(&digest).then_some(digest));
                continue;
            };
            if deleted.insert(digest) {
                todo.extend(self.unlinked_children(&bytes).await?);
            }
        }
        // Each round brings back those whose own children are there.
        while gone.is_empty() && !deleted.is_empty() {
            let mut left = BTreeSet::new();
            for digest in &deleted {
                if !self.bring_back(digest).await? {
                    left.insert(digest.clone());
                }
            }
            if left.len() == deleted.len() {
                gone.extend(left.iter().cloned());
            }
            deleted = left;
        }
        if gone.is_empty() { Ok(()) } else { Err(Error::ManifestReferencesUnknown(gone)) }
    }

    /// The data of a deleted manifest, if they are there.
    async fn child(&self, digest: &Digest) -> Result<Option<Bytes>> {
        let path = Entry::Blob(digest.clone()).path();
        let file = self.driver().stat_if_any(&path).await?;
        match file.is_some_and(|file| (1..=MAX_CHILD_BYTES).contains(&file.size_bytes)) {
            true => Ok(self.driver().get_content_if_any(&path).await?),
            false => Ok(None),
        }
    }

    /// The children of an index to which the repository has no link.
    async fn unlinked_children(&self, bytes: &[u8]) -> Result<Vec<Digest>> {
        let Ok(manifest) = Manifest::parse(bytes, None) else { return Ok(Vec::new()) };
        let mut unlinked = Vec::new();
        for child in &manifest.manifests {
            match self.repository.manifests().resolve(&Reference::Digest(child.digest.clone())).await {
                Ok(_) => {}
                Err(Error::ManifestUnknown(..)) => unlinked.push(child.digest.clone()),
                Err(error) => return Err(error),
            }
        }
        Ok(unlinked)
    }

    /// Pushes a deleted manifest again; false if it is damaged, or incomplete itself.
    async fn bring_back(&self, digest: &Digest) -> Result<bool> {
        let Some(bytes) = self.child(digest).await? else { return Ok(false) };
        let reference = Reference::Digest(digest.clone());
        let put = PutManifest { bytes, media_type: None, reference, tags: Vec::new(), left_out: Vec::new() };
        match self.repository.manifests().put(put).await {
            Ok(_) => Ok(true),
            Err(
                Error::ManifestReferencesUnknown(_)
                | Error::DigestMismatch { .. }
                | Error::ManifestInvalid(_),
            ) => Ok(false),
            Err(error) => Err(error),
        }
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
