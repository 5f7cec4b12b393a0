//! Reads the few links whose content matters: aliases, tags, and links of an unexpected length. The path of every other
//! link contains its digest.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{DriverPath, StorageDriver, StorageDriverExt, with_causes};

use super::Result;
use super::eviction::Victims;
use super::graph::is_of_this_file;
use super::interner::{DigestInterner, Id, IdHashSet};
use super::inventory::{Contents, Data, History, Inventory};
use super::options::Options;
use super::pacer::Pacer;
use super::report::Unreadable;
use crate::layout::Entry;
use crate::link;
use crate::oci::{Digest, RepositoryName, Tag};

/// The manifests that tags point at, by repository and tag. A collection reads each tag once, since a manifest that is
/// tagged later is young.
pub(super) type Tagged = HashMap<(RepositoryName, Tag), Option<Id>>;

/// The position of a link in the inventory.
#[derive(Clone, Copy)]
enum LinkIndex {
    Alias(usize, usize),
    Odd(usize, usize),
    Tag(usize, usize),
}

/// Reads these links, and marks those whose targets cannot be known.
pub(super) async fn read(
    driver: &Arc<dyn StorageDriver>,
    inventory: &mut Inventory,
    (tagged, data): (&mut Tagged, &Data),
    ids: &mut DigestInterner,
    (options, victims): (&Options, &Victims),
    pacer: &mut Pacer,
) -> Result<Vec<Unreadable>> {
    let mut wanted = Vec::new();
    for (place, contents) in inventory.repositories.iter_mut().enumerate() {
        wanted.extend((0..contents.aliases.len()).map(|alias| LinkIndex::Alias(place, alias)));
        wanted.extend((0..contents.odd.len()).map(|odd| LinkIndex::Odd(place, odd)));
        // Unless the collection deletes untagged manifests, every manifest with a link is live, whatever tags say, and only
        // a tag that may point at a manifest without one matters.
        let linked: Option<IdHashSet> =
            (!options.delete_untagged).then(|| contents.revisions.iter().map(|link| link.id).collect());
        let victims = victims.of(&contents.name);
        let is_victim = |id: Id| victims.is_some_and(|victims| victims.contains_key(&id));
        let matters = |history: &History| {
            let stays = |linked: &IdHashSet, id: Id| linked.contains(&id) && !is_victim(id);
            let is_linked = |linked: &IdHashSet| {
                !history.entries.is_empty() && history.entries.iter().all(|entry| stays(linked, entry.id))
            };
            history.is_current && !linked.as_ref().is_some_and(is_linked)
        };
        for (tag, history) in contents.tags.iter_mut().enumerate().filter(|(_, history)| matters(history)) {
            match tagged.get(&(contents.name.clone(), history.tag.clone())) {
                Some(current) => history.current = *current,
                None => wanted.push(LinkIndex::Tag(place, tag)),
            }
        }
    }
    let mut unreadable = obstructed(inventory);
    let entries: Vec<(LinkIndex, Entry)> =
        wanted.into_iter().map(|place| (place, entry(&inventory.repositories, place, ids))).collect();
    let mut targets = stream::iter(entries)
        .map(|(place, entry)| {
            let driver = driver.clone();
            async move {
                match driver.get_content_if_any(&entry.path()).await {
                    Ok(content) => {
                        Ok::<_, super::Error>((place, entry, content.map(|content| parse(&content))))
                    }
                    Err(error) if is_of_this_file(&error) => {
                        Ok((place, entry, Some(Err(with_causes(&error).to_string()))))
                    }
                    Err(error) => Err(error.into()),
                }
            }
        })
        .buffered(options.concurrency.max(1));
    while let Some((place, entry, target)) = targets.try_next().await? {
        pacer.tick().await?;
        // A link that is gone was deleted since, with everything that it kept alive.
        let Some(target) = target else { continue };
        if let (LinkIndex::Tag(repository, tag), Ok(digest)) = (place, &target) {
            let id = ids.intern(digest);
            let history = &mut inventory.repositories[repository].tags[tag];
            if is_strange(history, id, data) && leads_nowhere(driver, &entry, digest).await? {
                history.unreadable = true;
                let reason =
                    format!("it names {digest}, which is not here, and at which the tag never pointed");
                unreadable.push(Unreadable { path: entry.path().to_string(), reason });
                continue;
            }
        }
        if let Err(reason) = settle(inventory, tagged, ids, place, &entry, target, options) {
            unreadable.push(Unreadable { path: entry.path().to_string(), reason });
        }
    }
    inventory.repositories.iter_mut().for_each(Contents::keep_all);
    Ok(unreadable)
}

/// The links in whose places there are directories.
fn obstructed(inventory: &Inventory) -> Vec<Unreadable> {
    let unreadable =
        |link: &DriverPath| Unreadable { path: link.to_string(), reason: link::OBSTRUCTED.to_owned() };
    let mut obstructed: Vec<_> = inventory.obstructed.iter().map(unreadable).collect();
    for contents in &inventory.repositories {
        let tags = contents.tags.iter().filter(|history| history.unreadable && !history.is_current);
        let link = |tag: &Tag| Entry::TagCurrent(contents.name.clone(), tag.clone()).path();
        obstructed.extend(tags.map(|history| unreadable(&link(&history.tag))));
    }
    obstructed
}

/// Whether a tag names a manifest that is not there and at which it has never pointed, as after damage to its link. A tag
/// without a history says nothing: an interrupted deletion may have left it.
fn is_strange(history: &History, target: Id, data: &Data) -> bool {
    let entries = &history.entries;
    !data.is_there(target) && !entries.is_empty() && entries.iter().all(|entry| entry.id != target)
}

/// Whether a tag still names that manifest, and the store has neither its data nor a link to it. A push may have brought it
/// since the scan.
async fn leads_nowhere(driver: &Arc<dyn StorageDriver>, entry: &Entry, target: &Digest) -> Result<bool> {
    let Entry::TagCurrent(name, _) = entry else { return Ok(false) };
    let (name, digest) = (name.clone(), target.clone());
    let links = [Entry::LayerLink(name.clone(), digest.clone()), Entry::RevisionLink(name, digest.clone())];
    for file in links.iter().chain(&[Entry::Blob(digest)]) {
        if driver.exists(&file.path()).await? {
            return Ok(false);
        }
    }
    let content = driver.get_content_if_any(&entry.path()).await?;
    Ok(content.is_some_and(|content| parse(&content).as_ref() == Ok(target)))
}

fn entry(repositories: &[Contents], place: LinkIndex, ids: &DigestInterner) -> Entry {
    match place {
        LinkIndex::Alias(place, alias) => {
            let contents = &repositories[place];
            let alias = contents.aliases[alias];
            alias_entry(&contents.name, ids.digest(alias.id), alias.of_manifest)
        }
        LinkIndex::Odd(place, odd) => repositories[place].odd[odd].clone(),
        LinkIndex::Tag(place, tag) => {
            let contents = &repositories[place];
            Entry::TagCurrent(contents.name.clone(), contents.tags[tag].tag.clone())
        }
    }
}

pub(super) fn alias_entry(name: &RepositoryName, digest: Digest, of_manifest: bool) -> Entry {
    match of_manifest {
        true => Entry::RevisionLink(name.clone(), digest),
        false => Entry::LayerLink(name.clone(), digest),
    }
}

fn settle(
    inventory: &mut Inventory,
    tagged: &mut Tagged,
    ids: &mut DigestInterner,
    place: LinkIndex,
    entry: &Entry,
    target: Result<Digest, String>,
    options: &Options,
) -> Result<(), String> {
    match place {
        LinkIndex::Alias(place, alias) => {
            let contents = &mut inventory.repositories[place];
            match &target {
                Ok(canonical) => contents.aliases[alias].canonical = Some(ids.intern(canonical)),
                Err(_) => contents.aliases[alias].unreadable = true,
            }
        }
        LinkIndex::Odd(place, _) => {
            let contents = &mut inventory.repositories[place];
            let expected = match entry {
                Entry::LayerLink(_, digest) | Entry::RevisionLink(_, digest) => Some(digest),
                _ => None,
            };
            match (&target, expected) {
                (Ok(canonical), Some(digest)) if canonical != digest => {
                    contents.keep(entry, ids);
                    return Err(format!("it names {canonical} instead"));
                }
                (Err(_), Some(_)) => contents.keep(entry, ids),
                // A tag: if its target matters, it is also read as a tag.
                _ => {}
            }
        }
        LinkIndex::Tag(place, tag) => {
            let contents = &mut inventory.repositories[place];
            match &target {
                Ok(canonical) => {
                    let id = ids.intern(canonical);
                    contents.tags[tag].current = Some(id);
                    tagged.insert((contents.name.clone(), contents.tags[tag].tag.clone()), Some(id));
                }
                Err(_) => {
                    contents.tags[tag].unreadable = true;
                    // The tag points at one of the manifests in its history; without a history, at any manifest.
                    contents.is_obscure |= options.delete_untagged && contents.tags[tag].entries.is_empty();
                    // Reported once: the tag may already be among the odd links.
                    return if contents.tags[tag].is_odd { Ok(()) } else { target.map(drop) };
                }
            }
        }
    }
    target.map(drop)
}

fn parse(content: &[u8]) -> Result<Digest, String> {
    let text = std::str::from_utf8(content).map_err(|error| error.to_string())?;
    let digest: Digest =
        text.trim_ascii().parse().map_err(|error: crate::oci::InvalidDigest| error.to_string())?;
    if digest.is_canonical() {
        Ok(digest)
    } else {
        Err(format!("it names {digest}, which content is not stored under"))
    }
}
