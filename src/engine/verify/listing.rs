//! `Listing`: the links and tags of one repository, as a walk has found them.

use std::collections::HashSet;

use super::sizes::Hash;
use crate::layout::Entry;
use crate::link;
use crate::oci::{RepositoryName, Tag};

/// The links and tags of one repository.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) name: RepositoryName,
    pub(super) layers: HashSet<Hash>,
    pub(super) revisions: HashSet<Hash>,
    /// Links of other digests than the canonical one.
    pub(super) aliases: Vec<Entry>,
    /// Links that have not the length of a link.
    pub(super) odd: HashSet<Entry>,
    pub(super) tags: Vec<Tag>,
    /// Tags with a history whose link the walk has not shown.
    pub(super) without_link: Vec<Tag>,
}

impl Listing {
    pub(super) fn new(name: RepositoryName) -> Self {
        let (layers, revisions) = (HashSet::new(), HashSet::new());
        let (tags, without_link) = (Vec::new(), Vec::new());
        Self { name, layers, revisions, aliases: Vec::new(), odd: HashSet::new(), tags, without_link }
    }

    pub(super) fn add(&mut self, entry: Entry, size_bytes: u64) {
        match &entry {
            Entry::TagCurrent(_, tag) => self.tags.push(tag.clone()),
            // A walk yields the link of a tag just before its history.
            Entry::TagIndex(_, tag, _)
                if self.tags.last() != Some(tag) && self.without_link.last() != Some(tag) =>
            {
                self.without_link.push(tag.clone());
            }
            Entry::LayerLink(_, digest) | Entry::RevisionLink(_, digest) => {
                let Some(hash) = digest.canonical_hash() else { return self.aliases.push(entry) };
                match entry {
                    Entry::LayerLink(..) => self.layers.insert(hash),
                    _ => self.revisions.insert(hash),
                };
                if size_bytes != link::BYTES {
                    self.odd.insert(entry);
                }
            }
            _ => {}
        }
    }

    /// The digests of all content that the repository links.
    pub(super) fn content(&self) -> impl Iterator<Item = Hash> {
        self.layers.iter().chain(&self.revisions).copied()
    }
}
