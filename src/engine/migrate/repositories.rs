//! `Repositories`: both stores, repository by repository.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{DriverError, DriverPath, ErrorKind, StorageDriver};

use super::digest_set::DigestSet;
use super::error::NameStore;
use super::merged::{Merged, Pair};
use super::report::Unseen;
use super::{CONCURRENCY, Result};
use crate::Selection;
use crate::layout::{self, Entry};
use crate::link;
use crate::oci::{Algorithm, Digest, RepositoryName, Tag};

/// Walks both stores and gathers the files of each repository. A walk yields them together, since no file of another
/// repository lies between them.
pub(super) struct Repositories {
    source: Arc<dyn StorageDriver>,
    merged: Merged,
    selection: Selection,
    /// The source has directories, of which some may be in the places of links.
    has_directories: bool,
    /// The first file of the next repository.
    next: Option<Pair>,
    /// Files of the source that belong to no registry.
    foreign: Vec<DriverPath>,
}

/// One repository in both stores.
#[derive(Debug)]
pub(super) struct RepositoryPair {
    pub(super) name: RepositoryName,
    /// The files that only the source has, or has with another length.
    pub(super) missing: Files,
    /// The files that only the target has.
    pub(super) extra: Files,
    /// The tags of either store.
    pub(super) tags: Vec<TagInBoth>,
    /// The tags of either store that were pushed by another digest than the canonical one.
    pub(super) digests: Vec<TagInBoth>,
    /// The history of all tags of the source, with the times of the links.
    pub(super) history: Vec<(Tag, Digest, SystemTime)>,
    /// The links that the target has.
    pub(super) layers_there: DigestSet,
    pub(super) revisions_there: DigestSet,
    /// The manifests that the source links.
    pub(super) revisions_here: DigestSet,
    /// When the youngest link of a tag was written at the target.
    pub(super) newest: Option<SystemTime>,
    /// The numbers of tags, revisions and layer links of the source.
    pub(super) in_source: [u64; 3],
    /// The same of the target.
    pub(super) in_target: [u64; 3],
}

/// Files of a repository.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) layers: Vec<Digest>,
    pub(super) revisions: Vec<Digest>,
    pub(super) history: Vec<(Tag, Digest)>,
    /// Entries of the index of referrers, and marks of fetched and pushed manifests.
    pub(super) referrers: Vec<Entry>,
    /// The index of referrers is complete.
    pub(super) has_index: bool,
}

/// A tag, and when its link was written in each store that has it.
#[derive(Debug)]
pub(super) struct TagInBoth {
    pub(super) tag: Tag,
    pub(super) source: Option<SystemTime>,
    pub(super) target: Option<SystemTime>,
    /// The source has a directory in the place of the link.
    pub(super) is_obstructed: bool,
}

impl Repositories {
    pub(super) fn new(
        source: &Arc<dyn StorageDriver>,
        target: &Arc<dyn StorageDriver>,
        selection: Selection,
    ) -> Self {
        let merged = Merged::new(source, target, &layout::repositories_root());
        let has_directories = !source.capabilities().flat;
        Self { source: source.clone(), merged, selection, has_directories, next: None, foreign: Vec::new() }
    }

    /// The same for a snapshot as the source, which says itself what it links.
    pub(super) fn of_snapshot(self) -> Self {
        Self { has_directories: false, ..self }
    }

    /// The next repository that is selected.
    pub(super) async fn next(&mut self) -> Result<Option<RepositoryPair>> {
        let mut found: Option<(RepositoryPair, String)> = None;
        loop {
            let next = match self.next.take() {
                Some(pair) => Some(pair),
                None => self.merged.next().await?,
            };
            let Some(pair) = next else { break };
            if let Some((repository, prefix)) = &mut found {
                match pair.path.as_str().starts_with(&**prefix) {
                    true => self.foreign.extend(repository.take(&pair)),
                    false => {
                        self.next = Some(pair);
                        break;
                    }
                }
                continue;
            }
            match layout::place_in_repository(&pair.path) {
                Some((name, _)) if !self.selection.has(&name) => {}
                Some((name, _)) => {
                    let prefix = layout::prefix_in_repository(&name);
                    let mut repository = RepositoryPair::new(name);
                    self.foreign.extend(repository.take(&pair));
                    found = Some((repository, prefix));
                }
                None if pair.source.is_some() && !layout::is_temporary(&pair.path) => {
                    self.foreign.push(pair.path);
                }
                None => {}
            }
        }
        let Some((mut repository, _)) = found else { return Ok(None) };
        if self.has_directories {
            find_obstructed(&self.source, &mut repository).await?;
        }
        Ok(Some(repository))
    }

    /// The foreign files, and the places that were not seen, since the last call.
    pub(super) fn take_findings(&mut self) -> (Vec<DriverPath>, Vec<Unseen>) {
        (std::mem::take(&mut self.foreign), self.merged.take_unseen())
    }
}

/// Finds tags and links in whose places the source has directories, which a walk does not show: they are damaged, and not gone.
/// The path of a link says what it names.
async fn find_obstructed(source: &Arc<dyn StorageDriver>, found: &mut RepositoryPair) -> Result<()> {
    let tag = |tag: &Tag| Entry::TagCurrent(found.name.clone(), tag.clone());
    let tags = obstructed(source, found.without_link().into_iter().collect(), tag).await?;
    tags.into_iter().for_each(|tag| found.add_obstructed(tag));
    let name = found.name.clone();
    let layer = |digest: &Digest| Entry::LayerLink(name.clone(), digest.clone());
    let layers = obstructed(source, found.extra.layers.clone(), layer).await?;
    found.extra.layers.retain(|digest| !layers.contains(digest));
    found.in_source[LAYERS] += layers.len() as u64;
    let revision = |digest: &Digest| Entry::RevisionLink(name.clone(), digest.clone());
    let mut unlinked: BTreeSet<Digest> = found.extra.revisions.iter().cloned().collect();
    unlinked.extend(listed_manifests(source, found).await?);
    let revisions = obstructed(source, unlinked.into_iter().collect(), revision).await?;
    found.in_source[REVISIONS] += revisions.len() as u64;
    for digest in &revisions {
        found.revisions_here.insert(digest);
        if !found.revisions_there.contains(digest) {
            found.missing.revisions.push(digest.clone());
        }
    }
    found.extra.revisions.retain(|digest| !revisions.contains(digest));
    Ok(())
}

/// Those in the place of whose link the source has a directory.
async fn obstructed<T>(
    source: &Arc<dyn StorageDriver>,
    candidates: Vec<T>,
    entry: impl Fn(&T) -> Entry,
) -> Result<BTreeSet<T>>
where
    T: Ord + Send,
{
    let look = |candidate: T| {
        let path = entry(&candidate).path();
        async move { link::is_obstructed(source, &path).await.at_source().map(|is| is.then_some(candidate)) }
    };
    let looks = stream::iter(candidates).map(look).buffered(CONCURRENCY);
    looks.try_filter_map(|found| std::future::ready(Ok(found))).try_collect().await
}

/// The manifests that have a directory at the source, and whose links the walk has not shown.
async fn listed_manifests(source: &Arc<dyn StorageDriver>, found: &RepositoryPair) -> Result<Vec<Digest>> {
    let mut entries = source.list(&layout::revisions(&found.name, Algorithm::Sha256), None);
    let mut listed = Vec::new();
    loop {
        let entry = match entries.try_next().await {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(listed),
            // The walk has found a directory that cannot be listed.
            Err(error) if is_unlistable(&error) => return Ok(listed),
            Err(error) => return Err(error).at_source(),
        };
        let hash = Digest::canonical_hash_of(entry.name());
        let digest = hash.map(|hash| Digest::from_hash(Algorithm::Sha256, &hash));
        listed.extend(digest.filter(|digest| !found.revisions_here.contains(digest)));
    }
}

fn is_unlistable(error: &DriverError) -> bool {
    matches!(error.kind(), ErrorKind::Unseen | ErrorKind::PermissionDenied | ErrorKind::Other)
}

impl RepositoryPair {
    fn new(name: RepositoryName) -> Self {
        Self {
            name,
            missing: Files::default(),
            extra: Files::default(),
            tags: Vec::new(),
            digests: Vec::new(),
            history: Vec::new(),
            layers_there: DigestSet::default(),
            revisions_there: DigestSet::default(),
            revisions_here: DigestSet::default(),
            newest: None,
            in_source: [0; 3],
            in_target: [0; 3],
        }
    }

    /// Whether the source has a tag, a manifest or a layer in it.
    pub(super) fn is_in_source(&self) -> bool {
        self.in_source != [0; 3]
    }

    /// The tags of which the target has the link, or the source a history, and the source no link.
    fn without_link(&self) -> BTreeSet<Tag> {
        let (linked, only_there): (Vec<_>, Vec<_>) = self.tags.iter().partition(|tag| tag.source.is_some());
        let linked: BTreeSet<&Tag> = linked.into_iter().map(|tag| &tag.tag).collect();
        let with_history = self.history.iter().map(|(tag, ..)| tag);
        let only_there = only_there.into_iter().map(|tag| &tag.tag);
        with_history.chain(only_there).filter(|tag| !linked.contains(tag)).cloned().collect()
    }

    fn add_obstructed(&mut self, tag: Tag) {
        self.in_source[TAGS] += 1;
        // Nothing of it is gone.
        self.extra.history.retain(|(of, _)| *of != tag);
        match self.tags.iter_mut().find(|there| there.tag == tag) {
            Some(there) => there.is_obstructed = true,
            None => self.tags.push(TagInBoth { tag, source: None, target: None, is_obstructed: true }),
        }
    }

    /// Takes a file. Returns its path if it belongs to no registry.
    fn take(&mut self, pair: &Pair) -> Option<DriverPath> {
        let (in_source, in_target) = (pair.source.is_some(), pair.target.is_some());
        let entry = Entry::parse(&pair.path);
        // A power failure leaves links of no bytes.
        let is_link = pair.target.as_ref().is_some_and(|target| target.size_bytes == LINK_BYTES);
        // The path of a link says its content, also where the source has lost that.
        let lacks = match entry {
            Some(Entry::LayerLink(..) | Entry::RevisionLink(..) | Entry::TagIndex(..)) => {
                in_source && !is_link
            }
            _ => pair.differs(),
        };
        let files = match (lacks, in_source) {
            (true, _) => Some(&mut self.missing),
            (false, false) => Some(&mut self.extra),
            (false, true) => None,
        };
        let count = |kind: usize, source: &mut [u64; 3], target: &mut [u64; 3]| {
            source[kind] += u64::from(in_source);
            target[kind] += u64::from(in_target);
        };
        match entry {
            Some(Entry::LayerLink(_, digest)) => {
                count(LAYERS, &mut self.in_source, &mut self.in_target);
                if is_link {
                    self.layers_there.insert(&digest);
                }
                files.into_iter().for_each(|files| files.layers.push(digest.clone()));
            }
            Some(Entry::RevisionLink(_, digest)) => {
                count(REVISIONS, &mut self.in_source, &mut self.in_target);
                if is_link {
                    self.revisions_there.insert(&digest);
                }
                if in_source {
                    self.revisions_here.insert(&digest);
                }
                files.into_iter().for_each(|files| files.revisions.push(digest.clone()));
            }
            Some(Entry::TagCurrent(_, tag)) => {
                count(TAGS, &mut self.in_source, &mut self.in_target);
                let modified = pair.target.as_ref().map(|file| file.modified);
                self.newest = self.newest.max(modified);
                self.tags.push(TagInBoth::of(tag, pair));
            }
            Some(Entry::TagIndex(_, tag, digest)) => {
                if let Some(file) = &pair.source {
                    self.history.push((tag.clone(), digest.clone(), file.modified));
                }
                let modified = pair.target.as_ref().map(|file| file.modified);
                self.newest = self.newest.max(modified);
                files.into_iter().for_each(|files| files.history.push((tag.clone(), digest.clone())));
            }
            Some(Entry::TagDigest(_, tag)) => self.digests.push(TagInBoth::of(tag, pair)),
            Some(entry @ (Entry::Referrer(..) | Entry::Fetched(..) | Entry::Pushed(..))) => {
                files.into_iter().for_each(|files| files.referrers.push(entry.clone()));
            }
            Some(Entry::ReferrersComplete(_)) => files.into_iter().for_each(|files| files.has_index = true),
            // Uploads and notices of deletions stay behind.
            Some(_) => {}
            None if in_source && !layout::is_temporary(&pair.path) => return Some(pair.path.clone()),
            None => {}
        }
        None
    }
}

impl TagInBoth {
    fn of(tag: Tag, pair: &Pair) -> Self {
        let time = |file: &Option<sampan_driver::FileInfo>| file.as_ref().map(|file| file.modified);
        Self { tag, source: time(&pair.source), target: time(&pair.target), is_obstructed: false }
    }

    /// Whether the source does not have the tag.
    pub(super) fn is_gone(&self) -> bool {
        self.source.is_none() && !self.is_obstructed
    }
}

/// The length of every link: `sha256:` and 64 digits.
const LINK_BYTES: u64 = 71;

/// The places of the numbers in [`RepositoryPair::in_source`].
pub(super) const TAGS: usize = 0;
pub(super) const REVISIONS: usize = 1;
pub(super) const LAYERS: usize = 2;
