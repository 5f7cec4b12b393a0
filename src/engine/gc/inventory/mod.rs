//! `Inventory`: every file of the store, in a few bytes each.

mod contents;
mod data;
mod obstructed;

pub(super) use contents::{Age, Alias, Attached, Contents, History, Link};
pub(super) use data::Data;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::select_all;
use sampan_driver::{DriverPath, FileInfo, StorageDriver};

use super::caution::unseen;
use super::cutoff::Cutoff;
use super::interner::{DigestInterner, Id};
use super::pacer::Pacer;
use super::{Result, Unreadable};
use crate::caches::{CachePrefixes, hour_of};
use crate::layout::{self, Entry};
use crate::link;
use crate::oci::{Algorithm, RepositoryName, Tag};

/// Everything below some roots.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) repositories: Vec<Contents>,
    places: HashMap<RepositoryName, usize>,
    pub(super) data: Data,
    pub(super) temporary: Vec<FileInfo>,
    /// Files with the digests by which tags were pushed; those of deleted tags are leftovers.
    tag_digests: Vec<(RepositoryName, Tag, FileInfo)>,
    pub(super) foreign: Vec<DriverPath>,
    /// Places that cannot be seen.
    pub(super) unseen: Vec<Unreadable>,
    /// Links of manifests in whose places there are directories.
    pub(super) obstructed: Vec<DriverPath>,
    /// Files that a wrong clock has dated in the future.
    pub(super) future: Vec<DriverPath>,
    pub(super) files: u64,
    /// Repositories that consist of nothing but directories, if that is known.
    pub(super) bare: Option<Vec<RepositoryName>>,
    /// The repositories whose links have the grace period of caches.
    caches: CachePrefixes,
}

impl Inventory {
    /// Walks everything below `roots`.
    pub(super) async fn walk(
        driver: &Arc<dyn StorageDriver>,
        roots: &[DriverPath],
        (cutoff, caches): (Cutoff, &CachePrefixes),
        ids: &mut DigestInterner,
        pacer: &mut Pacer,
    ) -> Result<Self> {
        let caches = if cutoff.has_caches() { caches.clone() } else { CachePrefixes::default() };
        let mut inventory = Self { caches, ..Self::default() };
        let mut files = select_all(roots.iter().map(|root| driver.walk(root, None)));
        while let Some(file) = files.next().await {
            match file {
                Ok(file) => inventory.take_file(file, cutoff, ids),
                Err(error) => inventory.unseen.push(unseen(error)?),
            }
            pacer.tick().await?;
        }
        inventory.find_obstructed(driver, ids, pacer).await?;
        inventory.find_left_digests();
        Ok(inventory)
    }

    /// Counts the digest files of deleted tags as temporary.
    fn find_left_digests(&mut self) {
        let mut current: Option<(RepositoryName, HashSet<Tag>)> = None;
        for (name, tag, file) in std::mem::take(&mut self.tag_digests) {
            let (_, tags) = match current.take().filter(|(of, _)| *of == name) {
                Some(known) => current.insert(known),
                None => {
                    let tags = self.find(&name).into_iter().flat_map(|contents| &contents.tags);
                    let tags = tags.filter(|history| history.is_current || history.unreadable);
                    let tags = tags.map(|history| history.tag.clone());
                    current.insert((name, tags.collect()))
                }
            };
            if !tags.contains(&tag) {
                self.temporary.push(file);
            }
        }
    }

    pub(super) fn take_file(&mut self, file: FileInfo, cutoff: Cutoff, ids: &mut DigestInterner) {
        if cutoff.is_future(file.modified) {
            self.future.push(file.path.clone());
        }
        let young = cutoff.is_young(file.modified);
        match Entry::parse(&file.path) {
            Some(entry) => return self.take(entry, file, cutoff, ids),
            None if !layout::is_temporary(&file.path) => self.foreign.push(file.path),
            None if young => {}
            None => self.temporary.push(file),
        }
        self.files += 1;
    }

    /// Records the names in the directory of a repository's layers.
    pub(super) fn take_layer_names(
        &mut self,
        name: &RepositoryName,
        hashes: &[[u8; 32]],
        ids: &mut DigestInterner,
    ) {
        self.files += hashes.len() as u64;
        if !hashes.is_empty() {
            self.contents(name).layers = unknown(hashes, ids);
        }
    }

    /// Records a tag, and the names in the directory of its history.
    pub(super) fn take_tag(
        &mut self,
        name: &RepositoryName,
        tag: Tag,
        current: Option<&FileInfo>,
        hashes: &[[u8; 32]],
        ids: &mut DigestInterner,
    ) {
        self.files += hashes.len() as u64 + u64::from(current.is_some());
        if current.is_none() && hashes.is_empty() {
            return;
        }
        let contents = self.contents(name);
        let entries = unknown(hashes, ids);
        let is_odd = current.is_some_and(|current| current.size_bytes != link::BYTES);
        contents.tags.push(History { is_current: current.is_some(), is_odd, entries, ..History::new(tag) });
        if let (Some(current), Some(history)) = (current, contents.tags.last()) {
            let tag = history.tag.clone();
            contents.check(current.size_bytes, || Entry::TagCurrent(name.clone(), tag));
        }
    }

    pub(super) fn take(&mut self, entry: Entry, file: FileInfo, cutoff: Cutoff, ids: &mut DigestInterner) {
        self.files += 1;
        let in_cache = match &entry {
            Entry::LayerLink(name, _) | Entry::RevisionLink(name, _) => self.caches.contains(name),
            _ => false,
        };
        let age = match in_cache {
            true if !cutoff.is_young_in_cache(file.modified) => match entry {
                Entry::LayerLink(..) if cutoff.is_young(file.modified) => Age::OldInCache,
                _ => Age::Old,
            },
            _ => Age::of(&file, cutoff),
        };
        let young = age == Age::Young;
        match entry {
            Entry::Blob(digest) if digest.is_canonical() => {
                self.data.set(ids.intern(&digest), Some(&file), cutoff);
            }
            // Content is never stored under another algorithm.
            Entry::Blob(_) => self.foreign.push(file.path),
            Entry::CollectionDoomed
            | Entry::CollectionLast
            | Entry::CollectionNotice(..)
            | Entry::CollectionPending(..)
            | Entry::CollectionRun
            | Entry::AccessTokenEnds(_)
            | Entry::AccessTokenRecord(_)
            | Entry::AccessTokenUsed(_)
            | Entry::BackupOf
            | Entry::CacheComparisons(_)
            | Entry::CacheOffline(_)
            | Entry::CacheUses(_)
            | Entry::MigrationBegun
            | Entry::Moved
            | Entry::RemovedTag(..)
            | Entry::Reserve
            | Entry::TagDates(_)
            | Entry::Snapshot(_)
            | Entry::StoreId
            | Entry::Survey
            | Entry::SurveyTurn(_)
            | Entry::SyncRun(..)
            | Entry::TokenRestore
            | Entry::Damaged(..)
            | Entry::DamagedNote(..)
            | Entry::Verification
            | Entry::VerificationTurn(_)
            | Entry::UploadPurge(_) => {}
            // A copy that was killed has left it.
            Entry::MigrationStaged(_) if young => {}
            Entry::MigrationStaged(_) => self.temporary.push(file),
            Entry::LayerLink(name, digest) => {
                let id = ids.intern(&digest);
                let contents = self.contents(&name);
                match id.is_alias() {
                    true => contents.add_alias(Alias::new(id, false, young)),
                    false => {
                        contents.layers.push(Link { id, age });
                        contents.check(file.size_bytes, || Entry::LayerLink(name, digest));
                    }
                }
            }
            Entry::Fetched(name, digest) if digest.is_canonical() => {
                let id = ids.intern(&digest);
                self.contents(&name).fetched.insert(id, age);
            }
            Entry::Pushed(name, digest) if digest.is_canonical() => {
                let id = ids.intern(&digest);
                self.contents(&name).pushed.insert(id, age);
            }
            // A mark names a manifest by the digest under which it is stored.
            Entry::Fetched(..) | Entry::Pushed(..) => self.foreign.push(file.path),
            Entry::Referrer(name, subject, digest) if digest.is_canonical() => {
                let (subject, manifest) = (ids.intern(&subject), ids.intern(&digest));
                self.contents(&name).referrers.push(Attached { subject, manifest, young });
            }
            // The index names a manifest by the digest under which it is stored.
            Entry::Referrer(..) => self.foreign.push(file.path),
            Entry::ReferrersComplete(name) => self.contents(&name).has_index = true,
            Entry::RevisionLink(name, digest) => {
                let id = ids.intern(&digest);
                let contents = self.contents(&name);
                match id.is_alias() {
                    true => contents.add_alias(Alias::new(id, true, young)),
                    false => {
                        contents.revisions.push(Link { id, age });
                        contents.revision_hours.push(hour_of(file.modified));
                        contents.check(file.size_bytes, || Entry::RevisionLink(name, digest));
                    }
                }
            }
            Entry::TagCurrent(name, tag) => {
                let contents = self.contents(&name);
                contents.last_push = contents.last_push.max(Some(file.modified));
                let history = contents.history(&tag);
                history.is_current = true;
                history.is_odd = file.size_bytes != link::BYTES;
                contents.check(file.size_bytes, || Entry::TagCurrent(name, tag));
            }
            Entry::TagIndex(name, tag, digest) => {
                let id = ids.intern(&digest);
                self.contents(&name).history(&tag).entries.push(Link { id, age });
            }
            Entry::TagDigest(..) if young => {}
            Entry::TagDigest(name, tag) => self.tag_digests.push((name, tag, file)),
            // An interrupted deletion leaves these.
            Entry::ManifestRemoval(..) | Entry::TagRemoval(..) if cutoff.is_pending(file.modified) => {}
            Entry::ManifestRemoval(..) | Entry::TagRemoval(..) => self.temporary.push(file),
            Entry::UploadData(name, id)
            | Entry::UploadStartedAt(name, id)
            | Entry::UploadHashState(name, id, _, _) => {
                let touched = self.contents(&name).uploads.entry(id).or_insert(file.modified);
                *touched = file.modified.max(*touched);
            }
        }
    }

    /// Returns the contents of the repository, which are empty when it is new to the inventory.
    fn contents(&mut self, name: &RepositoryName) -> &mut Contents {
        // A walk yields the files repository by repository.
        let place = match self.repositories.last() {
            Some(last) if last.name == *name => self.repositories.len() - 1,
            _ => *self.places.entry(name.clone()).or_insert_with(|| {
                self.repositories.push(Contents::new(name.clone()));
                self.repositories.len() - 1
            }),
        };
        &mut self.repositories[place]
    }

    /// Sorts the repositories into the order of a walk.
    pub(super) fn sort(&mut self) {
        self.repositories.sort_by_cached_key(|contents| layout::layers(&contents.name));
        let names = self.repositories.iter().enumerate();
        self.places = names.map(|(place, contents)| (contents.name.clone(), place)).collect();
    }

    /// The repositories that have foreign files among their links.
    pub(super) fn with_foreign(&self) -> HashSet<RepositoryName> {
        let places = self.foreign.iter().filter_map(layout::place_in_repository);
        places.filter(|(_, room)| ["_layers", "_manifests"].contains(room)).map(|(name, _)| name).collect()
    }

    /// The repository of that name, if it has any content.
    pub(super) fn find(&self, name: &RepositoryName) -> Option<&Contents> {
        self.places.get(name).map(|place| &self.repositories[*place])
    }

    /// The same, to change what is known of it.
    pub(super) fn find_mut(&mut self, name: &RepositoryName) -> Option<&mut Contents> {
        self.places.get(name).map(|place| &mut self.repositories[*place])
    }
}

/// Links whose names a listing has shown.
fn unknown(hashes: &[[u8; 32]], ids: &mut DigestInterner) -> Vec<Link> {
    hashes.iter().map(|hash| Link { id: ids.intern_hash(hash), age: Age::Unknown }).collect()
}

/// The roots that a collection walks.
pub(super) fn everything() -> Vec<DriverPath> {
    vec![
        layout::repositories_root(),
        layout::blobs_root(),
        layout::collection_root(),
        layout::migration_staged(),
    ]
}

/// The path of the data of `id`, which must be canonical.
pub(super) fn data_path(ids: &DigestInterner, id: Id) -> DriverPath {
    let digest = ids.digest(id);
    debug_assert_eq!(digest.algorithm(), Algorithm::Sha256, "aliases have no data");
    Entry::Blob(digest).path()
}
