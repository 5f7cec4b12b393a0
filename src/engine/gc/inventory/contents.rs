//! `Contents`: everything in one repository, in a few bytes for each file.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::time::SystemTime;

use sampan_driver::FileInfo;

use super::super::cutoff::Cutoff;
use super::super::interner::{DigestInterner, Id, IdHashSet, IdHasher, IdMap};
use crate::layout::Entry;
use crate::link;
use crate::oci::{Digest, RepositoryName, Tag};
use crate::upload::UploadId;

/// Everything in one repository.
#[derive(Debug)]
pub(in crate::gc) struct Contents {
    pub(in crate::gc) name: RepositoryName,
    pub(in crate::gc) layers: Vec<Link>,
    pub(in crate::gc) revisions: Vec<Link>,
    /// The hour since 1970 in which each of `revisions` was written.
    pub(in crate::gc) revision_hours: Vec<u32>,
    pub(in crate::gc) aliases: Vec<Alias>,
    /// Position of each alias in `aliases`, by its id and whether it is of a manifest.
    alias_places: HashMap<(Id, bool), usize, BuildHasherDefault<IdHasher>>,
    pub(in crate::gc) tags: Vec<History>,
    /// When a tag was last pointed at a manifest.
    pub(in crate::gc) last_push: Option<SystemTime>,
    /// The referrer index.
    pub(in crate::gc) referrers: Vec<Attached>,
    /// Whether the referrer index is marked as complete.
    pub(in crate::gc) has_index: bool,
    /// Uploads, with the time of the last write to each.
    pub(in crate::gc) uploads: BTreeMap<UploadId, SystemTime>,
    /// Links that do not have the length of a link.
    pub(in crate::gc) odd: Vec<Entry>,
    /// Links that stay, whatever refers to them, by whether they are of manifests. See [`keep`](Self::keep).
    kept: [IdHashSet; 2],
    /// Marks of manifests that were fetched from another registry.
    pub(in crate::gc) fetched: IdMap<Age>,
    /// Marks of manifests that a client pushed while the repository was a cache.
    pub(in crate::gc) pushed: IdMap<Age>,
    /// Manifests that Distribution's cache fetched, by the record of that.
    pub(in crate::gc) scheduled: IdHashSet,
    /// Manifests that a snapshot has.
    pub(in crate::gc) in_snapshots: Arc<IdHashSet>,
    /// An unreadable file may refer to anything in the repository.
    pub(in crate::gc) is_obscure: bool,
}

/// A link to a canonical digest.
#[derive(Clone, Copy, Debug)]
pub(in crate::gc) struct Link {
    pub(in crate::gc) id: Id,
    pub(in crate::gc) age: Age,
}

/// Age of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::gc) enum Age {
    /// Older than the grace period.
    Old,
    /// Younger than the grace period, or treated as such.
    Young,
    /// Of a layer link in a cache: older than the grace period of caches, and younger than that of a push. It stays if no
    /// manifest explains it, since the manifest of a copy comes last.
    OldInCache,
    /// Only a listing showed the file, which shows neither its age nor whether it exists.
    Unknown,
    /// A listing showed the file, but it does not exist.
    Gone,
}

impl Age {
    pub(in crate::gc) fn of(file: &FileInfo, cutoff: Cutoff) -> Self {
        if cutoff.is_young(file.modified) { Self::Young } else { Self::Old }
    }
}

impl Link {
    pub(in crate::gc) fn is_young(self) -> bool {
        self.age == Age::Young
    }
}

/// A link from a digest of another algorithm.
#[derive(Clone, Copy, Debug)]
pub(in crate::gc) struct Alias {
    pub(in crate::gc) id: Id,
    pub(in crate::gc) of_manifest: bool,
    pub(in crate::gc) young: bool,
    /// Its target, once the link is read.
    pub(in crate::gc) canonical: Option<Id>,
    /// The link was read, and does not name a target.
    pub(in crate::gc) unreadable: bool,
}

impl Alias {
    pub(in crate::gc) fn new(id: Id, of_manifest: bool, young: bool) -> Self {
        Self { id, of_manifest, young, canonical: None, unreadable: false }
    }
}

/// An entry of the referrer index.
#[derive(Clone, Copy, Debug)]
pub(in crate::gc) struct Attached {
    pub(in crate::gc) subject: Id,
    pub(in crate::gc) manifest: Id,
    pub(in crate::gc) young: bool,
}

/// A tag, and the manifests that it ever pointed at.
#[derive(Debug)]
pub(in crate::gc) struct History {
    pub(in crate::gc) tag: Tag,
    pub(in crate::gc) is_current: bool,
    /// The manifest that the tag points at, once its link is read.
    pub(in crate::gc) current: Option<Id>,
    /// The link is damaged, so the tag may point at any of its `entries`.
    pub(in crate::gc) unreadable: bool,
    /// The link does not have the length of a link.
    pub(in crate::gc) is_odd: bool,
    pub(in crate::gc) entries: Vec<Link>,
}

impl History {
    pub(in crate::gc) fn new(tag: Tag) -> Self {
        Self { tag, is_current: false, current: None, unreadable: false, is_odd: false, entries: Vec::new() }
    }

    /// The manifest that the tag points at, if it is known; if the link cannot be read, all manifests that it may point at.
    pub(in crate::gc) fn targets(&self) -> impl Iterator<Item = Id> {
        let possible = self.entries.iter().filter(|_| self.unreadable).map(|entry| entry.id);
        self.current.into_iter().chain(possible)
    }
}

impl Contents {
    pub(in crate::gc) fn new(name: RepositoryName) -> Self {
        Self {
            name,
            layers: Vec::new(),
            revisions: Vec::new(),
            revision_hours: Vec::new(),
            aliases: Vec::new(),
            alias_places: HashMap::default(),
            tags: Vec::new(),
            last_push: None,
            referrers: Vec::new(),
            has_index: false,
            uploads: BTreeMap::new(),
            odd: Vec::new(),
            kept: Default::default(),
            fetched: IdMap::default(),
            pushed: IdMap::default(),
            scheduled: IdHashSet::default(),
            in_snapshots: Arc::default(),
            is_obscure: false,
        }
    }

    pub(in crate::gc) fn add_alias(&mut self, alias: Alias) {
        self.alias_places.insert((alias.id, alias.of_manifest), self.aliases.len());
        self.aliases.push(alias);
    }

    pub(super) fn history(&mut self, tag: &Tag) -> &mut History {
        // A walk yields the files of a tag together.
        if self.tags.last().is_none_or(|last| last.tag != *tag) {
            self.tags.push(History::new(tag.clone()));
        }
        let last = self.tags.len() - 1;
        &mut self.tags[last]
    }

    /// Whether the repository has no content at all.
    pub(in crate::gc) fn is_blank(&self) -> bool {
        self.layers.is_empty()
            && self.revisions.is_empty()
            && self.aliases.is_empty()
            && self.tags.is_empty()
            && self.referrers.is_empty()
            && !self.has_index
            && self.fetched.is_empty()
            && self.pushed.is_empty()
            && self.uploads.is_empty()
    }

    /// Whether a manifest was fetched from another registry, and no client has pushed it.
    pub(in crate::gc) fn is_fetched(&self, id: Id) -> bool {
        (self.fetched.contains_key(&id) || self.scheduled.contains(&id)) && !self.pushed.contains_key(&id)
    }

    /// Whether the repository has manifests that were fetched, or had them a short while ago.
    pub(in crate::gc) fn has_fetched(&self) -> bool {
        !self.fetched.is_empty() || !self.scheduled.is_empty()
    }

    /// Whether it has manifests that a client pushed.
    pub(in crate::gc) fn has_pushed(&self) -> bool {
        self.revisions.iter().any(|link| !self.is_fetched(link.id))
    }

    /// Records the link if its length is wrong.
    pub(in crate::gc) fn check(&mut self, size_bytes: u64, entry: impl FnOnce() -> Entry) {
        if size_bytes != link::BYTES {
            self.odd.push(entry());
        }
    }

    /// Returns the canonical digest to which a digest in a manifest of this repository resolves.
    pub(in crate::gc) fn resolve(&self, id: Id) -> Option<Id> {
        if !id.is_alias() {
            return Some(id);
        }
        let canonical = |of_manifest| {
            let place = self.alias_places.get(&(id, of_manifest))?;
            self.aliases.get(*place)?.canonical
        };
        canonical(false).or_else(|| canonical(true))
    }

    /// Treats a link as young from [`keep_all`](Self::keep_all) on, so that it and its target stay.
    pub(in crate::gc) fn keep(&mut self, entry: &Entry, ids: &mut DigestInterner) {
        let (of_manifest, digest): (_, &Digest) = match entry {
            Entry::LayerLink(_, digest) => (false, digest),
            Entry::RevisionLink(_, digest) => (true, digest),
            _ => return,
        };
        self.kept[usize::from(of_manifest)].insert(ids.intern(digest));
    }

    /// Treats as young the links that [`keep`](Self::keep) has recorded.
    pub(in crate::gc) fn keep_all(&mut self) {
        let links = [&mut self.layers, &mut self.revisions];
        for (links, kept) in links.into_iter().zip(&mut self.kept) {
            let kept = std::mem::take(kept);
            if !kept.is_empty() {
                links
                    .iter_mut()
                    .filter(|link| kept.contains(&link.id))
                    .for_each(|link| link.age = Age::Young);
            }
        }
    }
}
