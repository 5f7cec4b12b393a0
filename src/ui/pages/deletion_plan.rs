//! `DeletionPlan`: what a deletion removes from a repository, and what it leaves.

use std::collections::{BTreeMap, HashSet};

use futures::{StreamExt, TryStreamExt, stream};
use sampan_engine::oci::{Digest, Reference, Tag};
use sampan_engine::{Error, Repository};

/// How many tags are read from the store at a time.
const AT_A_TIME: usize = 16;

/// What a deletion is to remove.
pub(crate) enum Selection {
    /// These tags.
    Tags(Vec<Tag>),
    /// The whole repository.
    Everything,
}

/// What a deletion removes, as of now.
pub(crate) struct DeletionPlan {
    /// The tags that go, each with its image.
    pub(crate) tags: Vec<(Tag, Digest)>,
    /// Tags of the same images that stay.
    pub(crate) stay: Vec<Tag>,
    /// The images that no tag will reach, with their sizes in bytes.
    pub(crate) images: Vec<(Digest, u64)>,
}

impl DeletionPlan {
    /// Plans a deletion. It reads each tag of the repository.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub(crate) async fn of(repository: &Repository, selection: Selection) -> Result<Self, Error> {
        let all = repository.tags().stream(None).await?;
        let all = all.try_filter_map(|tag| async move { Ok(tag.parse::<Tag>().ok()) });
        let digests = all.map_ok(|tag| digest_of(repository, tag)).try_buffered(AT_A_TIME);
        let all: Vec<(Tag, Digest)> =
            digests.try_filter_map(|found| async { Ok(found) }).try_collect().await?;
        let selected: Option<HashSet<Tag>> = match selection {
            Selection::Tags(tags) => Some(tags.into_iter().collect()),
            Selection::Everything => None,
        };
        let (tags, others): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|(tag, _)| selected.as_ref().is_none_or(|selected| selected.contains(tag)));
        let touched: HashSet<&Digest> = tags.iter().map(|(_, digest)| digest).collect();
        let reached: HashSet<&Digest> = others.iter().map(|(_, digest)| digest).collect();
        let orphans: Vec<Digest> =
            touched.iter().copied().filter(|digest| !reached.contains(digest)).cloned().collect();
        let stay = others
            .iter()
            .filter(|(_, digest)| touched.contains(digest))
            .map(|(tag, _)| tag.clone())
            .collect();
        let sizes = stream::iter(orphans).map(|digest| size_of_image(repository, digest)).buffered(AT_A_TIME);
        let images: BTreeMap<String, (Digest, u64)> =
            sizes.map_ok(|image| (image.0.to_string(), image)).try_collect().await?;
        Ok(Self { stay, images: images.into_values().collect(), tags })
    }
}

/// The image of a tag; `None` for a tag that points at none, or is damaged.
async fn digest_of(repository: &Repository, tag: Tag) -> Result<Option<(Tag, Digest)>, Error> {
    match repository.manifests().digest(&Reference::Tag(tag.clone())).await {
        Ok(digest) => Ok(Some((tag, digest))),
        Err(Error::ManifestUnknown(..) | Error::Corrupt(..)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn size_of_image(repository: &Repository, digest: Digest) -> Result<(Digest, u64), Error> {
    match repository.summary(&digest).await {
        Ok(summary) => Ok((digest, summary.size_bytes)),
        Err(Error::ManifestUnknown(..)) => Ok((digest, 0)),
        Err(error) => Err(error),
    }
}
