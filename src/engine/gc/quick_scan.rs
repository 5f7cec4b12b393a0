//! The quick scan: the fast first pass of a dry run over a store with directories.
//!
//! Most files of a store are layer links, histories of tags and data, each in a directory whose name is its digest. A walk
//! spends most of its time on opening each of those directories, and learns nothing from that about what is live. So the
//! quick scan takes the names from the directories above, and the [recheck](super::recheck) checks only the candidates for
//! deletion: whether they exist, their length and their age.
//!
//! A listing passes over a place that cannot be seen, or shows it as a file that does not exist. So the quick scan stats
//! every file that is in the place of a directory: see [`caution`](super::caution).
//!
//! The quick scan sees what a walk sees, except leftovers and foreign files in those directories, which a dry run does not
//! look for. A collection that deletes always walks.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use sampan_driver::{DirEntry, DriverPath, FileInfo, StorageDriver, StorageDriverExt};

use super::caution::unseen;
use super::context::Context;
use super::inventory::Inventory;
use super::{Result, Unreadable};
use crate::layout::{self, Entry};
use crate::oci::{Algorithm, Digest, RepositoryName, Tag};

/// The content of one directory of the tree of repositories.
#[derive(Default)]
struct RepositoryListing {
    /// Name of the repository, if the directory is one.
    name: Option<RepositoryName>,
    has_manifests: bool,
    layers: Vec<[u8; 32]>,
    revisions: Vec<(Digest, FileInfo)>,
    tags: Vec<SeenTag>,
    rest: OtherFiles,
    /// Directories of other repositories.
    below: Vec<DriverPath>,
}

/// The rest of a listing, besides the names.
#[derive(Default)]
struct OtherFiles {
    /// All other files.
    files: Vec<FileInfo>,
    /// Places that cannot be seen.
    unseen: Vec<Unreadable>,
}

/// The content of the directory of a tag.
struct SeenTag {
    tag: Tag,
    current: Option<FileInfo>,
    history: Vec<[u8; 32]>,
}

/// Scans the whole store.
pub(super) async fn scan_names(cx: &mut Context<'_>) -> Result<Inventory> {
    let mut inventory = cx.walk(&[layout::collection_root()]).await?;
    for root in [layout::repositories_root(), layout::blobs_root()] {
        // A listing does not distinguish a root that does not exist from one that leads nowhere.
        if let Some(Err(error)) = cx.driver().walk(&root, None).next().await {
            inventory.unseen.push(unseen(error)?);
        }
    }
    let (driver, parallelism, concurrency) = (cx.driver(), cx.parallelism(), cx.concurrency());
    let mut bare = Vec::new();
    let mut level = vec![layout::repositories_root()];
    while !level.is_empty() {
        let enter = |path| room(driver.clone(), path);
        let mut rooms = parallelism.run_all(std::mem::take(&mut level).into_iter().map(enter), concurrency);
        while let Some(mut room) = rooms.try_next().await? {
            cx.pacer.tick().await?;
            level.append(&mut room.below);
            let (name, has_manifests) = (room.name.clone(), room.has_manifests);
            take_room(cx, &mut inventory, room);
            let Some(name) = name else { continue };
            if has_manifests && inventory.find(&name).is_none() {
                bare.push(name);
            }
        }
    }
    inventory.bare = Some(bare);
    inventory.sort();
    let (driver, Context { ids, pacer, .. }) = (cx.driver(), &mut *cx);
    inventory.find_obstructed(driver, ids, pacer).await?;
    scan_data(cx, &mut inventory).await?;
    Ok(inventory)
}

fn take_room(cx: &mut Context<'_>, inventory: &mut Inventory, room: RepositoryListing) {
    let (cutoff, ids) = (cx.cutoff, &mut cx.ids);
    inventory.unseen.extend(room.rest.unseen);
    for file in room.rest.files {
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

async fn scan_data(cx: &mut Context<'_>, inventory: &mut Inventory) -> Result<()> {
    let driver = cx.driver();
    let root = layout::blob_shards(Algorithm::Sha256);
    let mut rest = OtherFiles::default();
    let shards = rest.directories(&**driver, &root).await?;
    let listing = shards.into_iter().filter_map(|shard| {
        Some(listed(driver.clone(), root.join(shard.name()).ok()?, shard.name().to_owned()))
    });
    let mut listings = cx.parallelism().run_all(listing, cx.concurrency());
    while let Some((hashes, rest)) = listings.try_next().await? {
        cx.pacer.tick().await?;
        inventory.unseen.extend(rest.unseen);
        inventory.files += hashes.len() as u64;
        for hash in hashes {
            inventory.data.list(cx.ids.intern_hash(&hash));
        }
    }
    drop(listings);
    inventory.unseen.append(&mut rest.unseen);
    Ok(())
}

impl OtherFiles {
    /// Lists a directory; if that cannot be seen, records this and returns nothing. Records each file, or that it cannot be
    /// seen.
    async fn listed(&mut self, driver: &dyn StorageDriver, path: &DriverPath) -> Result<Vec<DirEntry>> {
        let mut listed = Vec::new();
        let mut entries = driver.list(path, None);
        while let Some(entry) = entries.next().await {
            match entry {
                Ok(entry) => listed.push(entry),
                Err(error) => {
                    self.unseen.push(unseen(error)?);
                    break;
                }
            }
        }
        for entry in listed.iter().filter(|entry| !entry.is_directory()) {
            self.look_for(driver, path, entry.name()).await?;
        }
        Ok(listed)
    }

    /// Lists the directories in a directory. A dry run ignores the files there.
    async fn directories(&mut self, driver: &dyn StorageDriver, path: &DriverPath) -> Result<Vec<DirEntry>> {
        let mut here = Self::default();
        let mut entries = here.listed(driver, path).await?;
        self.unseen.append(&mut here.unseen);
        entries.retain(DirEntry::is_directory);
        Ok(entries)
    }

    /// Records a listed file. A file that does not exist, although a second listing shows it again, leads to a place that
    /// cannot be seen.
    async fn look_for(
        &mut self,
        driver: &dyn StorageDriver,
        directory: &DriverPath,
        name: &str,
    ) -> Result<()> {
        let Ok(path) = directory.join(name) else { return Ok(()) };
        if let Some(file) = driver.stat_if_any(&path).await? {
            self.files.push(file);
            return Ok(());
        }
        let mut again = driver.list(directory, None);
        while let Some(entry) = again.try_next().await? {
            if entry == DirEntry::File(name.to_owned()) {
                let reason = "it is listed and not there, such as a link to a disk that is not mounted";
                self.unseen.push(Unreadable { path: path.to_string(), reason: reason.to_owned() });
            }
        }
        Ok(())
    }

    /// Records everything below a directory.
    async fn walked(&mut self, driver: &dyn StorageDriver, path: &DriverPath) -> Result<()> {
        let mut found = driver.walk(path, None);
        while let Some(file) = found.next().await {
            match file {
                Ok(file) => self.files.push(file),
                Err(error) => self.unseen.push(unseen(error)?),
            }
        }
        Ok(())
    }
}

async fn room(driver: Arc<dyn StorageDriver>, path: DriverPath) -> Result<RepositoryListing> {
    let driver = &*driver;
    let mut room = RepositoryListing { name: layout::repository_at(&path), ..RepositoryListing::default() };
    let rest = &mut room.rest;
    for entry in rest.listed(driver, &path).await?.into_iter().filter(DirEntry::is_directory) {
        let Ok(below) = path.join(entry.name()) else { continue };
        match &room.name {
            Some(name) if below == layout::layers(name) => {
                room.layers = layers(driver, name, rest).await?;
            }
            Some(name) if below == layout::manifests(name) => {
                room.has_manifests = true;
                room.revisions = revisions(driver, name, rest).await?;
                room.tags = tags(driver, name, rest).await?;
            }
            _ if layout::repository_at(&below).is_some() => room.below.push(below),
            // Uploads and foreign files.
            _ => rest.walked(driver, &below).await?,
        }
    }
    Ok(room)
}

/// Returns the names of a repository's layers; records aliases, whose content counts, as files.
async fn layers(
    driver: &dyn StorageDriver,
    name: &RepositoryName,
    rest: &mut OtherFiles,
) -> Result<Vec<[u8; 32]>> {
    by_algorithm(driver, &layout::layers(name), &layout::layers_of(name, Algorithm::Sha256), rest).await
}

/// Returns the links of a repository's manifests. Distribution leaves the directory when it deletes a link, so names are
/// not enough.
async fn revisions(
    driver: &dyn StorageDriver,
    name: &RepositoryName,
    rest: &mut OtherFiles,
) -> Result<Vec<(Digest, FileInfo)>> {
    let canonical = layout::revisions(name, Algorithm::Sha256);
    let all = layout::all_revisions(name);
    let mut revisions = Vec::new();
    for hash in by_algorithm(driver, &all, &canonical, rest).await? {
        let digest = Digest::from_hash(Algorithm::Sha256, &hash);
        let link = Entry::RevisionLink(name.clone(), digest.clone()).path();
        revisions.extend(driver.stat_if_any(&link).await?.map(|file| (digest, file)));
    }
    Ok(revisions)
}

/// Returns a repository's tags, in the order of a walk.
async fn tags(
    driver: &dyn StorageDriver,
    name: &RepositoryName,
    rest: &mut OtherFiles,
) -> Result<Vec<SeenTag>> {
    let mut entries = rest.directories(driver, &layout::tags(name)).await?;
    entries.sort_by(|a, b| a.name().bytes().chain([b'/']).cmp(b.name().bytes().chain([b'/'])));
    let mut tags = Vec::new();
    for entry in entries {
        let Ok(tag) = entry.name().parse::<Tag>() else { continue };
        let current = driver.stat_if_any(&Entry::TagCurrent(name.clone(), tag.clone()).path()).await?;
        let history = layout::tag_history_of(name, &tag, Algorithm::Sha256);
        let history = digests(driver, &history, "", rest).await?;
        tags.push(SeenTag { tag, current, history });
    }
    Ok(tags)
}

/// Returns the digests in the directory `canonical` below `all`; records everything else below `all` as files.
async fn by_algorithm(
    driver: &dyn StorageDriver,
    all: &DriverPath,
    canonical: &DriverPath,
    rest: &mut OtherFiles,
) -> Result<Vec<[u8; 32]>> {
    let mut found = Vec::new();
    for entry in rest.directories(driver, all).await? {
        let Ok(path) = all.join(entry.name()) else { continue };
        if path == *canonical {
            found = digests(driver, &path, "", rest).await?;
        } else {
            rest.walked(driver, &path).await?;
        }
    }
    Ok(found)
}

async fn listed(
    driver: Arc<dyn StorageDriver>,
    path: DriverPath,
    prefix: String,
) -> Result<(Vec<[u8; 32]>, OtherFiles)> {
    let mut rest = OtherFiles::default();
    let digests = digests(&*driver, &path, &prefix, &mut rest).await?;
    Ok((digests, rest))
}

/// Returns the canonical digests that begin with `prefix` and after which directories in `path` are named.
async fn digests(
    driver: &dyn StorageDriver,
    path: &DriverPath,
    prefix: &str,
    rest: &mut OtherFiles,
) -> Result<Vec<[u8; 32]>> {
    let entries = rest.directories(driver, path).await?;
    // A digest in the wrong directory is not data of this registry.
    let digests = entries.iter().filter(|entry| entry.name().starts_with(prefix));
    Ok(digests.filter_map(|entry| Digest::canonical_hash_of(entry.name())).collect())
}
