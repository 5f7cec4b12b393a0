//! Tags and referrers: the upstream's lists, fetched once for all requests that wait, and remembered for a while.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use sampan_engine::oci::{Digest, Tag};
use sampan_engine::{Page, Referrer, ReferrersPage, ReferrersQuery};

use crate::error::{CacheError, Result, Verdict};
use crate::handling::Handling;
use crate::memory::CachedList;
use crate::repository::{CachedRepository, Served};
use crate::settings::WhenGone;
use crate::statistics::CacheRequestKind;

impl CachedRepository {
    /// The tags after `last`, at most `limit`, in byte order: those of the upstream, or, while it gives no answer, those that
    /// are stored.
    ///
    /// # Errors
    ///
    /// The repository is unknown, the upstream gives no answer and nothing is stored, or the store fails.
    pub async fn tags(&self, last: Option<&str>, limit: Option<usize>) -> Result<(Page<String>, Served)> {
        let (tags, how) = match self.listed_tags().await {
            Ok(listed) => listed,
            Err(error) if self.is_revoked(&error) || self.is_gone(&error) => return Err(error),
            Err(error) => return self.stored_tags(last, limit, error).await,
        };
        let begin = last.map_or(0, |last| tags.partition_point(|tag| tag.as_str() <= last));
        let end = limit.map_or(tags.len(), |limit| begin.saturating_add(limit).min(tags.len()));
        let items = tags[begin..end].iter().map(|tag| tag.as_str().to_owned()).collect();
        Ok((Page { items, has_more: end < tags.len() }, how))
    }

    async fn listed_tags(&self) -> Result<(Arc<Vec<Tag>>, Served)> {
        let name = &self.name.stored;
        if let Some(listed) = self.inner.memory.tags.get(name).filter(|listed| self.is_fresh(listed.at)) {
            let unknown = || CacheError::RepositoryUnknown(name.clone(), Handling::REMEMBERED_MISSING);
            return Ok((listed.entries.ok_or_else(unknown)?, Served::Hit));
        }
        self.check_askable()?;
        let listed = self.inner.tag_lists.join(name, self.client, |ticket| {
            let this = self.clone();
            async move {
                let upstream = &this.name.upstream;
                let asking = upstream.ask(CacheRequestKind::List, &ticket, this.remote.tags());
                let asked = this.inner.until_offline(Box::pin(asking)).await?;
                let tags = asked.map(|mut tags| {
                    tags.sort_by(|one, other| one.as_str().cmp(other.as_str()));
                    Arc::new(tags)
                });
                if let Ok(_) | Err(Verdict::Missing(_)) = &tags {
                    let listed = CachedList { at: upstream.clock().elapsed(), entries: tags.clone().ok() };
                    this.inner.memory.tags.insert(this.name.stored.clone(), listed);
                }
                tags.map_err(|verdict| this.list_error(verdict))
            }
            .boxed()
        });
        Ok((listed.await?, Served::Fetched))
    }

    async fn stored_tags(
        &self,
        last: Option<&str>,
        limit: Option<usize>,
        error: CacheError,
    ) -> Result<(Page<String>, Served)> {
        match self.repository.tags().list(last, limit).await {
            Ok(page) => Ok((page, Served::Stale)),
            Err(sampan_engine::Error::RepositoryUnknown(_)) => Err(error),
            Err(error) => Err(error.into()),
        }
    }

    /// The manifests that are attached to `subject` at the upstream, or, while it gives no answer, those that are stored.
    ///
    /// # Errors
    ///
    /// The upstream refuses the account, or the store fails.
    pub async fn referrers(
        &self,
        subject: &Digest,
        query: &ReferrersQuery,
    ) -> Result<(ReferrersPage, Served)> {
        match self.listed_referrers(subject).await {
            Ok((listed, how)) => Ok((page(listed.entries.as_deref().unwrap_or(&Vec::new()), query), how)),
            Err(error) if self.is_revoked(&error) => Err(error),
            Err(_) => Ok((self.repository.referrers().list(subject, query).await?, Served::Stale)),
        }
    }

    async fn listed_referrers(&self, subject: &Digest) -> Result<(CachedList<Referrer>, Served)> {
        let key = (self.name.stored.clone(), subject.clone());
        if let Some(listed) = self.inner.memory.referrers.get(&key).filter(|listed| self.is_fresh(listed.at))
        {
            return Ok((listed, Served::Hit));
        }
        self.check_askable()?;
        let listed = self.inner.referrer_lists.join(&key, self.client, |ticket| {
            let (this, subject) = (self.clone(), subject.clone());
            async move {
                let upstream = &this.name.upstream;
                let asking = async { this.remote.referrers(&subject, None).await.map(Some) };
                let asking = upstream.ask(CacheRequestKind::List, &ticket, asking);
                let found = match this.inner.until_offline(Box::pin(asking)).await? {
                    Ok(found) => found,
                    Err(Verdict::Missing(_)) => Vec::new(),
                    Err(verdict) => return Err(this.list_error(verdict)),
                };
                let entries = Some(Arc::new(found.iter().map(Referrer::of).collect()));
                let listed = CachedList { at: upstream.clock().elapsed(), entries };
                let key = (this.name.stored.clone(), subject);
                this.inner.memory.referrers.insert(key, listed.clone());
                Ok(listed)
            }
            .boxed()
        });
        Ok((listed.await?, Served::Fetched))
    }

    /// Whether what is stored must not take the place of an answer.
    fn is_revoked(&self, error: &CacheError) -> bool {
        matches!(error, CacheError::Refused { .. })
            && self.name.upstream.settings.tags.refused == WhenGone::Forget
    }

    /// Whether the upstream has no such repository, and what is stored is forgotten then.
    fn is_gone(&self, error: &CacheError) -> bool {
        matches!(error, CacheError::RepositoryUnknown(..))
            && self.name.upstream.settings.tags.deleted == WhenGone::Forget
    }

    fn list_error(&self, verdict: Verdict) -> CacheError {
        let unknown = |handling| CacheError::RepositoryUnknown(self.name.stored.clone(), handling);
        verdict.into_error(self.upstream_name(), unknown)
    }

    fn is_fresh(&self, at: Duration) -> bool {
        let upstream = &self.name.upstream;
        upstream.clock().elapsed().saturating_sub(at) < upstream.settings.tags.fresh
    }
}

/// The part of a list, in the order of digests, that a query wants.
fn page(all: &[Referrer], query: &ReferrersQuery) -> ReferrersPage {
    let begin = query.after.as_ref().map_or(0, |after| all.partition_point(|entry| entry.digest <= *after));
    let wanted = query.artifact_type.as_deref();
    let mut matching =
        all[begin..].iter().filter(|entry| wanted.is_none_or(|wanted| entry.has_type(wanted))).peekable();
    let mut page = ReferrersPage::default();
    let mut bytes = 0;
    while let Some(entry) = matching.peek() {
        bytes += entry.json().len() + 1;
        let is_first = page.descriptors.is_empty();
        if page.descriptors.len() >= query.limit || !is_first && bytes > query.max_bytes {
            page.has_more = true;
            break;
        }
        page.descriptors.extend(matching.next().cloned());
    }
    page
}

#[cfg(test)]
mod tests {
    use sampan_engine::oci::Descriptor;

    use super::*;

    #[test]
    fn pages_of_referrers_follow_each_other_and_are_filtered() {
        let referrer = |n: u8| {
            let json = format!(
                r#"{{"mediaType":"a/b","digest":"{}","size":{n},"artifactType":"t/{}"}}"#,
                Digest::sha256_of(&[n]),
                n % 2
            );
            Referrer::of(&serde_json::from_str::<Descriptor>(&json).unwrap())
        };
        let mut all: Vec<_> = (0..10).map(referrer).collect();
        all.sort_by(|one, other| one.digest.cmp(&other.digest));
        let mut query = ReferrersQuery { limit: 3, ..ReferrersQuery::default() };
        let mut seen = Vec::new();
        loop {
            let page = page(&all, &query);
            query.after = page.descriptors.last().map(|last| last.digest.clone());
            seen.extend(page.descriptors);
            if !page.has_more {
                break;
            }
        }
        assert_eq!(seen, all);
        let odd = page(&all, &ReferrersQuery { artifact_type: Some("t/1".to_owned()), ..Default::default() });
        assert_eq!(odd.descriptors.len(), 5);
        let small = page(&all, &ReferrersQuery { max_bytes: 1, ..Default::default() });
        assert!(small.descriptors.len() == 1 && small.has_more, "pages always advance");
    }
}
