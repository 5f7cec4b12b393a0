//! Tags: compared with the upstream when they are no longer fresh, by one request for all who ask.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use sampan_client::ManifestInfo;
use sampan_engine::oci::{MediaType, Reference, Tag};
use sampan_engine::{Stored, StoredInfo};

use crate::error::{CacheError, Result, Verdict};
use crate::memory::{Look, TagInfo};
use crate::repository::{CachedRepository, Served};
use crate::settings::WhenGone;
use crate::statistics::Kind;

/// What an upstream says of a tag.
#[derive(Clone, Debug)]
pub(crate) enum TagAnswer {
    Found(TagInfo),
    Missing,
    Failed(Verdict),
}

/// What a tag is to a client.
enum Resolved {
    /// This manifest, which the store may lack.
    Upstream(TagInfo, Served),
    /// What the store says.
    Stored(Served),
}

impl CachedRepository {
    pub(crate) async fn manifest_by_tag(&self, tag: &Tag) -> Result<(Stored, Served)> {
        match self.resolve(tag).await? {
            Resolved::Stored(how) => {
                let stored = self.repository.manifests().get(&Reference::Tag(tag.clone())).await;
                Ok((stored?, how))
            }
            Resolved::Upstream(info, how) => {
                let (stored, how_content) = self.manifest_by_digest(&info.digest).await?;
                if how_content == Served::Fetched {
                    // It may have come for a request by digest, which knew nothing of the tag.
                    self.move_tag(tag, &info).await?;
                }
                Ok((stored, if how_content == Served::Hit { how } else { how_content }))
            }
        }
    }

    async fn found(&self, tag: &Tag, found: TagInfo, how: Served) -> Result<Resolved> {
        match self.spares_pull(tag, &found).await? {
            true => Ok(Resolved::Stored(Served::Stale)),
            false => Ok(Resolved::Upstream(found, how)),
        }
    }

    /// Whether the stored tag does, although the upstream has moved it: few pulls are left there.
    async fn spares_pull(&self, tag: &Tag, found: &TagInfo) -> Result<bool> {
        let upstream = &self.name.upstream;
        let is_young = upstream.settings.tags.stale.is_none_or(|most| most > upstream.settings.tags.fresh);
        if !upstream.is_low_on_pulls() || !is_young || !self.is_stored(tag).await? {
            return Ok(false);
        }
        let manifests = self.bare().manifests();
        match manifests.digest(&Reference::Digest(found.digest.clone())).await {
            Ok(_) => Ok(false),
            Err(sampan_engine::Error::ManifestUnknown(..)) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn info_by_tag(&self, tag: &Tag) -> Result<(StoredInfo, Served)> {
        let (info, how) = match self.resolve(tag).await? {
            Resolved::Stored(how) => {
                let stored = self.repository.manifests().stat(&Reference::Tag(tag.clone())).await;
                return Ok((stored?, how));
            }
            Resolved::Upstream(info, how) => (info, how),
        };
        // What the upstream said is enough; nothing is stored before a client wants the content.
        match (MediaType::named(&info.media_type), info.size_bytes) {
            (Some(media_type), Some(size_bytes)) => {
                Ok((StoredInfo { digest: info.digest, media_type, size_bytes }, how))
            }
            _ => self.info_by_digest(&info.digest).await,
        }
    }

    async fn resolve(&self, tag: &Tag) -> Result<Resolved> {
        let upstream = &self.name.upstream;
        let rules = &upstream.settings.tags;
        let reference = Reference::Tag(tag.clone());
        let key = (self.name.stored.clone(), tag.clone());
        let look = self.inner.memory.looks.get(&key);
        let age = look.as_ref().map(|look| upstream.clock().elapsed().saturating_sub(look.at));
        if let (Some(look), Some(age)) = (&look, age)
            && age < rules.fresh
        {
            return self.found(tag, look.found.clone(), Served::Hit).await;
        }
        if (rules.immutable)(tag) && self.is_stored(tag).await? {
            return Ok(Resolved::Stored(Served::Hit));
        }
        let unknown = || CacheError::ManifestUnknown(reference.clone(), self.name.stored.clone());
        if let Err(error) = self.check_askable() {
            return self.stored_instead(tag, age, || error).await;
        }
        if self.inner.is_missing(upstream, &self.name.stored, &reference) {
            return self.when_gone(tag, rules.deleted, unknown).await;
        }
        let asked = self.inner.tag_looks.join(&key, || {
            let (this, tag) = (self.clone(), tag.clone());
            async move { this.look(&tag).await }.boxed()
        });
        match asked.await? {
            TagAnswer::Found(info) => self.found(tag, info, Served::Confirmed).await,
            TagAnswer::Missing => self.when_gone(tag, rules.deleted, unknown).await,
            TagAnswer::Failed(Verdict::Refused) if self.is_stored(tag).await? => {
                self.when_gone(tag, rules.refused, unknown).await
            }
            TagAnswer::Failed(verdict) if verdict.is_passing() => {
                self.stored_instead(tag, age, || verdict.into_error(upstream.name(), unknown)).await
            }
            TagAnswer::Failed(verdict) => Err(verdict.into_error(upstream.name(), unknown)),
        }
    }

    /// Asks the upstream, and moves the stored tag if its manifest is here.
    async fn look(&self, tag: &Tag) -> Result<TagAnswer> {
        let upstream = &self.name.upstream;
        let reference = Reference::Tag(tag.clone());
        let asked = upstream.ask(Kind::Manifest, self.remote.manifest_info(&reference)).await;
        let found = match asked {
            Ok(Some(ManifestInfo { digest, media_type, size_bytes })) => {
                TagInfo { digest, media_type, size_bytes }
            }
            Ok(None) => {
                let key = (self.name.stored.clone(), reference);
                self.inner.memory.missing.insert(key, upstream.clock().elapsed());
                self.inner.memory.looks.remove(&(self.name.stored.clone(), tag.clone()));
                return Ok(TagAnswer::Missing);
            }
            Err(verdict) => return Ok(TagAnswer::Failed(verdict)),
        };
        self.move_tag(tag, &found).await?;
        let look = Look { at: upstream.clock().elapsed(), found: found.clone() };
        self.inner.memory.looks.insert((self.name.stored.clone(), tag.clone()), look);
        Ok(TagAnswer::Found(found))
    }

    /// A tag that points at the same manifest as before is not written; one whose manifest is not here waits for it.
    async fn move_tag(&self, tag: &Tag, found: &TagInfo) -> Result<()> {
        let manifests = self.bare().manifests();
        match manifests.digest(&Reference::Tag(tag.clone())).await {
            Ok(digest) if digest == found.digest => return Ok(()),
            Ok(_) | Err(sampan_engine::Error::ManifestUnknown(..)) => {}
            Err(error) => return Err(error.into()),
        }
        match manifests.get(&Reference::Digest(found.digest.clone())).await {
            Ok(stored) => self.tag_stored(&stored, tag).await,
            Err(error) => {
                self.lacks(error)?;
                let key = (self.name.stored.clone(), found.digest.clone());
                let mut tags = self.inner.memory.pending.get(&key).unwrap_or_default();
                if !tags.contains(tag) {
                    Arc::make_mut(&mut tags).push(tag.clone());
                    self.inner.memory.pending.insert(key, tags);
                }
            }
        }
        Ok(())
    }

    /// A tag that the upstream does not give any more.
    async fn when_gone(
        &self,
        tag: &Tag,
        rule: WhenGone,
        unknown: impl FnOnce() -> CacheError,
    ) -> Result<Resolved> {
        match rule == WhenGone::Keep && self.is_stored(tag).await? {
            true => Ok(Resolved::Stored(Served::Stale)),
            false => Err(unknown()),
        }
    }

    /// The stored tag, if it is not older than the rule allows.
    async fn stored_instead(
        &self,
        tag: &Tag,
        age: Option<Duration>,
        error: impl FnOnce() -> CacheError,
    ) -> Result<Resolved> {
        if !self.is_stored(tag).await? {
            return Err(error());
        }
        if let Some(most) = self.name.upstream.settings.tags.stale {
            let age = match age {
                Some(age) => age,
                // This process has not looked yet; the tag was right when it was written.
                None => self.age_of_link(tag).await?,
            };
            if age > most {
                return Err(error());
            }
        }
        Ok(Resolved::Stored(Served::Stale))
    }

    async fn age_of_link(&self, tag: &Tag) -> Result<Duration> {
        let pushed = self.repository.tags().pushed_at(tag).await?;
        let age = pushed.and_then(|pushed| SystemTime::now().duration_since(pushed).ok());
        Ok(age.unwrap_or_default())
    }

    async fn is_stored(&self, tag: &Tag) -> Result<bool> {
        match self.repository.manifests().digest(&Reference::Tag(tag.clone())).await {
            Ok(_) => Ok(true),
            Err(sampan_engine::Error::ManifestUnknown(..)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
