//! Tags: compared with the upstream when they are no longer fresh, by one request for all clients.

use std::sync::Arc;

use futures::FutureExt;
use sampan_client::ManifestInfo;
use sampan_engine::oci::{Digest, MediaType, Reference, RepositoryName, Tag};
use sampan_engine::{Stored, StoredInfo};

use crate::error::{CacheError, Result, Verdict};
use crate::handling::Handling;
use crate::memory::{CachedTag, MAX_WAITING_TAGS, TagInfo};
use crate::repository::{CachedRepository, Served};
use crate::settings::WhenGone;
use crate::statistics::CacheRequestKind;
use crate::ticket::Ticket;

/// The answer of an upstream for a tag.
#[derive(Clone, Debug)]
pub(crate) enum TagAnswer {
    Found(TagInfo, Served),
    Missing(Handling),
    Failed(Verdict),
}

/// The meaning of a tag for a client.
enum Resolved {
    /// This manifest, which the store may lack.
    Upstream(TagInfo, Served),
    /// What the store says.
    Stored(Served),
}

impl CachedRepository {
    pub(crate) async fn manifest_by_tag(&self, tag: &Tag) -> Result<(Stored, Served)> {
        if let Some(stored) = self.confirmed(tag).await? {
            return Ok((stored, Served::Hit));
        }
        match self.resolve(tag).await? {
            Resolved::Stored(how) => {
                let stored = self.repository.manifests().get(&Reference::Tag(tag.clone())).await;
                Ok((stored?, how))
            }
            Resolved::Upstream(info, how) => {
                let (stored, how_content) = match self.manifest_by_digest(&info.digest).await {
                    Ok(fetched) => fetched,
                    Err(error) => return self.stored_in_place_of(tag, error).await,
                };
                // It may have come for a request by digest, which knew nothing of the tag; and the tag may have moved since.
                if how_content == Served::Fetched && self.is_last_seen(tag, &info.digest) {
                    self.move_tag(tag, &info).await?;
                }
                Ok((stored, if how_content == Served::Hit { how } else { how_content }))
            }
        }
    }

    /// The stored manifest of a fresh tag that agrees with the upstream. Most requests end here, with one look-up of the tag.
    async fn confirmed(&self, tag: &Tag) -> Result<Option<Stored>> {
        let look = self.fresh_look(&(self.name.stored.clone(), tag.clone()));
        let Some(look) = look.filter(|look| look.is_confirmed) else { return Ok(None) };
        match self.repository.manifests().get_tagged(tag, &look.found.digest).await {
            Ok(stored) => Ok(stored),
            Err(error) => self.lacks(error).map(|()| None),
        }
    }

    /// The upstream's last answer for a tag, while it is fresh.
    fn fresh_look(&self, key: &(RepositoryName, Tag)) -> Option<CachedTag> {
        let look = self.inner.memory.looks.get(key)?;
        let upstream = &self.name.upstream;
        (upstream.clock().elapsed().saturating_sub(look.at) < upstream.settings.tags.fresh).then_some(look)
    }

    /// The answer of the upstream, or the stored tag where that spares one of few pulls.
    async fn found(&self, tag: &Tag, found: TagInfo, how: Served) -> Result<Resolved> {
        match self.spares_pull(&found).await? && self.may_stand_in(tag).await? {
            true => Ok(Resolved::Stored(Served::Stale)),
            false => Ok(Resolved::Upstream(found, how)),
        }
    }

    /// Whether the manifest would cost a pull, and few are left.
    async fn spares_pull(&self, found: &TagInfo) -> Result<bool> {
        if !self.name.upstream.is_low_on_pulls() {
            return Ok(false);
        }
        match self.bare().manifests().digest(&Reference::Digest(found.digest.clone())).await {
            Ok(_) => Ok(false),
            Err(sampan_engine::Error::ManifestUnknown(..)) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// The stored manifest of a tag for which the upstream has announced another one that it does not give, as Docker Hub does
    /// over its limit: it does not count announcements.
    async fn stored_in_place_of(&self, tag: &Tag, error: CacheError) -> Result<(Stored, Served)> {
        let rules = &self.name.upstream.settings.tags;
        match &error {
            CacheError::Engine(_) | CacheError::NotStored(_) | CacheError::Stopped => return Err(error),
            CacheError::Refused { .. } => self.check_kept(tag, rules.refused, || error).await?,
            _ => self.check_stands_in(tag, || error).await?,
        }
        let stored = self.repository.manifests().get(&Reference::Tag(tag.clone())).await?;
        Ok((stored, Served::Stale))
    }

    pub(crate) async fn info_by_tag(&self, tag: &Tag) -> Result<(StoredInfo, Served)> {
        let (info, how) = match self.resolve(tag).await? {
            Resolved::Stored(how) => {
                let stored = self.repository.manifests().stat(&Reference::Tag(tag.clone())).await;
                return Ok((stored?, how));
            }
            Resolved::Upstream(info, how) => (info, how),
        };
        if let Some(stored) = self.stored_info(tag, &info.digest).await? {
            return Ok((stored, how));
        }
        // What the upstream said is enough; nothing is stored before a client wants the content. No manifest has such a length as
        // some registries say of a `HEAD`.
        let most = self.name.upstream.settings.client.limits.manifest_bytes;
        let size_bytes = info.size_bytes.filter(|size_bytes| (1..=most).contains(size_bytes));
        match (MediaType::named(&info.media_type), size_bytes) {
            (Some(media_type), Some(size_bytes)) => {
                Ok((StoredInfo { digest: info.digest, media_type, size_bytes }, how))
            }
            _ => self.info_by_digest(&info.digest).await,
        }
    }

    /// The manifest of a tag as the store describes it; `None` if the store lacks it.
    async fn stored_info(&self, tag: &Tag, digest: &Digest) -> Result<Option<StoredInfo>> {
        let by_tag = Reference::Tag(tag.clone());
        let reference = match self.bare().manifests().digest(&by_tag).await {
            Ok(tagged) if tagged == *digest => by_tag,
            Ok(_) => Reference::Digest(digest.clone()),
            Err(error) => self.lacks(error).map(|()| Reference::Digest(digest.clone()))?,
        };
        match self.repository.manifests().stat(&reference).await {
            Ok(info) => Ok((info.digest == *digest).then_some(info)),
            Err(error) => self.lacks(error).map(|()| None),
        }
    }

    /// Resolves a tag. If the upstream has moved it to a manifest that it does not give, the tag stays where it was: the client
    /// asks for the digest next.
    async fn resolve(&self, tag: &Tag) -> Result<Resolved> {
        let resolved = self.resolve_there(tag).await?;
        if let Resolved::Upstream(info, _) = &resolved
            && self.is_withheld(&info.digest).await
            && self.may_stand_in(tag).await?
        {
            return Ok(Resolved::Stored(Served::Stale));
        }
        Ok(resolved)
    }

    /// Whether the store lacks a manifest, and the upstream did not give it a short while ago.
    async fn is_withheld(&self, digest: &Digest) -> bool {
        let (upstream, key) = (&self.name.upstream, (self.name.stored.clone(), digest.clone()));
        let Some(at) = self.inner.memory.withheld.get(&key) else { return false };
        upstream.clock().elapsed().saturating_sub(at) < upstream.settings.tags.missing
            && self.bare().manifests().digest(&Reference::Digest(digest.clone())).await.is_err()
    }

    async fn resolve_there(&self, tag: &Tag) -> Result<Resolved> {
        let upstream = &self.name.upstream;
        let rules = &upstream.settings.tags;
        let reference = Reference::Tag(tag.clone());
        let key = (self.name.stored.clone(), tag.clone());
        if let Some(look) = self.fresh_look(&key)
            && !self.has_lost(tag, &look).await?
        {
            return self.found(tag, look.found, Served::Hit).await;
        }
        if (rules.immutable)(tag) && self.is_stored(tag).await? {
            return Ok(Resolved::Stored(Served::Hit));
        }
        let unknown = |handling| self.unknown_manifest(&reference, handling);
        if let Err(error) = self.check_askable() {
            self.check_stands_in(tag, || error).await?;
            return Ok(Resolved::Stored(Served::Stale));
        }
        if self.inner.is_missing(upstream, &self.name.stored, &reference) {
            self.check_kept(tag, rules.deleted, || unknown(Handling::REMEMBERED_MISSING)).await?;
            return Ok(Resolved::Stored(Served::Stale));
        }
        if self.inner.is_refused(upstream, &self.name.stored, &reference) {
            if !self.is_stored(tag).await? {
                return Err(self.refused_a_while_ago());
            }
            self.check_kept(tag, rules.refused, || unknown(Handling::REMEMBERED_REFUSED)).await?;
            return Ok(Resolved::Stored(Served::Stale));
        }
        let asked = self.inner.tag_looks.join(&key, self.client, |ticket| {
            let (this, tag) = (self.clone(), tag.clone());
            async move { this.refresh_tag(&tag, &ticket).await }.boxed()
        });
        match asked.await? {
            TagAnswer::Found(info, how) => return self.found(tag, info, how).await,
            TagAnswer::Missing(handling) => self.check_kept(tag, rules.deleted, || unknown(handling)).await?,
            TagAnswer::Failed(Verdict::Refused(handling)) if self.is_stored(tag).await? => {
                self.check_kept(tag, rules.refused, || unknown(handling)).await?;
            }
            TagAnswer::Failed(verdict) if verdict.is_passing() => {
                self.check_stands_in(tag, || verdict.into_error(upstream.name(), unknown)).await?;
            }
            TagAnswer::Failed(verdict) => return Err(verdict.into_error(upstream.name(), unknown)),
        }
        Ok(Resolved::Stored(Served::Stale))
    }

    /// Whether the store had what the upstream says of a tag, and has it no more: a client has deleted it, it was evicted, or
    /// another replica has a newer answer.
    async fn has_lost(&self, tag: &Tag, look: &CachedTag) -> Result<bool> {
        if !look.is_confirmed {
            return Ok(false);
        }
        match self.bare().manifests().digest(&Reference::Tag(tag.clone())).await {
            Ok(digest) => Ok(digest != look.found.digest),
            Err(error) => self.lacks(error).map(|()| true),
        }
    }

    /// Asks the upstream, and moves the stored tag if its manifest is here.
    async fn refresh_tag(&self, tag: &Tag, ticket: &Ticket) -> Result<TagAnswer> {
        let upstream = &self.name.upstream;
        let rules = &upstream.settings.tags;
        let reference = Reference::Tag(tag.clone());
        let key = (self.name.stored.clone(), tag.clone());
        let asked =
            upstream.ask(CacheRequestKind::Manifest, ticket, self.remote.manifest_info(&reference)).await;
        let found = match asked {
            Ok(ManifestInfo { digest, media_type, size_bytes }) => TagInfo { digest, media_type, size_bytes },
            Err(Verdict::Missing(handling)) => {
                self.inner.memory.missing.insert((key.0.clone(), reference), upstream.clock().elapsed());
                self.inner.memory.looks.remove(&key);
                self.forget_if(rules.deleted, tag).await;
                return Ok(TagAnswer::Missing(handling));
            }
            Err(verdict) => {
                if matches!(verdict, Verdict::Refused(_)) {
                    self.inner.memory.looks.remove(&key);
                    let now = upstream.clock().elapsed();
                    self.inner.memory.refused_at.insert((key.0.clone(), reference), now);
                    self.inner.memory.refused.insert(key, ());
                }
                return Ok(TagAnswer::Failed(verdict));
            }
        };
        self.inner.memory.refused.remove(&key);
        // Before the tag moves: a tag that waits for its manifest is of the previous answer.
        let confirmed_at = self.inner.memory.looks.get(&key).and_then(|look| look.confirmed_at);
        let at = upstream.clock().elapsed();
        let look = CachedTag { at, found: found.clone(), confirmed_at, is_confirmed: false };
        self.inner.memory.looks.insert(key, look);
        let how = match self.move_tag(tag, &found).await? {
            true => Served::Confirmed,
            false => Served::Fetched,
        };
        Ok(TagAnswer::Found(found, how))
    }

    /// Points the stored tag at the manifest that the upstream says, and returns whether it did so before, which costs no
    /// write. If the upstream has said something newer meanwhile, the tag may have been written over, so that follows.
    async fn move_tag(&self, tag: &Tag, found: &TagInfo) -> Result<bool> {
        let was_there = self.point_at(tag, found).await?;
        self.follow(tag, &found.digest).await?;
        Ok(was_there)
    }

    /// Points the stored tag, which was just pointed at a manifest, at what the upstream has said since.
    pub(crate) async fn follow(&self, tag: &Tag, digest: &Digest) -> Result<()> {
        let key = (self.name.stored.clone(), tag.clone());
        let mut last = digest.clone();
        while let Some(newer) = self.inner.memory.looks.get(&key).filter(|look| look.found.digest != last) {
            self.point_at(tag, &newer.found).await?;
            last = newer.found.digest;
        }
        Ok(())
    }

    /// Points the stored tag at a manifest, as [`move_tag`](Self::move_tag). A tag whose manifest is not here waits for it.
    async fn point_at(&self, tag: &Tag, found: &TagInfo) -> Result<bool> {
        let manifests = self.bare().manifests();
        match manifests.digest(&Reference::Tag(tag.clone())).await {
            Ok(digest) if digest == found.digest => {
                self.note_confirmed(tag, &found.digest);
                return Ok(true);
            }
            Ok(_) => {}
            Err(error) => self.lacks(error)?,
        }
        match manifests.get(&Reference::Digest(found.digest.clone())).await {
            Ok(stored) => {
                if self.tag_stored(&stored, tag).await {
                    self.note_confirmed(tag, &found.digest);
                }
            }
            Err(error) => {
                self.lacks(error)?;
                let key = (self.name.stored.clone(), found.digest.clone());
                let mut tags = self.inner.memory.pending.get(&key).unwrap_or_default();
                if tags.len() < MAX_WAITING_TAGS && !tags.contains(tag) {
                    Arc::make_mut(&mut tags).push(tag.clone());
                    self.inner.memory.pending.insert(key, tags);
                }
            }
        }
        Ok(false)
    }

    /// Whether the upstream's last answer for a tag was this manifest.
    pub(crate) fn is_last_seen(&self, tag: &Tag, digest: &Digest) -> bool {
        let look = self.inner.memory.looks.get(&(self.name.stored.clone(), tag.clone()));
        look.is_some_and(|look| look.found.digest == *digest)
    }

    /// Notes that the stored tag is what the upstream says.
    pub(crate) fn note_confirmed(&self, tag: &Tag, digest: &Digest) {
        let key = (self.name.stored.clone(), tag.clone());
        if let Some(look) = self.inner.memory.looks.get(&key).filter(|look| look.found.digest == *digest) {
            let confirmed_at = Some(self.name.upstream.clock().elapsed());
            self.inner.memory.looks.insert(key, CachedTag { confirmed_at, is_confirmed: true, ..look });
            if self.name.upstream.settings.tags.stale.is_some() {
                self.repository.note_compared(tag);
            }
        }
    }

    /// Removes a stored tag if `rule` says so: it must not come back while the upstream is away.
    async fn forget_if(&self, rule: WhenGone, tag: &Tag) {
        if rule == WhenGone::Forget
            && let Err(error) = self.bare().manifests().forget_tag(tag).await
        {
            tracing::warn!(repository = %self.name.stored, %tag, %error, "cannot remove tag {tag}, which the upstream no longer has: the cache may serve it again");
        }
    }

    /// Fails with `unknown` unless the rule keeps tags that the upstream does not give any more, and the tag is stored.
    async fn check_kept(
        &self,
        tag: &Tag,
        rule: WhenGone,
        unknown: impl FnOnce() -> CacheError,
    ) -> Result<()> {
        let is_stored = self.is_stored(tag).await?;
        match rule == WhenGone::Keep && is_stored {
            true => Ok(()),
            false => Err(unknown().with_stored(is_stored)),
        }
    }

    /// Fails with `error`, unless the stored tag may take the place of an answer. Offline, its age does not matter.
    async fn check_stands_in(&self, tag: &Tag, error: impl FnOnce() -> CacheError) -> Result<()> {
        let is_stored = self.is_stored(tag).await?;
        if self.is_revoked_tag(tag) && is_stored {
            let handling = error().handling().with_stored(true);
            return Err(self.unknown_manifest(&Reference::Tag(tag.clone()), handling));
        }
        let error = error();
        match is_stored && matches!(error, CacheError::Offline) || self.may_stand_in(tag).await? {
            true => Ok(()),
            false => Err(error.with_stored(is_stored)),
        }
    }

    /// Whether the tag is stored, the account may still see it, and it is not older than the rule allows.
    async fn may_stand_in(&self, tag: &Tag) -> Result<bool> {
        if self.is_revoked_tag(tag) || !self.is_stored(tag).await? {
            return Ok(false);
        }
        let Some(most) = self.name.upstream.settings.tags.stale else { return Ok(true) };
        let look = self.inner.memory.looks.get(&(self.name.stored.clone(), tag.clone()));
        let age = match look.and_then(|look| look.confirmed_at) {
            Some(at) => self.name.upstream.clock().elapsed().saturating_sub(at),
            // This process has not compared it yet.
            None => self.repository.age_of_comparison(tag).await?,
        };
        Ok(age <= most)
    }

    /// Whether the account may not see the tag any more, whether the upstream is away or not.
    fn is_revoked_tag(&self, tag: &Tag) -> bool {
        let key = (self.name.stored.clone(), tag.clone());
        self.name.upstream.settings.tags.refused == WhenGone::Forget
            && self.inner.memory.refused.get(&key).is_some()
    }

    /// Whether the store has the tag and its manifest.
    async fn is_stored(&self, tag: &Tag) -> Result<bool> {
        match self.bare().manifests().stat(&Reference::Tag(tag.clone())).await {
            Ok(_) => Ok(true),
            Err(error) => self.lacks(error).map(|()| false),
        }
    }
}
