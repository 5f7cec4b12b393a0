//! `RegistryTarget`: a registry that is written through its API.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use sampan_bundle::{ContentHash, ContentStream};
use sampan_client::{BytesSource, ClientError, RegistryClient, RepositoryClient};
use sampan_engine::oci::{Digest, ManifestKind, MediaType, Reference, RepositoryName, Tag};

use crate::fallback::lists_referrers;
use crate::source::shown;
use crate::target::NewManifest;
use crate::upload_memory::UploadMemory;
use crate::{Error, Result, Target};

/// A registry, written through its API: an import is a push.
#[derive(Clone, Debug)]
pub struct RegistryTarget {
    registry: RegistryClient,
    memory: UploadMemory,
}

/// The longest blob that is kept in memory and sent in one request; a longer one is sent in chunks as it comes.
const WHOLE_BYTES: u64 = 4 << 20;

/// The most repositories to ask for a mount.
const MAX_MOUNTS: usize = 4;

impl RegistryTarget {
    /// A registry.
    pub fn new(registry: RegistryClient) -> Self {
        Self { registry, memory: UploadMemory::default() }
    }

    fn at(&self, repository: &RepositoryName) -> RepositoryClient {
        self.registry.repository(repository.clone())
    }

    async fn send_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size_bytes: u64,
        mut content: ContentStream,
    ) -> Result<()> {
        let _memory = self.memory.of_blob(size_bytes).await;
        let repository = self.at(repository);
        if size_bytes <= WHOLE_BYTES {
            let mut whole = BytesMut::with_capacity(size_bytes as usize);
            while let Some(bytes) = content.try_next().await.map_err(Error::content)? {
                whole.extend_from_slice(&bytes);
            }
            let source = BytesSource(whole.freeze());
            repository.push_blob(digest, size_bytes, &source, None).await?;
            return Ok(());
        }
        // The stream cannot be read again, so each chunk waits until it is acknowledged.
        let Some(mut upload) = repository.upload_in_chunks(None).await? else { return Ok(()) };
        while let Some(bytes) = content.try_next().await.transpose() {
            let written = match bytes {
                Ok(bytes) => upload.write(bytes).await.map_err(Error::from),
                Err(error) => Err(Error::content(error)),
            };
            if let Err(error) = written {
                upload.cancel().await;
                return Err(error);
            }
        }
        Ok(upload.finish(digest).await?)
    }
}

#[async_trait]
impl Target for RegistryTarget {
    async fn tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>> {
        Ok(self.at(repository).tags().await?.unwrap_or_default())
    }

    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Digest>> {
        let found = self.at(repository).manifest_info(&Reference::Tag(tag.clone())).await?;
        Ok(found.map(|found| found.digest))
    }

    async fn has_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        let found = self.at(repository).manifest_info(&Reference::Digest(digest.clone())).await?;
        Ok(found.is_some())
    }

    /// A cache of the registry takes no push.
    async fn keeps_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        self.has_manifest(repository, digest).await
    }

    async fn has_referrer(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        referrer: &Digest,
    ) -> Result<bool> {
        let referrers = self.at(repository).referrers(subject, None).await?;
        Ok(referrers.iter().any(|listed| listed.digest == *referrer))
    }

    async fn has_blob(&self, repository: &RepositoryName, digest: &Digest, size_bytes: u64) -> Result<bool> {
        let found = self.at(repository).blob_info(digest).await?;
        Ok(found.is_some_and(|found| found.size_bytes.is_none_or(|size| size == size_bytes)))
    }

    async fn has_data(&self, _digest: &Digest, _size_bytes: u64) -> Result<bool> {
        // The API knows repositories only.
        Ok(false)
    }

    async fn place(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size_bytes: u64,
        repositories: &[RepositoryName],
    ) -> Result<bool> {
        if self.has_blob(repository, digest, size_bytes).await? {
            return Ok(true);
        }
        for from in repositories.iter().filter(|from| *from != repository).take(MAX_MOUNTS) {
            if self.at(repository).mount_blob(digest, from).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn put_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size_bytes: u64,
        content: ContentStream,
    ) -> Result<()> {
        if digest.is_canonical() {
            return self.send_blob(repository, digest, size_bytes, content).await;
        }
        // A registry that does not know the algorithm says the same of right content as of wrong one.
        let hash = Arc::new(Mutex::new(ContentHash::new(digest.algorithm())));
        let hashed = hash.clone();
        let add = move |bytes: &Bytes| hashed.lock().unwrap_or_else(PoisonError::into_inner).update(bytes);
        let content = content.inspect_ok(add).boxed();
        let sent = self.send_blob(repository, digest, size_bytes, content).await;
        let Err(Error::Registry(error)) = sent else { return sent };
        let actual = Arc::into_inner(hash).and_then(|hash| hash.into_inner().ok()).map(ContentHash::finish);
        match error.status() {
            Some(400) if actual.as_ref() == Some(digest) => {
                Err(takes_no(format!("{repository}@{digest}"), "blob", digest, &error))
            }
            _ => Err(error.into()),
        }
    }

    /// A registry takes back by itself what breaks off.
    async fn flush(&self) {}

    /// Where there is no referrers API, the list under the tag is all that attaches manifests, also those of other clients.
    fn merges(&self, tag: &Tag) -> bool {
        lists_referrers(tag)
    }

    async fn put_manifest(&self, repository: &RepositoryName, manifest: NewManifest<'_>) -> Result<bool> {
        let NewManifest { digest, bytes, tags, left_out } = manifest;
        let media_type = MediaType::of_manifest(&bytes);
        let is_index = ManifestKind::from_media_type(media_type.as_str()).is_some_and(ManifestKind::is_index);
        let (merged, tags): (Vec<Tag>, Vec<Tag>) =
            tags.into_iter().partition(|tag| is_index && self.merges(tag));
        let client = self.at(repository);
        let explain =
            |error, reference: &Reference| explain(error, repository, reference, !left_out.is_empty());
        let by_digest = Reference::Digest(digest.clone());
        let (mut references, mut is_changed): (Vec<Reference>, bool) = (Vec::new(), false);
        if tags.is_empty() {
            let is_needed = merged.is_empty() || !self.has_manifest(repository, digest).await?;
            references.extend(is_needed.then_some(by_digest));
        } else if digest.is_canonical() {
            references.extend(tags.into_iter().map(Reference::Tag));
        } else {
            // A push by a tag alone stores the manifest under the registry's own algorithm, and the tag answers with that.
            let put = client.put_tagged_manifest(digest, &tags, media_type.as_str(), Bytes::clone(&bytes));
            let set = put.await.map_err(|error| explain(error, &by_digest))?;
            is_changed = true;
            references.extend(tags.into_iter().filter(|tag| !set.contains(tag)).map(Reference::Tag));
        }
        for reference in references {
            let put = client.put_manifest(&reference, media_type.as_str(), Bytes::clone(&bytes)).await;
            put.map_err(|error| explain(error, &reference))?;
            is_changed = true;
        }
        for tag in merged {
            let written = client.merge_into_fallback_tag(&tag, &bytes).await;
            is_changed |= written.map_err(|error| explain(error, &Reference::Tag(tag)))?;
        }
        Ok(is_changed)
    }

    fn check_deletable(&self) -> Result<()> {
        // The API does not say it.
        Ok(())
    }

    async fn delete_tag(&self, repository: &RepositoryName, tag: &Tag, digest: &Digest) -> Result<bool> {
        // The API has no deletion on a condition. Never by the digest: its other tags would go too.
        if self.tag(repository, tag).await?.as_ref() != Some(digest) {
            return Ok(false);
        }
        let deleted = self.at(repository).delete_manifest(&Reference::Tag(tag.clone())).await;
        deleted.map_err(|error| match error.status() {
            // Distribution 2 takes the tag for a digest.
            Some(400) => Error::NoDeletion(format!(
                "it refuses to delete {repository}:{tag} ({}): Distribution removes no tag alone before version 3, only a \
                 manifest with all its tags",
                error.problem()
            )),
            Some(405 | 501) => {
                Error::NoDeletion(format!("it refuses to delete {repository}:{tag} ({})", error.problem()))
            }
            _ => error.into(),
        })
    }
}

/// Registries other than Sampan may refuse an index whose images are not all there, and a manifest by another digest than sha256.
fn explain(
    error: ClientError,
    repository: &RepositoryName,
    reference: &Reference,
    is_partial: bool,
) -> Error {
    if is_partial && matches!(error.status(), Some(400 | 404)) {
        return Error::Image {
            image: shown(repository, reference),
            problem: format!(
                "the registry refuses an index of which some platforms are left out ({}): export all platforms, pass \
                 `--rewrite-index` to the export, or configure the registry to accept such an index \
                 (`validation.manifests.indexes.platforms` in Distribution and Sampan)",
                error.problem()
            ),
        };
    }
    if let Reference::Digest(digest) = reference
        && !digest.is_canonical()
        && error.status() == Some(400)
        && matches!(error.code(), "" | "DIGEST_INVALID" | "UNSUPPORTED")
    {
        return takes_no(shown(repository, reference), "manifest", digest, &error);
    }
    error.into()
}

/// The error of content that a registry refuses because of the algorithm of its digest.
fn takes_no(image: String, what: &str, digest: &Digest, error: &ClientError) -> Error {
    let (algorithm, reason) = (digest.algorithm(), error.problem());
    Error::Image {
        image,
        problem: format!(
            "the registry takes no {what} by a {algorithm} digest ({reason}): it may know sha256 only, as Distribution does for \
             manifests"
        ),
    }
}
