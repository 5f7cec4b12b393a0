//! `UpstreamSource`: a repository of an upstream; the parts that the store has already are read from there.

use std::time::SystemTime;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use sampan_bundle::{BoxError, ContentStream, is_fallback_tag};
use sampan_cache::{CacheError, UpstreamRepository};
use sampan_engine::Registry;
use sampan_engine::oci::{Descriptor, Digest, Reference, RepositoryName, Tag};
use sampan_transfer::{Error, FoundManifest, Result, Source, StoreSource};

use crate::error::ReserveReached;
use crate::image_manifests::{ImageManifests, Origin};

/// A repository of an upstream, under its name here, with the tag that is copied and those that may attach something to it. What
/// the store has of it is read from there; the rest is remembered while an image is copied, so that each manifest is asked for
/// once.
#[derive(Debug)]
pub(crate) struct UpstreamSource {
    upstream: UpstreamRepository,
    stored: StoreSource,
    target: RepositoryName,
    fallback_tags: Vec<Tag>,
    reserve: u64,
    /// A plain mutex: held to read or add.
    image: Mutex<Image>,
}

/// The image that is copied.
#[derive(Debug, Default)]
struct Image {
    tag: Option<Tag>,
    root: Option<Digest>,
    known: ImageManifests,
}

impl UpstreamSource {
    /// The repository with the tags `tags`, which is `target` here.
    pub(crate) fn new(
        upstream: UpstreamRepository,
        registry: Registry,
        target: RepositoryName,
        tags: &[Tag],
        reserve: u64,
    ) -> Self {
        let fallback_tags = tags.iter().filter(|tag| is_fallback_tag(tag)).cloned().collect();
        let stored = StoreSource::new(registry);
        Self { upstream, stored, target, fallback_tags, reserve, image: Mutex::default() }
    }

    /// Begins an image, and forgets the last one.
    pub(crate) fn begin_image(&self, tag: &Tag) {
        *self.image.lock() = Image { tag: Some(tag.clone()), ..Image::default() };
    }

    /// The digest of a tag at the upstream.
    pub(crate) async fn digest(&self, tag: &Tag) -> Result<Option<Digest>, CacheError> {
        let found = self.upstream.manifest_info(&Reference::Tag(tag.clone())).await?;
        Ok(found.map(|found| found.digest))
    }

    async fn manifest_by_digest(&self, digest: &Digest) -> Result<Option<FoundManifest>> {
        if let Some(found) = self.image.lock().known.manifest(digest) {
            return Ok(Some(found.clone()));
        }
        let reference = Reference::Digest(digest.clone());
        match self.stored.manifest(&self.target, &reference).await {
            Ok(Some(found)) => {
                self.image.lock().known.learn(&found, Origin::Store);
                return Ok(Some(found));
            }
            Ok(None) => {}
            // The upstream's takes its place.
            Err(Error::Image { problem, .. }) => {
                tracing::warn!(repository = %self.target, %digest, "{problem}; it is fetched again");
            }
            Err(error) => return Err(error),
        }
        self.check_reserve()?;
        let Some(found) = self.upstream.manifest(&reference).await.map_err(other)? else { return Ok(None) };
        let found = FoundManifest { digest: found.digest, media_type: found.media_type, bytes: found.bytes };
        self.image.lock().known.learn(&found, Origin::Upstream);
        Ok(Some(found))
    }

    fn check_reserve(&self) -> Result<()> {
        let upstream = self.upstream.upstream();
        match upstream.rate_limit() {
            Some(limit) if self.reserve > 0 && limit.remaining <= self.reserve => {
                Err(other(ReserveReached {
                    upstream: upstream.name().to_owned(),
                    remaining: limit.remaining,
                    reserve: self.reserve,
                }))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Source for UpstreamSource {
    async fn repositories(&self) -> Result<Vec<RepositoryName>> {
        Ok(vec![self.target.clone()])
    }

    fn is_partial(&self, name: &RepositoryName) -> bool {
        self.stored.is_partial(name)
    }

    async fn tags(&self, _: &RepositoryName) -> Result<Option<Vec<Tag>>> {
        Ok(Some(self.image.lock().tag.iter().chain(&self.fallback_tags).cloned().collect()))
    }

    async fn tag_time(&self, _: &RepositoryName, _: &Tag) -> Result<Option<SystemTime>> {
        Err(Error::NoTagTimes)
    }

    async fn manifest(&self, name: &RepositoryName, reference: &Reference) -> Result<Option<FoundManifest>> {
        let tag = match reference {
            Reference::Digest(digest) => return self.manifest_by_digest(digest).await,
            Reference::Tag(tag) => tag,
        };
        let found = match self.digest(tag).await.map_err(other)? {
            None => None,
            Some(digest) => {
                self.image.lock().root.get_or_insert_with(|| digest.clone());
                self.manifest_by_digest(&digest).await?
            }
        };
        // An attached artifact may be gone; the image may not.
        if found.is_none() && self.image.lock().tag.as_ref() == Some(tag) {
            let problem = "the upstream lists it, and does not have it".to_owned();
            return Err(Error::Image { image: format!("{name}:{tag}"), problem });
        }
        Ok(found)
    }

    /// The upstream is asked for what is attached to the image and to manifests that are new; to others it attaches seldom.
    async fn referrers(&self, name: &RepositoryName, subject: &Digest) -> Result<Vec<Descriptor>> {
        let is_asked = {
            let image = self.image.lock();
            image.root.as_ref() == Some(subject) || image.known.is_new(subject)
        };
        match is_asked {
            true => self.upstream.referrers(subject).await.map_err(other),
            false => self.stored.referrers(name, subject).await,
        }
    }

    async fn blob_size(&self, name: &RepositoryName, digest: &Digest) -> Result<Option<u64>> {
        // The store may have it cut off.
        if let Some(size_bytes) = self.image.lock().known.blob_size(digest) {
            return Ok(Some(size_bytes));
        }
        if let Some(size_bytes) = self.stored.blob_size(name, digest).await? {
            return Ok(Some(size_bytes));
        }
        let found = self.upstream.blob_info(digest).await.map_err(other)?;
        Ok(found.and_then(|found| found.size_bytes))
    }

    async fn blob(&self, name: &RepositoryName, digest: &Digest) -> Result<ContentStream> {
        let found = self.upstream.blob(digest).await.map_err(other)?;
        let missing = || Error::Image {
            image: format!("{name}@{digest}"),
            problem: format!("the upstream does not have the blob {digest}"),
        };
        Ok(found.ok_or_else(missing)?.map_err(BoxError::from).boxed())
    }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Other(Box::new(error))
}
