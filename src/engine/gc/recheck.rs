//! A recheck of the candidates for deletion that a [quick scan](super::quick_scan) knows by name alone, so that the plan
//! matches the files.
//!
//! It checks everything that would be deleted if all of it were old. A candidate that turns out to be young keeps more
//! alive, never less, so one recheck is enough.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use sampan_driver::{DriverPath, FileInfo, StorageDriver, StorageDriverExt};

use super::caution::unseen;
use super::context::Context;
use super::interner::{Id, IdHashSet};
use super::inventory::{Age, Contents, Data, Inventory};
use super::mark::{Marks, RepositoryMarks};
use super::references::References;
use super::{Result, Unreadable};
use crate::layout::{self, Entry};
use crate::oci::{Algorithm, Digest, RepositoryName};

/// A link that is known by name alone.
#[derive(Clone, Copy)]
enum NamedLink {
    Layer { repository: usize, link: usize },
    History { repository: usize, tag: usize, link: usize },
}

/// How many links are checked before the results are recorded.
const BATCH: usize = 4096;

/// Checks the candidates, and forgets those that do not exist.
pub(super) async fn recheck(
    cx: &mut Context<'_>,
    inventory: &mut Inventory,
    references: &mut References,
    unreadable: &mut Vec<Unreadable>,
) -> Result<()> {
    let marks = references.mark(cx, inventory);
    let is_odd = recheck_links(cx, inventory, &marks).await?;
    recheck_data(cx, inventory, &mut references.data, &marks).await?;
    if is_odd {
        let read = references.read(cx, inventory).await?;
        let known: HashSet<&Unreadable> = unreadable.iter().collect();
        let new: Vec<_> = read.into_iter().filter(|file| !known.contains(file)).collect();
        unreadable.extend(new);
    }
    Ok(())
}

/// Returns whether some links do not have the length of a link.
async fn recheck_links(cx: &mut Context<'_>, inventory: &mut Inventory, marks: &Marks) -> Result<bool> {
    let odd = |inventory: &Inventory| inventory.repositories.iter().map(|all| all.odd.len()).sum::<usize>();
    let before = odd(inventory);
    let mut batch = Vec::new();
    for (repository, marks) in marks.repositories.iter().enumerate() {
        batch.extend(doubtful(repository, &inventory.repositories[repository], marks));
        if batch.len() >= BATCH {
            recheck_batch(cx, inventory, std::mem::take(&mut batch)).await?;
        }
    }
    recheck_batch(cx, inventory, batch).await?;
    let mut emptied = Vec::new();
    for contents in &mut inventory.repositories {
        contents.layers.retain(|link| link.age != Age::Gone);
        contents.tags.iter_mut().for_each(|tag| tag.entries.retain(|link| link.age != Age::Gone));
        contents.tags.retain(|tag| tag.is_current || !tag.entries.is_empty());
        if contents.is_blank() {
            emptied.push(contents.name.clone());
        }
    }
    for name in emptied {
        let has_manifests = cx.driver().list(&layout::manifests(&name), None).try_next().await?.is_some();
        inventory.bare.get_or_insert_default().extend(has_manifests.then_some(name));
    }
    Ok(odd(inventory) > before)
}

async fn recheck_batch(cx: &mut Context<'_>, inventory: &mut Inventory, batch: Vec<NamedLink>) -> Result<()> {
    let entry = |place: NamedLink| {
        let (repository, link) = match place {
            NamedLink::Layer { repository, link } => {
                (repository, inventory.repositories[repository].layers[link])
            }
            NamedLink::History { repository, tag, link } => {
                (repository, inventory.repositories[repository].tags[tag].entries[link])
            }
        };
        let (contents, digest) = (&inventory.repositories[repository], cx.ids.digest(link.id));
        let name = contents.name.clone();
        match place {
            NamedLink::Layer { .. } => Entry::LayerLink(name, digest),
            NamedLink::History { tag, .. } => Entry::TagIndex(name, contents.tags[tag].tag.clone(), digest),
        }
    };
    let wanted = batch.into_iter().map(|place| (place, entry(place))).collect();
    let (driver, parallelism) = (cx.driver(), cx.parallelism());
    let look = |piece| look_at(driver.clone(), piece, |(_, entry): &(NamedLink, Entry)| entry.path());
    let mut found = parallelism.run_all(parallelism.chunks(wanted).map(look), cx.concurrency());
    while let Some(found) = found.try_next().await? {
        cx.pacer.tick().await?;
        for ((place, entry), info) in found {
            if let Some(info) = info.as_ref().filter(|info| cx.cutoff.is_future(info.modified)) {
                inventory.future.push(info.path.clone());
            }
            let age = info.as_ref().map_or(Age::Gone, |info| Age::of(info, cx.cutoff));
            match place {
                NamedLink::Layer { repository, link } => {
                    let contents = &mut inventory.repositories[repository];
                    contents.layers[link].age = age;
                    if let Some(info) = info {
                        contents.check(info.size_bytes, || entry);
                    }
                }
                NamedLink::History { repository, tag, link } => {
                    inventory.repositories[repository].tags[tag].entries[link].age = age;
                }
            }
        }
    }
    Ok(())
}

/// Checks the data that would be deleted, and those of manifests whose links would be deleted.
async fn recheck_data(
    cx: &mut Context<'_>,
    inventory: &mut Inventory,
    data: &mut Data,
    marks: &Marks,
) -> Result<()> {
    let mut wanted: IdHashSet = cx.ids.canonical().filter(|id| !marks.data.contains(*id)).collect();
    for (contents, marks) in inventory.repositories.iter().zip(&marks.repositories) {
        let dead = contents.revisions.iter().zip(&marks.revisions).filter(|(_, live)| !**live);
        wanted.extend(dead.map(|(link, _)| link.id));
    }
    let unknown = wanted.into_iter().filter(|id| data.is_unknown(*id));
    let unknown = unknown.map(|id| (id, *cx.ids.hash(id))).collect();
    let (driver, parallelism) = (cx.driver(), cx.parallelism());
    let path = |(_, hash): &(Id, [u8; 32])| Entry::Blob(Digest::from_hash(Algorithm::Sha256, hash)).path();
    let look = |piece| look_at(driver.clone(), piece, path);
    let mut found = parallelism.run_all(parallelism.chunks(unknown).map(look), cx.concurrency());
    while let Some(found) = found.try_next().await? {
        cx.pacer.tick().await?;
        for ((id, _), info) in found {
            if let Some(info) = info.as_ref().filter(|info| cx.cutoff.is_future(info.modified)) {
                inventory.future.push(info.path.clone());
            }
            data.set(id, info.as_ref(), cx.cutoff);
        }
    }
    Ok(())
}

/// Walks repositories that seem empty, since foreign files keep a repository.
pub(super) async fn find_foreign(
    cx: &mut Context<'_>,
    inventory: &mut Inventory,
    names: &[RepositoryName],
) -> Result<()> {
    let mut foreign = Vec::new();
    for name in names {
        let mut files = Inventory::default();
        for room in [layout::manifests(name), layout::layers(name)] {
            let mut found = cx.driver().walk(&room, None);
            while let Some(file) = found.next().await {
                cx.pacer.tick().await?;
                match file {
                    Ok(file) => files.take_file(file, cx.cutoff, &mut cx.ids),
                    Err(error) => inventory.unseen.push(unseen(error)?),
                }
            }
        }
        foreign.append(&mut files.foreign);
    }
    let known: HashSet<&DriverPath> = inventory.foreign.iter().collect();
    foreign.retain(|path| !known.contains(path));
    inventory.foreign.append(&mut foreign);
    Ok(())
}

/// The links of a repository that are known by name alone and would be deleted.
fn doubtful(repository: usize, contents: &Contents, marks: &RepositoryMarks) -> Vec<NamedLink> {
    if marks.is_obscure {
        return Vec::new(); // Everything stays.
    }
    let layers = contents.layers.iter().zip(&marks.layers).enumerate();
    let layers = layers.filter(|(_, (link, live))| !**live && link.age == Age::Unknown);
    let mut doubtful: Vec<NamedLink> =
        layers.map(|(link, _)| NamedLink::Layer { repository, link }).collect();
    let revisions = contents.revisions.iter().zip(&marks.revisions).filter(|(_, live)| **live);
    let revisions: IdHashSet = revisions.map(|(link, _)| link.id).collect();
    for (tag, history) in contents.tags.iter().enumerate() {
        let entries = history.entries.iter().enumerate();
        let entries = entries.filter(|(_, link)| link.age == Age::Unknown && !revisions.contains(&link.id));
        doubtful.extend(entries.map(|(link, _)| NamedLink::History { repository, tag, link }));
    }
    doubtful
}

/// Stats the path of each thing.
async fn look_at<T>(
    driver: Arc<dyn StorageDriver>,
    things: Vec<T>,
    path: impl Fn(&T) -> DriverPath,
) -> Result<Vec<(T, Option<FileInfo>)>> {
    let mut seen = Vec::with_capacity(things.len());
    for thing in things {
        let info = driver.stat_if_any(&path(&thing)).await?;
        seen.push((thing, info));
    }
    Ok(seen)
}
