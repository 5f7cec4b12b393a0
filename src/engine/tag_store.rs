//! `TagStore`: the tags of a repository.

use std::sync::Arc;
use std::time::SystemTime;

use futures::future::ready;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{DirEntry, StorageDriver, StorageDriverExt};

use crate::layout::{self, Entry};
use crate::oci::{Digest, Tag};
use crate::tag_dates::TagDates;
use crate::{Error, Page, Repository, Result, link};

/// The tags of one repository.
#[derive(Clone, Debug)]
pub struct TagStore {
    pub(crate) repository: Repository,
}

impl TagStore {
    pub(crate) fn new(repository: Repository) -> Self {
        Self { repository }
    }

    /// Lists up to `limit` tags after `last`, which need not exist, in byte order.
    ///
    /// # Errors
    ///
    /// `RepositoryUnknown` when the repository has no manifest.
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.tags.list", skip_all)]
    pub async fn list(&self, last: Option<&str>, limit: Option<usize>) -> Result<Page<String>> {
        let mut tags = self.stream(last).await?;
        let mut items = Vec::new();
        while let Some(tag) = tags.try_next().await? {
            if limit.is_some_and(|limit| items.len() == limit) {
                return Ok(Page { items, has_more: true });
            }
            items.push(tag);
        }
        Ok(Page { items, has_more: false })
    }

    /// Streams all tags after `last`, in byte order, as the driver lists them. It buffers no list.
    ///
    /// # Errors
    ///
    /// `RepositoryUnknown` when the repository has no manifest, and any error while looking for the first tag. The stream
    /// yields later errors.
    pub async fn stream(&self, last: Option<&str>) -> Result<BoxStream<'static, Result<String>>> {
        let tags = layout::tags(&self.repository.name);
        let entries = self.driver().list_holding(&tags, last, layout::TAG_LINK);
        let tags = entries.map_err(Error::from).try_filter_map(|entry| async move {
            // Any other entry is not a tag: a stray file, or what a crash left.
            let DirEntry::Directory(name) = entry else { return Ok(None) };
            Ok(name.parse::<Tag>().is_ok().then_some(name))
        });
        let mut tags = Box::pin(tags).fuse();
        let first = tags.try_next().await?;
        if first.is_none() && !self.repository_exists().await? {
            return Err(Error::RepositoryUnknown(self.repository.name.clone()));
        }
        Ok(stream::iter(first.map(Ok)).chain(tags).boxed())
    }

    /// The time of the last push of the tag, by the store's clock, or by that of the store that a migration has copied;
    /// `None` when the tag does not exist.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub async fn pushed_at(&self, tag: &Tag) -> Result<Option<SystemTime>> {
        let current = Entry::TagCurrent(self.repository.name.clone(), tag.clone()).path();
        let Some(file) = self.driver().stat_if_any(&current).await? else { return Ok(None) };
        let dates = TagDates::read(self.driver(), &self.repository.name).await?;
        Ok(Some(dates.map_or(file.modified, |dates| dates.pushed(tag, file.modified))))
    }

    /// The digest that the tag points at; `None` when the tag does not exist or its link is empty.
    pub(crate) async fn resolve(&self, tag: &Tag) -> Result<Option<Digest>> {
        link::read(self.driver(), &Entry::TagCurrent(self.repository.name.clone(), tag.clone())).await
    }

    /// Points the tags at a manifest that already has its revision link.
    pub(crate) async fn point(&self, tags: &[&Tag], canonical: &Digest) -> Result<()> {
        let name = &self.repository.name;
        let mut links = Vec::with_capacity(2 * tags.len());
        for tag in tags.iter().copied() {
            self.keep_for_pullers(tag, Some(canonical)).await?;
            // Distribution writes the history first. A crash would then list the tag for ever, although no client could pull it.
            links.push(link::file(&Entry::TagCurrent(name.clone(), tag.clone()), canonical));
            let index = Entry::TagIndex(name.clone(), tag.clone(), canonical.clone());
            links.push(link::file(&index, canonical));
        }
        link::write_all(self.driver(), &links).await
    }

    /// Whether a file of the tag is left that would list it.
    pub(crate) async fn has_remains(&self, tag: &Tag) -> Result<bool> {
        let mut entries = self.driver().list(&layout::tag(&self.repository.name, tag), None);
        Ok(entries.try_next().await?.is_some())
    }

    /// The tags written after `since`, by the store's clock.
    pub(crate) fn changed_since(&self, since: SystemTime) -> BoxStream<'static, Result<Tag>> {
        let files = self.driver().walk(&layout::tags(&self.repository.name), None).map_err(Error::from);
        let changed = files.try_filter_map(move |file| {
            let entry = (file.modified >= since).then(|| Entry::parse(&file.path)).flatten();
            ready(Ok(match entry {
                Some(Entry::TagCurrent(_, tag)) => Some(tag),
                _ => None,
            }))
        });
        changed.boxed()
    }

    /// Renews the lease of the manifest that the tag leaves: a client may be pulling it.
    pub(crate) async fn keep_for_pullers(&self, tag: &Tag, next: Option<&Digest>) -> Result<()> {
        let registry = &self.repository.registry;
        if !registry.inner.leases.is_configured() {
            return Ok(());
        }
        let left = match self.resolve(tag).await {
            Ok(Some(left)) if next != Some(&left) => left,
            // No client can be pulling by an unreadable tag.
            Ok(_) | Err(Error::Corrupt(..)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let renewal = registry.inner.leases.renewal(self.driver()).await?;
        self.repository.manifests().renew(&left, renewal).await?;
        Ok(())
    }

    pub(crate) async fn repository_exists(&self) -> Result<bool> {
        Ok(self.driver().list(&layout::manifests(&self.repository.name), None).try_next().await?.is_some())
    }

    pub(crate) fn driver(&self) -> &Arc<dyn StorageDriver> {
        self.repository.registry.driver()
    }
}
