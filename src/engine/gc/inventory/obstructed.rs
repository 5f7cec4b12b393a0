//! Links in whose places there are directories, which a walk does not show. They are damaged, and not gone.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{DirEntry, DriverPath, StorageDriver};

use super::super::Result;
use super::super::caution::unseen;
use super::super::interner::{DigestInterner, IdHashSet};
use super::super::pacer::Pacer;
use super::Inventory;
use super::contents::{Age, Contents, Link};
use crate::layout::{self, Entry};
use crate::link;
use crate::oci::{Algorithm, Digest, RepositoryName};

/// How many places are looked at at a time.
const CONCURRENT_LINK_CHECKS: usize = 16;

impl Inventory {
    /// Finds them: such a tag may point at any manifest in its history, and such a manifest stays with all that it refers to.
    pub(in crate::gc) async fn find_obstructed(
        &mut self,
        driver: &Arc<dyn StorageDriver>,
        ids: &mut DigestInterner,
        pacer: &mut Pacer,
    ) -> Result<()> {
        if driver.capabilities().flat {
            return Ok(());
        }
        self.find_obstructed_tags(driver, pacer).await?;
        self.find_obstructed_manifests(driver, ids, pacer).await
    }

    async fn find_obstructed_tags(
        &mut self,
        driver: &Arc<dyn StorageDriver>,
        pacer: &mut Pacer,
    ) -> Result<()> {
        let mut without_link = Vec::new();
        for (place, contents) in self.repositories.iter().enumerate() {
            let tags = contents.tags.iter().enumerate().filter(|(_, history)| !history.is_current);
            without_link.extend(tags.map(|(tag, history)| {
                let link = Entry::TagCurrent(contents.name.clone(), history.tag.clone());
                (place, tag, link.path())
            }));
        }
        let look = |(place, tag, link): (usize, usize, DriverPath)| async move {
            (place, tag, link::is_obstructed(driver, &link).await)
        };
        let mut looks = stream::iter(without_link).map(look).buffered(CONCURRENT_LINK_CHECKS);
        while let Some((place, tag, is_obstructed)) = looks.next().await {
            match is_obstructed {
                Ok(is_obstructed) => self.repositories[place].tags[tag].unreadable = is_obstructed,
                Err(error) => self.unseen.push(unseen(error)?),
            }
            pacer.tick().await?;
        }
        Ok(())
    }

    async fn find_obstructed_manifests(
        &mut self,
        driver: &Arc<dyn StorageDriver>,
        ids: &mut DigestInterner,
        pacer: &mut Pacer,
    ) -> Result<()> {
        let names: Vec<RepositoryName> =
            self.repositories.iter().map(|contents| contents.name.clone()).collect();
        let mut listings = stream::iter(names.into_iter().enumerate())
            .map(|(place, name)| async move { (place, listed(driver, &name).await) })
            .buffered(CONCURRENT_LINK_CHECKS);
        let mut without_link = Vec::new();
        while let Some((place, listed)) = listings.next().await {
            let contents = &self.repositories[place];
            let linked: IdHashSet = contents.revisions.iter().map(|link| link.id).collect();
            match listed {
                Ok(hashes) => {
                    let listed = hashes.iter().map(|hash| ids.intern_hash(hash));
                    without_link.extend(listed.filter(|id| !linked.contains(id)).map(|id| (place, id)));
                }
                Err(error) => self.unseen.push(unseen(error)?),
            }
            pacer.tick().await?;
        }
        let repositories = &self.repositories;
        let places: Vec<_> = without_link
            .into_iter()
            .map(|(place, id)| {
                (place, id, Entry::RevisionLink(repositories[place].name.clone(), ids.digest(id)).path())
            })
            .collect();
        let look = |(place, id, link): (usize, _, DriverPath)| async move {
            let is_obstructed = link::is_obstructed(driver, &link).await;
            (place, id, link, is_obstructed)
        };
        let mut looks = stream::iter(places).map(look).buffered(CONCURRENT_LINK_CHECKS);
        while let Some((place, id, link, is_obstructed)) = looks.next().await {
            match is_obstructed {
                Ok(true) => {
                    self.repositories[place].add_obstructed(id);
                    self.obstructed.push(link);
                }
                Ok(false) => {}
                Err(error) => self.unseen.push(unseen(error)?),
            }
            pacer.tick().await?;
        }
        Ok(())
    }
}

impl Contents {
    /// Adds the link of a manifest as a young one, so that it and what it refers to stay.
    fn add_obstructed(&mut self, id: super::Id) {
        self.revisions.push(Link { id, age: Age::Young });
        self.revision_hours.push(0);
    }
}

/// The names in the directory of a repository's manifests: also of those whose links are gone.
async fn listed(
    driver: &Arc<dyn StorageDriver>,
    name: &RepositoryName,
) -> sampan_driver::Result<Vec<[u8; 32]>> {
    let entries = driver.list(&layout::revisions(name, Algorithm::Sha256), None);
    let hash = |entry: DirEntry| match entry.is_directory() {
        true => Digest::canonical_hash_of(entry.name()),
        false => None,
    };
    entries.try_filter_map(|entry| std::future::ready(Ok(hash(entry)))).try_collect().await
}
