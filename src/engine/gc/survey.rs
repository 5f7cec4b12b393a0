//! The survey: what a dry run looks at where there are directories.
//!
//! Most files of a store are layer links, histories of tags and data, each in a directory whose name is its digest. To open each
//! of those directories is most of the time that a walk takes, and tells nothing about what is live. So the names are taken from
//! the directories above, and only what would go is [looked at](super::closer): whether it is there, how long and how old it is.
//!
//! What is seen that way is what a walk sees, but for leftovers and foreign files in those directories, which a dry run does
//! not look for. What is to be deleted is found by walking.

use std::sync::Arc;

use futures::TryStreamExt;
use sampan_driver::{DirEntry, DriverPath, FileInfo, StorageDriver, StorageDriverExt};

use super::Result;
use super::collect::Collection;
use super::inventory::Inventory;
use crate::layout::{self, Entry};
use crate::oci::{Algorithm, Digest, RepositoryName, Tag};

/// What is in one directory of the tree of repositories.
#[derive(Default)]
struct Room {
    /// Whether it is a repository with a name.
    name: Option<RepositoryName>,
    has_manifests: bool,
    layers: Vec<[u8; 32]>,
    revisions: Vec<(Digest, FileInfo)>,
    tags: Vec<SeenTag>,
    /// Everything else, file by file.
    files: Vec<FileInfo>,
    /// Directories of other repositories.
    below: Vec<DriverPath>,
}

/// What is in the directory of a tag.
struct SeenTag {
    tag: Tag,
    current: Option<FileInfo>,
    history: Vec<[u8; 32]>,
}

impl Collection<'_> {
    /// Everything in the store.
    pub(super) async fn survey(&mut self) -> Result<Inventory> {
        let mut inventory = self.walk(&[layout::collection_root()]).await?;
        let (driver, hands, concurrency) = (self.driver(), self.hands(), self.options.concurrency);
        let mut bare = Vec::new();
        let mut level = vec![layout::repositories_root()];
        while !level.is_empty() {
            let enter = |path| room(driver.clone(), path);
            let mut rooms = hands.share(std::mem::take(&mut level).into_iter().map(enter), concurrency);
            while let Some(mut room) = rooms.try_next().await? {
                self.pulse.beat().await?;
                level.append(&mut room.below);
                let (name, has_manifests) = (room.name.clone(), room.has_manifests);
                self.take_room(&mut inventory, room);
                let Some(name) = name else { continue };
                if has_manifests && inventory.find(&name).is_none() {
                    bare.push(name);
                }
            }
        }
        inventory.bare = Some(bare);
        inventory.sort();
        self.survey_data(&mut inventory).await?;
        Ok(inventory)
    }

    fn take_room(&mut self, inventory: &mut Inventory, room: Room) {
        let (cutoff, ids) = (self.cutoff, &mut self.ids);
        for file in room.files {
            inventory.take_file(file, cutoff, ids);
        }
        let Some(name) = room.name else { return };
        inventory.take_layer_names(&name, &room.layers, ids);
        for (digest, file) in room.revisions {
            inventory.take(Entry::RevisionLink(name.clone(), digest), file, cutoff, ids);
        }
        for SeenTag { tag, current, history } in room.tags {
            inventory.take_tag(&name, tag, current.as_ref(), &history, ids);
        }
    }

    async fn survey_data(&mut self, inventory: &mut Inventory) -> Result<()> {
        let driver = self.driver();
        let shards: Vec<DirEntry> =
            driver.list(&layout::blob_shards(Algorithm::Sha256), None).try_collect().await?;
        let listing = shards.into_iter().filter(DirEntry::is_directory).filter_map(|shard| {
            let path = layout::blob_shards(Algorithm::Sha256).join(shard.name()).ok()?;
            Some(listed(driver.clone(), path, shard.name().to_owned()))
        });
        let mut listings = self.hands().share(listing, self.options.concurrency);
        while let Some(hashes) = listings.try_next().await? {
            self.pulse.beat().await?;
            inventory.files += hashes.len() as u64;
            for hash in hashes {
                inventory.data.list(self.ids.intern_hash(&hash));
            }
        }
        Ok(())
    }
}

async fn room(driver: Arc<dyn StorageDriver>, path: DriverPath) -> Result<Room> {
    let driver = &*driver;
    let mut room = Room { name: layout::repository_at(&path), ..Room::default() };
    let mut entries = driver.list(&path, None);
    while let Some(entry) = entries.try_next().await? {
        let Ok(below) = path.join(entry.name()) else { continue };
        if !entry.is_directory() {
            room.files.extend(driver.stat_if_any(&below).await?);
            continue;
        }
        match &room.name {
            Some(name) if below == layout::layers(name) => {
                room.layers = layers(driver, name, &mut room.files).await?;
            }
            Some(name) if below == layout::manifests(name) => {
                room.has_manifests = true;
                room.revisions = revisions(driver, name, &mut room.files).await?;
                room.tags = tags(driver, name).await?;
            }
            _ if layout::repository_at(&below).is_some() => room.below.push(below),
            // Uploads, and what is none of ours.
            _ => walk(driver, &below, &mut room.files).await?,
        }
    }
    Ok(room)
}

/// The names of a repository's layers; aliases, whose content counts, as files.
async fn layers(
    driver: &dyn StorageDriver,
    name: &RepositoryName,
    files: &mut Vec<FileInfo>,
) -> Result<Vec<[u8; 32]>> {
    by_algorithm(driver, &layout::layers(name), &layout::layers_of(name, Algorithm::Sha256), files).await
}

/// The links of a repository's manifests. Distribution leaves the directory when it deletes a link, so names are not enough.
async fn revisions(
    driver: &dyn StorageDriver,
    name: &RepositoryName,
    files: &mut Vec<FileInfo>,
) -> Result<Vec<(Digest, FileInfo)>> {
    let canonical = layout::revisions(name, Algorithm::Sha256);
    let all = layout::all_revisions(name);
    let mut revisions = Vec::new();
    for hash in by_algorithm(driver, &all, &canonical, files).await? {
        let digest = Digest::from_hash(Algorithm::Sha256, &hash);
        let link = Entry::RevisionLink(name.clone(), digest.clone()).path();
        revisions.extend(driver.stat_if_any(&link).await?.map(|file| (digest, file)));
    }
    Ok(revisions)
}

/// A repository's tags, in the order in which a walk meets them.
async fn tags(driver: &dyn StorageDriver, name: &RepositoryName) -> Result<Vec<SeenTag>> {
    let mut entries: Vec<DirEntry> = driver.list(&layout::tags(name), None).try_collect().await?;
    entries.sort_by(|a, b| a.name().bytes().chain([b'/']).cmp(b.name().bytes().chain([b'/'])));
    let mut tags = Vec::new();
    for entry in entries.into_iter().filter(DirEntry::is_directory) {
        let Ok(tag) = entry.name().parse::<Tag>() else { continue };
        let current = driver.stat_if_any(&Entry::TagCurrent(name.clone(), tag.clone()).path()).await?;
        let history = digests(driver, &layout::tag_history_of(name, &tag, Algorithm::Sha256), "").await?;
        tags.push(SeenTag { tag, current, history });
    }
    Ok(tags)
}

/// The digests in the directory `canonical` below `all`; whatever else is below that, as files.
async fn by_algorithm(
    driver: &dyn StorageDriver,
    all: &DriverPath,
    canonical: &DriverPath,
    files: &mut Vec<FileInfo>,
) -> Result<Vec<[u8; 32]>> {
    let mut found = Vec::new();
    let mut algorithms = driver.list(all, None);
    while let Some(entry) = algorithms.try_next().await? {
        let Ok(path) = all.join(entry.name()) else { continue };
        if path == *canonical && entry.is_directory() {
            found = digests(driver, &path, "").await?;
        } else {
            walk(driver, &path, files).await?;
        }
    }
    Ok(found)
}

async fn walk(driver: &dyn StorageDriver, path: &DriverPath, files: &mut Vec<FileInfo>) -> Result<()> {
    let mut found = driver.walk(path, None);
    while let Some(file) = found.try_next().await? {
        files.push(file);
    }
    Ok(())
}

async fn listed(driver: Arc<dyn StorageDriver>, path: DriverPath, prefix: String) -> Result<Vec<[u8; 32]>> {
    digests(&*driver, &path, &prefix).await
}

/// The canonical digests that directories in a directory are named after, of those that begin with `prefix`.
async fn digests(driver: &dyn StorageDriver, path: &DriverPath, prefix: &str) -> Result<Vec<[u8; 32]>> {
    let mut digests = Vec::new();
    let mut entries = driver.list(path, None);
    while let Some(entry) = entries.try_next().await? {
        // A digest in a directory that is not its own is no data of ours.
        if entry.is_directory() && entry.name().starts_with(prefix) {
            digests.extend(Digest::canonical_hash_of(entry.name()));
        }
    }
    Ok(digests)
}
