//! The survey: what a dry run looks at where there are directories.
//!
//! Most files of a store are layer links and data, each in a directory whose name is its digest. To open each of those
//! directories is most of the time that a walk takes, and tells nothing about what is live. So the names are taken from the
//! directories above, and only what would go is looked at: whether it is there, how long and how old it is.
//!
//! What is seen that way is what a walk sees, but for leftovers and foreign files in those directories, which a dry run does
//! not look for. What is to be deleted is found by walking.

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{DirEntry, DriverPath, FileInfo, StorageDriver, StorageDriverExt};

use super::Result;
use super::collect::Collection;
use super::inventory::{Age, Inventory, data_path};
use super::mark::mark;
use crate::layout::{self, Entry};
use crate::oci::{Algorithm, Digest, RepositoryName};

/// What is in one directory of the tree of repositories.
struct Room {
    /// Whether it is a repository with a name.
    name: Option<RepositoryName>,
    has_manifests: bool,
    layers: Vec<Digest>,
    /// Everything else, files by file.
    files: Vec<FileInfo>,
    /// Directories of other repositories.
    below: Vec<DriverPath>,
}

impl Collection<'_> {
    /// Everything in the store.
    pub(super) async fn survey(&mut self) -> Result<Inventory> {
        let mut inventory = self.walk(&[layout::collection_root()]).await?;
        let (driver, concurrency) = (self.driver(), self.options.concurrency.max(1));
        let mut bare = Vec::new();
        let mut level = vec![layout::repositories_root()];
        while !level.is_empty() {
            let mut rooms = stream::iter(std::mem::take(&mut level))
                .map(|path| room(&**driver, path))
                .buffered(concurrency);
            while let Some(room) = rooms.try_next().await? {
                self.pulse.beat().await?;
                level.extend(room.below);
                for file in room.files {
                    inventory.take_file(file, self.cutoff, &mut self.ids);
                }
                let Some(name) = room.name else { continue };
                inventory.take_layer_names(&name, &room.layers, &mut self.ids);
                if room.has_manifests && inventory.find(&name).is_none() {
                    bare.push(name);
                }
            }
        }
        inventory.bare = Some(bare);
        inventory.sort();
        self.survey_data(&mut inventory).await?;
        Ok(inventory)
    }

    async fn survey_data(&mut self, inventory: &mut Inventory) -> Result<()> {
        let driver = self.driver();
        let shards: Vec<DirEntry> =
            driver.list(&layout::blob_shards(Algorithm::Sha256), None).try_collect().await?;
        let shards = shards.into_iter().filter_map(|shard| {
            layout::blob_shards(Algorithm::Sha256).join(shard.name()).ok().filter(|_| shard.is_directory())
        });
        let shards: Vec<DriverPath> = shards.collect();
        let mut listings = stream::iter(shards)
            .map(|shard| async move { digests(&**driver, &shard).await.map(|digests| (shard, digests)) })
            .buffered(self.options.concurrency.max(1));
        while let Some((shard, digests)) = listings.try_next().await? {
            self.pulse.beat().await?;
            inventory.files += digests.len() as u64;
            // A digest in a directory that is not its own is no data of ours.
            for digest in digests.iter().filter(|digest| shard.name() == digest.hex().get(..2)) {
                inventory.data.list(self.ids.intern(digest));
            }
        }
        Ok(())
    }

    /// Looks at what would go if all that is known from a listing alone were old. What is not there is forgotten.
    /// What turns out to be young keeps more alive, never less, so one look is enough.
    pub(super) async fn look_closer(&mut self, inventory: &mut Inventory) -> Result<()> {
        let marks = mark(inventory, &self.data, &self.library, self.options.delete_untagged);
        let (driver, concurrency) = (self.driver(), self.options.concurrency.max(1));
        let mut links = Vec::new();
        for (place, (contents, marks)) in inventory.repositories.iter().zip(&marks.repositories).enumerate() {
            for (index, (link, live)) in contents.layers.iter().zip(&marks.layers).enumerate() {
                if !live && link.age == Age::Unknown {
                    let entry = Entry::LayerLink(contents.name.clone(), self.ids.digest(link.id));
                    links.push((place, index, entry));
                }
            }
        }
        let mut found = stream::iter(links)
            .map(|(place, index, entry)| async move {
                let info = driver.stat_if_any(&entry.path()).await?;
                Ok::<_, super::Error>((place, index, entry, info))
            })
            .buffered(concurrency);
        let mut is_odd = false;
        while let Some((place, index, entry, info)) = found.try_next().await? {
            self.pulse.beat().await?;
            let contents = &mut inventory.repositories[place];
            // One that is not there stays unknown.
            let Some(info) = info else { continue };
            contents.layers[index].age = Age::of(&info, self.cutoff);
            let before = contents.odd.len();
            contents.check(info.size_bytes, || entry);
            is_odd |= contents.odd.len() > before;
        }
        for (contents, marks) in inventory.repositories.iter_mut().zip(&marks.repositories) {
            let mut live = marks.layers.iter();
            contents.layers.retain(|link| live.next().is_some_and(|live| *live) || link.age != Age::Unknown);
        }

        let dead = |id: &_| self.data.is_unknown(*id) && !marks.data.contains(*id);
        let paths: Vec<_> =
            self.ids.canonical().filter(dead).map(|id| (id, data_path(&self.ids, id))).collect();
        let mut found = stream::iter(paths)
            .map(|(id, path)| async move { Ok::<_, super::Error>((id, driver.stat_if_any(&path).await?)) })
            .buffered(concurrency);
        while let Some((id, info)) = found.try_next().await? {
            self.pulse.beat().await?;
            self.data.set(id, info.as_ref(), self.cutoff);
        }
        if is_odd {
            for unreadable in self.read(inventory).await? {
                if !self.report.unreadable.contains(&unreadable) {
                    self.report.unreadable.push(unreadable);
                }
            }
        }
        Ok(())
    }
}

async fn room(driver: &dyn StorageDriver, path: DriverPath) -> Result<Room> {
    let name = layout::repository_at(&path);
    let mut room =
        Room { name, has_manifests: false, layers: Vec::new(), files: Vec::new(), below: Vec::new() };
    let mut entries = driver.list(&path, None);
    while let Some(entry) = entries.try_next().await? {
        let Ok(below) = path.join(entry.name()) else { continue };
        let is_directory = entry.is_directory();
        room.has_manifests |=
            is_directory && room.name.as_ref().is_some_and(|name| below == layout::manifests(name));
        match &room.name {
            Some(name) if is_directory && below == layout::layers(name) => {
                room.layers = layers(driver, name, &mut room.files).await?;
            }
            _ if is_directory && layout::repository_at(&below).is_some() => room.below.push(below),
            // Manifests, uploads, and what is none of ours.
            _ if is_directory => {
                let mut files = driver.walk(&below, None);
                while let Some(file) = files.try_next().await? {
                    room.files.push(file);
                }
            }
            _ => room.files.extend(driver.stat_if_any(&below).await?),
        }
    }
    Ok(room)
}

/// The names of a repository's layers; aliases, whose content counts, as files.
async fn layers(
    driver: &dyn StorageDriver,
    name: &RepositoryName,
    files: &mut Vec<FileInfo>,
) -> Result<Vec<Digest>> {
    let mut layers = Vec::new();
    let mut algorithms = driver.list(&layout::layers(name), None);
    while let Some(entry) = algorithms.try_next().await? {
        let Ok(path) = layout::layers(name).join(entry.name()) else { continue };
        if path == layout::layers_of(name, Algorithm::Sha256) && entry.is_directory() {
            layers = digests(driver, &path).await?;
        } else {
            let walked: Vec<FileInfo> = driver.walk(&path, None).try_collect().await?;
            files.extend(walked);
        }
    }
    Ok(layers)
}

/// The digests that directories in a directory are named after.
async fn digests(driver: &dyn StorageDriver, path: &DriverPath) -> Result<Vec<Digest>> {
    let mut digests = Vec::new();
    let mut entries = driver.list(path, None);
    while let Some(entry) = entries.try_next().await? {
        let digest = format!("{}:{}", Algorithm::Sha256, entry.name()).parse();
        digests.extend(digest.ok().filter(|_| entry.is_directory()));
    }
    Ok(digests)
}
