//! `Contents`: what a repository has at one moment, to show it, and to delete exactly that.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_engine::oci::{Digest, Reference, Tag};
use sampan_engine::{Error, Repository};

/// How many tags are read from the store at a time.
const CONCURRENT_READS: usize = 8;

/// Every tag and manifest of a repository, in their order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Contents {
    /// Each tag and the digest that it points at; `None` where it points at no manifest, or is unreadable.
    pub(crate) tags: Vec<(Tag, Option<Digest>)>,
    pub(crate) manifests: Vec<Digest>,
}

impl Contents {
    /// Reads the repository. One that does not exist has nothing.
    pub(crate) async fn read(repository: &Repository) -> Result<Self, Error> {
        let mut manifests: Vec<Digest> = repository.manifests().list().try_collect().await?;
        manifests.sort();
        let tags = match repository.tags().stream(None).await {
            Ok(tags) => tags,
            Err(Error::RepositoryUnknown(_)) => stream::empty().boxed(),
            Err(error) => return Err(error),
        };
        let tags = tags.try_filter_map(|tag| async move { Ok(tag.parse::<Tag>().ok()) });
        let tags = tags.map(|tag| async move {
            let tag = tag?;
            let target = target(repository, &tag).await?;
            Ok::<_, Error>((tag, target))
        });
        let mut tags: Vec<_> = tags.buffered(CONCURRENT_READS).try_collect().await?;
        tags.sort();
        Ok(Self { tags, manifests })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.manifests.is_empty()
    }

    /// Identifies the contents: other contents have another fingerprint.
    pub(crate) fn fingerprint(&self) -> String {
        let mut text = String::new();
        // Neither tags nor digests have spaces.
        for (tag, digest) in &self.tags {
            let digest = digest.as_ref().map(Digest::to_string).unwrap_or_default();
            let _ = writeln!(text, "{tag} {digest}");
        }
        for digest in &self.manifests {
            let _ = writeln!(text, " {digest}");
        }
        Digest::sha256_of(text.as_bytes()).to_string()
    }

    /// Deletes the tags that still point where they did, and then the manifests that no tag points at. A manifest that came
    /// with a tag meanwhile may need others, so then all manifests stay. It returns what the repository has after that.
    pub(crate) async fn delete(&self, repository: &Repository) -> Result<Self, Error> {
        for (tag, digest) in &self.tags {
            delete_tag(repository, tag, digest.as_ref()).await?;
        }
        let left = Self::read(repository).await?;
        if !left.tags.is_empty() {
            return Ok(left);
        }
        let mut deleted = BTreeSet::new();
        for digest in &self.manifests {
            if has_tags(repository).await? {
                break;
            }
            match repository.manifests().delete_untagged(digest).await {
                Ok(true) => {
                    deleted.insert(digest.clone());
                }
                Ok(false) | Err(Error::ManifestUnknown(..)) => {}
                Err(error) => return Err(error),
            }
        }
        let left = Self::read(repository).await?;
        // The push of a tag may have found its children before they went.
        for (tag, _) in &left.tags {
            match repository.tags().complete(tag, &deleted).await {
                Ok(()) | Err(Error::ManifestReferencesUnknown(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if left.tags.is_empty() { Ok(left) } else { Self::read(repository).await }
    }
}

async fn has_tags(repository: &Repository) -> Result<bool, Error> {
    match repository.tags().stream(None).await {
        Ok(mut tags) => Ok(tags.try_next().await?.is_some()),
        Err(Error::RepositoryUnknown(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn target(repository: &Repository, tag: &Tag) -> Result<Option<Digest>, Error> {
    match repository.manifests().digest(&Reference::Tag(tag.clone())).await {
        Ok(digest) => Ok(Some(digest)),
        Err(Error::ManifestUnknown(..) | Error::Corrupt(..)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Deletes a tag while it points where it did, and returns whether it did. One that pointed at no manifest goes while that is so,
/// and not with an image that is pushed meanwhile.
pub(crate) async fn delete_tag(
    repository: &Repository,
    tag: &Tag,
    digest: Option<&Digest>,
) -> Result<bool, Error> {
    let manifests = repository.manifests();
    match digest {
        Some(digest) => manifests.delete_tag_of(tag, digest).await,
        None => manifests.delete_broken_tag(tag).await,
    }
}
