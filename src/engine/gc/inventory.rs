//! `Inventory`: every file of the store, in a few bytes each.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use futures::StreamExt;
use futures::stream::select_all;
use sampan_driver::{DriverPath, FileInfo, StorageDriver};

use super::caution::unseen;
use super::cutoff::Cutoff;
use super::ids::{Id, IdSet, Ids};
use super::pulse::Pulse;
use super::{Result, Unreadable};
use crate::layout::{self, Entry};
use crate::oci::{Algorithm, Digest, RepositoryName, Tag};
use crate::upload_id::UploadId;

/// Everything below some roots.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) repositories: Vec<Contents>,
    places: HashMap<RepositoryName, usize>,
    pub(super) data: Data,
    pub(super) temporary: Vec<FileInfo>,
    /// The digests by which tags were pushed; those of tags that are gone are left over.
    tag_digests: Vec<(RepositoryName, Tag, FileInfo)>,
    pub(super) foreign: Vec<DriverPath>,
    /// Places that cannot be seen.
    pub(super) unseen: Vec<Unreadable>,
    /// Files with the date of a clock that was wrong.
    pub(super) future: Vec<DriverPath>,
    pub(super) files: u64,
    /// Repositories of which there are nothing but directories, if that is known.
    pub(super) bare: Option<Vec<RepositoryName>>,
}

/// Everything in one repository.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) name: RepositoryName,
    pub(super) layers: Vec<Link>,
    pub(super) revisions: Vec<Link>,
    pub(super) aliases: Vec<Alias>,
    pub(super) tags: Vec<History>,
    /// The index of referrers.
    pub(super) referrers: Vec<Attached>,
    /// Whether that says that it is complete.
    pub(super) has_index: bool,
    /// With the time of the last sign of life.
    pub(super) uploads: BTreeMap<UploadId, SystemTime>,
    /// Links that are not as long as they must be.
    pub(super) odd: Vec<Entry>,
    /// Something cannot be read that may refer to anything in here.
    pub(super) obscure: bool,
}

/// A link to a canonical digest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) id: Id,
    pub(super) age: Age,
}

/// How old something is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Age {
    /// Older than the grace period.
    Old,
    /// Younger, or to be treated so.
    Young,
    /// It was seen in a listing, which tells neither that nor whether it is there.
    Unknown,
    /// It stood in a listing, and was not there.
    Gone,
}

impl Age {
    pub(super) fn of(file: &FileInfo, cutoff: Cutoff) -> Self {
        if cutoff.is_young(file.modified) { Self::Young } else { Self::Old }
    }
}

impl Link {
    pub(super) fn is_young(self) -> bool {
        self.age == Age::Young
    }
}

/// A link from a digest of another algorithm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alias {
    pub(super) id: Id,
    pub(super) of_manifest: bool,
    pub(super) young: bool,
    /// What it stands for, once it is read.
    pub(super) canonical: Option<Id>,
    /// It was read, and nobody knows what it stands for.
    pub(super) unreadable: bool,
}

impl Alias {
    fn new(id: Id, of_manifest: bool, young: bool) -> Self {
        Self { id, of_manifest, young, canonical: None, unreadable: false }
    }
}

/// An entry of the index of referrers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attached {
    pub(super) subject: Id,
    pub(super) manifest: Id,
    pub(super) young: bool,
}

/// A tag, and what it ever pointed at.
#[derive(Debug)]
pub(super) struct History {
    pub(super) tag: Tag,
    pub(super) is_current: bool,
    /// What it points at, once it is read.
    pub(super) current: Option<Id>,
    /// It was read, and points at something that it has pointed at before.
    pub(super) unreadable: bool,
    pub(super) entries: Vec<Link>,
}

impl History {
    fn new(tag: Tag) -> Self {
        Self { tag, is_current: false, current: None, unreadable: false, entries: Vec::new() }
    }

    /// What it points at, as far as that is known; all that it may point at when its link cannot be read.
    pub(super) fn targets(&self) -> impl Iterator<Item = Id> {
        let possible = self.entries.iter().filter(|_| self.unreadable).map(|entry| entry.id);
        self.current.into_iter().chain(possible)
    }
}

/// The data of all blobs and manifests.
#[derive(Debug, Default)]
pub(super) struct Data {
    /// In the order of ids; lengths, or one of the two below.
    sizes: Vec<u64>,
    young: IdSet,
}

/// There are none.
const ABSENT: u64 = u64::MAX;

/// They were seen in a listing.
const UNKNOWN: u64 = u64::MAX - 1;

impl Data {
    /// What a look at them has shown.
    pub(super) fn set(&mut self, id: Id, info: Option<&FileInfo>, cutoff: Cutoff) {
        self.put(id, info.map_or(ABSENT, |info| info.size_bytes));
        if info.is_some_and(|info| cutoff.is_young(info.modified)) {
            self.young.insert(id);
        }
    }

    /// That they stand in a listing.
    pub(super) fn list(&mut self, id: Id) {
        self.put(id, UNKNOWN);
    }

    /// That they were deleted.
    pub(super) fn remove(&mut self, id: Id) {
        self.put(id, ABSENT);
    }

    fn put(&mut self, id: Id, size_bytes: u64) {
        if id.index() >= self.sizes.len() {
            self.sizes.resize(id.index() + 1, ABSENT);
        }
        self.sizes[id.index()] = size_bytes;
    }

    fn get(&self, id: Id) -> u64 {
        self.sizes.get(id.index()).copied().unwrap_or(ABSENT)
    }

    /// Whether they are there, as far as is known.
    pub(super) fn is_there(&self, id: Id) -> bool {
        self.get(id) != ABSENT
    }

    /// Whether only a listing has shown them.
    pub(super) fn is_unknown(&self, id: Id) -> bool {
        self.get(id) == UNKNOWN
    }

    /// How long they are, if they are there and were looked at.
    pub(super) fn size_bytes(&self, id: Id) -> Option<u64> {
        Some(self.get(id)).filter(|size_bytes| !matches!(*size_bytes, ABSENT | UNKNOWN))
    }

    pub(super) fn is_young(&self, id: Id) -> bool {
        self.young.contains(id)
    }
}

/// The length of every link: `sha256:` and 64 digits.
const LINK_BYTES: u64 = 71;

impl Inventory {
    /// Walks everything below `roots`.
    pub(super) async fn walk(
        driver: &Arc<dyn StorageDriver>,
        roots: &[DriverPath],
        cutoff: Cutoff,
        ids: &mut Ids,
        pulse: &mut Pulse,
    ) -> Result<Self> {
        let mut inventory = Self::default();
        let mut files = select_all(roots.iter().map(|root| driver.walk(root, None)));
        while let Some(file) = files.next().await {
            match file {
                Ok(file) => inventory.take_file(file, cutoff, ids),
                Err(error) => inventory.unseen.push(unseen(error)?),
            }
            pulse.beat().await?;
        }
        inventory.find_left_digests();
        Ok(inventory)
    }

    /// Counts those digests beside tags as temporary whose tag is gone.
    fn find_left_digests(&mut self) {
        let mut current: Option<(RepositoryName, HashSet<Tag>)> = None;
        for (name, tag, file) in std::mem::take(&mut self.tag_digests) {
            let (_, tags) = match current.take().filter(|(of, _)| *of == name) {
                Some(known) => current.insert(known),
                None => {
                    let tags = self.find(&name).into_iter().flat_map(|contents| &contents.tags);
                    let tags = tags.filter(|history| history.is_current).map(|history| history.tag.clone());
                    current.insert((name, tags.collect()))
                }
            };
            if !tags.contains(&tag) {
                self.temporary.push(file);
            }
        }
    }

    pub(super) fn take_file(&mut self, file: FileInfo, cutoff: Cutoff, ids: &mut Ids) {
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

    /// Takes note of the names in the directory of a repository's layers.
    pub(super) fn take_layer_names(&mut self, name: &RepositoryName, hashes: &[[u8; 32]], ids: &mut Ids) {
        self.files += hashes.len() as u64;
        if !hashes.is_empty() {
            self.contents(name).layers = unknown(hashes, ids);
        }
    }

    /// Takes note of a tag, and of the names in the directory of its history.
    pub(super) fn take_tag(
        &mut self,
        name: &RepositoryName,
        tag: Tag,
        current: Option<&FileInfo>,
        hashes: &[[u8; 32]],
        ids: &mut Ids,
    ) {
        self.files += hashes.len() as u64 + u64::from(current.is_some());
        if current.is_none() && hashes.is_empty() {
            return;
        }
        let contents = self.contents(name);
        let entries = unknown(hashes, ids);
        contents.tags.push(History { is_current: current.is_some(), entries, ..History::new(tag) });
        if let (Some(current), Some(history)) = (current, contents.tags.last()) {
            let tag = history.tag.clone();
            contents.check(current.size_bytes, || Entry::TagCurrent(name.clone(), tag));
        }
    }

    pub(super) fn take(&mut self, entry: Entry, file: FileInfo, cutoff: Cutoff, ids: &mut Ids) {
        self.files += 1;
        let age = Age::of(&file, cutoff);
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
            | Entry::CollectionRun => {}
            Entry::LayerLink(name, digest) => {
                let id = ids.intern(&digest);
                let contents = self.contents(&name);
                match id.is_alias() {
                    true => contents.aliases.push(Alias::new(id, false, young)),
                    false => {
                        contents.layers.push(Link { id, age });
                        contents.check(file.size_bytes, || Entry::LayerLink(name, digest));
                    }
                }
            }
            Entry::Referrer(name, subject, digest) if digest.is_canonical() => {
                let (subject, manifest) = (ids.intern(&subject), ids.intern(&digest));
                self.contents(&name).referrers.push(Attached { subject, manifest, young });
            }
            // Manifests are indexed by the digest that they are stored under.
            Entry::Referrer(..) => self.foreign.push(file.path),
            Entry::ReferrersComplete(name) => self.contents(&name).has_index = true,
            Entry::RevisionLink(name, digest) => {
                let id = ids.intern(&digest);
                let contents = self.contents(&name);
                match id.is_alias() {
                    true => contents.aliases.push(Alias::new(id, true, young)),
                    false => {
                        contents.revisions.push(Link { id, age });
                        contents.check(file.size_bytes, || Entry::RevisionLink(name, digest));
                    }
                }
            }
            Entry::TagCurrent(name, tag) => {
                let contents = self.contents(&name);
                contents.history(&tag).is_current = true;
                contents.check(file.size_bytes, || Entry::TagCurrent(name, tag));
            }
            Entry::TagIndex(name, tag, digest) => {
                let id = ids.intern(&digest);
                self.contents(&name).history(&tag).entries.push(Link { id, age });
            }
            Entry::TagDigest(..) if young => {}
            Entry::TagDigest(name, tag) => self.tag_digests.push((name, tag, file)),
            // What a deletion leaves that was interrupted.
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

    /// What is in the repository; nothing yet if it is met for the first time.
    fn contents(&mut self, name: &RepositoryName) -> &mut Contents {
        // Files come repository by repository.
        let place = match self.repositories.last() {
            Some(last) if last.name == *name => self.repositories.len() - 1,
            _ => *self.places.entry(name.clone()).or_insert_with(|| {
                self.repositories.push(Contents::new(name.clone()));
                self.repositories.len() - 1
            }),
        };
        &mut self.repositories[place]
    }

    /// Puts the repositories in the order in which a walk meets them.
    pub(super) fn sort(&mut self) {
        self.repositories.sort_by_cached_key(|contents| layout::layers(&contents.name));
        let names = self.repositories.iter().enumerate();
        self.places = names.map(|(place, contents)| (contents.name.clone(), place)).collect();
    }

    /// Whether there are files in the repository that are none of ours.
    pub(super) fn has_foreign(&self, name: &RepositoryName) -> bool {
        let rooms = [layout::manifests(name), layout::layers(name)];
        self.foreign.iter().any(|path| rooms.iter().any(|room| path.starts_with(room)))
    }

    /// The repository of that name, if there is anything in it.
    pub(super) fn find(&self, name: &RepositoryName) -> Option<&Contents> {
        self.places.get(name).map(|place| &self.repositories[*place])
    }
}

impl Contents {
    fn new(name: RepositoryName) -> Self {
        Self {
            name,
            layers: Vec::new(),
            revisions: Vec::new(),
            aliases: Vec::new(),
            tags: Vec::new(),
            referrers: Vec::new(),
            has_index: false,
            uploads: BTreeMap::new(),
            odd: Vec::new(),
            obscure: false,
        }
    }

    fn history(&mut self, tag: &Tag) -> &mut History {
        // The files of a tag come together.
        if self.tags.last().is_none_or(|last| last.tag != *tag) {
            self.tags.push(History::new(tag.clone()));
        }
        let last = self.tags.len() - 1;
        &mut self.tags[last]
    }

    /// Whether there is nothing in it at all.
    pub(super) fn is_blank(&self) -> bool {
        self.layers.is_empty()
            && self.revisions.is_empty()
            && self.aliases.is_empty()
            && self.tags.is_empty()
            && self.referrers.is_empty()
            && !self.has_index
            && self.uploads.is_empty()
    }

    /// Takes note of what is wrong with a link.
    pub(super) fn check(&mut self, size_bytes: u64, entry: impl FnOnce() -> Entry) {
        if size_bytes != LINK_BYTES {
            self.odd.push(entry());
        }
    }

    /// What a digest that is met in a manifest of this repository is stored under.
    pub(super) fn resolve(&self, id: Id) -> Option<Id> {
        if !id.is_alias() {
            return Some(id);
        }
        self.aliases.iter().find(|alias| alias.id == id)?.canonical
    }

    /// Treats a link as young, so that it stays and what it is about stays.
    pub(super) fn keep(&mut self, entry: &Entry, ids: &mut Ids) {
        let (links, digest): (&mut Vec<Link>, &Digest) = match entry {
            Entry::LayerLink(_, digest) => (&mut self.layers, digest),
            Entry::RevisionLink(_, digest) => (&mut self.revisions, digest),
            _ => return,
        };
        let id = ids.intern(digest);
        links.iter_mut().filter(|link| link.id == id).for_each(|link| link.age = Age::Young);
    }
}

/// Links of which a listing has shown the names.
fn unknown(hashes: &[[u8; 32]], ids: &mut Ids) -> Vec<Link> {
    hashes.iter().map(|hash| Link { id: ids.intern_hash(hash), age: Age::Unknown }).collect()
}

/// All that a collection walks.
pub(super) fn everything() -> Vec<DriverPath> {
    vec![layout::repositories_root(), layout::blobs_root(), layout::collection_root()]
}

/// The path of a link to `id`, or from it if that is an alias.
pub(super) fn data_path(ids: &Ids, id: Id) -> DriverPath {
    let digest = ids.digest(id);
    debug_assert_eq!(digest.algorithm(), Algorithm::Sha256, "aliases have no data");
    Entry::Blob(digest).path()
}
