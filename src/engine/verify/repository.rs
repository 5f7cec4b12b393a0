//! One repository: its tags, links and manifests, and the lengths of what they need.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{ErrorKind, StorageDriver, StorageDriverExt};

use super::Result;
use super::data::{self, look_twice, with_cause};
use super::pace::Pace;
use super::problem::{MAX_TAGS, Need, Problem, ProblemKind};
use super::sizes::{Hash, Sizes, digest};
use crate::layout::Entry;
use crate::oci::{Descriptor, Digest, Manifest, RepositoryName, Tag};

/// The length of every link: `sha256:` and 64 digits.
const LINK_BYTES: u64 = 71;

/// A larger file is no manifest, and not worth the memory.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// How many small files are read at a time.
const SMALL_AT_A_TIME: usize = 16;

/// How many manifests are read at a time.
const MANIFESTS_AT_A_TIME: usize = 4;

/// What a walk has found in a repository.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) name: RepositoryName,
    layers: HashSet<Hash>,
    revisions: HashSet<Hash>,
    /// Links of other digests than the canonical one.
    aliases: Vec<Entry>,
    /// Links that have not the length of a link.
    odd: HashSet<Entry>,
    tags: Vec<Tag>,
}

/// What a check of a repository has found.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) tags: u64,
    pub(super) manifests: u64,
    pub(super) layer_links: u64,
    pub(super) absent_children: u64,
    pub(super) problems: Vec<Problem>,
    /// Users of the wanted content.
    pub(super) needs: Vec<(Hash, Need)>,
    /// Wanted content that the repository links.
    pub(super) linked: Vec<Hash>,
}

/// Checks repositories.
pub(super) struct Checker<'a> {
    pub(super) driver: &'a Arc<dyn StorageDriver>,
    pub(super) pace: &'a Pace,
    pub(super) sizes: &'a Sizes,
    pub(super) wanted: &'a HashSet<Hash>,
    /// Whether the content of every link is read, and not only of those with an odd length.
    pub(super) reads_links: bool,
}

impl Listing {
    pub(super) fn new(name: RepositoryName) -> Self {
        let (layers, revisions) = (HashSet::new(), HashSet::new());
        Self { name, layers, revisions, aliases: Vec::new(), odd: HashSet::new(), tags: Vec::new() }
    }

    pub(super) fn add(&mut self, entry: Entry, size_bytes: u64) {
        match &entry {
            Entry::TagCurrent(_, tag) => self.tags.push(tag.clone()),
            Entry::LayerLink(_, digest) | Entry::RevisionLink(_, digest) => {
                let Some(hash) = digest.canonical_hash() else { return self.aliases.push(entry) };
                match entry {
                    Entry::LayerLink(..) => self.layers.insert(hash),
                    _ => self.revisions.insert(hash),
                };
                if size_bytes != LINK_BYTES {
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

/// The state of one check.
struct Check<'a> {
    checker: &'a Checker<'a>,
    listing: Listing,
    /// By the path of the file: the problem, and the manifests that need it.
    problems: BTreeMap<String, (Problem, Vec<Hash>)>,
    pointing: HashMap<Hash, Vec<Tag>>,
    parents: HashMap<Hash, Vec<Hash>>,
    /// The canonical digest of each alias of a blob.
    blob_aliases: HashMap<Digest, Hash>,
    manifest_aliases: HashMap<Hash, Vec<Entry>>,
    users: Vec<(Hash, Hash)>,
    absent_children: u64,
}

impl Checker<'_> {
    /// Checks a repository; `None` if the run was stopped meanwhile.
    pub(super) async fn check(&self, listing: Listing) -> Result<Option<Checked>> {
        let mut state = Check::new(self, listing);
        state.read_links().await?;
        state.read_aliases().await?;
        state.read_tags().await?;
        let mut revisions: Vec<Hash> = state.listing.revisions.iter().copied().collect();
        revisions.sort_unstable();
        let driver = self.driver.clone();
        let mut manifests = stream::iter(revisions)
            .map(|hash| {
                let (driver, size_bytes) = (driver.clone(), self.sizes.get(&hash));
                async move { Ok::<_, super::Error>((hash, read_manifest(&driver, &hash, size_bytes).await?)) }
            })
            .buffered(MANIFESTS_AT_A_TIME);
        while let Some((hash, content)) = manifests.try_next().await? {
            if !self.pace.goes_on().await {
                return Ok(None);
            }
            state.take_manifest(hash, content).await?;
        }
        Ok(Some(state.into_checked()))
    }
}

/// What the data of a manifest are.
enum Content {
    Bytes(Bytes),
    /// They are too long to be a manifest.
    TooLong,
    Missing,
    Unreadable(String),
}

async fn read_manifest(
    driver: &Arc<dyn StorageDriver>,
    hash: &Hash,
    size_bytes: Option<u64>,
) -> Result<Content> {
    if size_bytes.is_some_and(|size_bytes| size_bytes > MAX_MANIFEST_BYTES) {
        return Ok(Content::TooLong);
    }
    match driver.get_content_if_any(&Entry::Blob(digest(hash)).path()).await {
        Ok(Some(bytes)) => Ok(Content::Bytes(bytes)),
        Ok(None) => Ok(Content::Missing),
        Err(error) if error.kind() == ErrorKind::Unavailable => Err(error.into()),
        Err(error) => Ok(Content::Unreadable(with_cause(&error))),
    }
}

impl<'a> Check<'a> {
    fn new(checker: &'a Checker<'a>, listing: Listing) -> Self {
        Self {
            checker,
            listing,
            problems: BTreeMap::new(),
            pointing: HashMap::new(),
            parents: HashMap::new(),
            blob_aliases: HashMap::new(),
            manifest_aliases: HashMap::new(),
            users: Vec::new(),
            absent_children: 0,
        }
    }

    fn driver(&self) -> &'a Arc<dyn StorageDriver> {
        self.checker.driver
    }

    fn add(&mut self, problem: Problem, needed_by: Option<Hash>) {
        let (_, needing) = self.problems.entry(problem.path.clone()).or_insert_with(|| (problem, Vec::new()));
        needing.extend(needed_by);
    }

    /// Reads small files; a file that is gone is left out.
    async fn read_small(&mut self, entries: Vec<Entry>) -> Result<Vec<(Entry, Bytes)>> {
        let driver = self.driver().clone();
        let mut reads = stream::iter(entries)
            .map(|entry| {
                let driver = driver.clone();
                async move {
                    let content = driver.get_content_if_any(&entry.path()).await;
                    (entry, content)
                }
            })
            .buffered(SMALL_AT_A_TIME);
        let mut read = Vec::new();
        while let Some((entry, content)) = reads.next().await {
            match content {
                Ok(Some(content)) => read.push((entry, content)),
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error.into()),
                Err(error) => {
                    let kind = ProblemKind::Unreadable { error: with_cause(&error) };
                    let problem = Problem::new(&entry.path(), kind, None);
                    self.problems.insert(problem.path.clone(), (problem, Vec::new()));
                }
            }
            if !self.checker.pace.goes_on().await {
                break;
            }
        }
        Ok(read)
    }

    /// Compares links of canonical digests with their paths.
    async fn read_links(&mut self) -> Result<()> {
        let name = &self.listing.name;
        let mut links: Vec<Entry> = match self.checker.reads_links {
            true => {
                let layers = self.listing.layers.iter();
                let layers = layers.map(|hash| Entry::LayerLink(name.clone(), digest(hash)));
                let revisions = self.listing.revisions.iter();
                layers.chain(revisions.map(|hash| Entry::RevisionLink(name.clone(), digest(hash)))).collect()
            }
            false => self.listing.odd.iter().cloned().collect(),
        };
        links.sort_by_cached_key(Entry::path);
        for (entry, content) in self.read_small(links).await? {
            let (Entry::LayerLink(_, digest) | Entry::RevisionLink(_, digest)) = &entry else { continue };
            if parse(&content).as_ref() == Some(digest) {
                continue;
            }
            // A power failure empties a link that was never synced. It means "not here".
            if content.is_empty() && matches!(entry, Entry::LayerLink(..)) {
                if let Some(hash) = digest.canonical_hash() {
                    self.listing.layers.remove(&hash);
                }
                continue;
            }
            let (path, digest) = (entry.path(), digest.clone());
            self.add(
                Problem::new(&path, ProblemKind::LinkDamaged { content: shown(&content) }, Some(digest)),
                None,
            );
        }
        Ok(())
    }

    async fn read_aliases(&mut self) -> Result<()> {
        let aliases = std::mem::take(&mut self.listing.aliases);
        for (entry, content) in self.read_small(aliases).await? {
            let (Entry::LayerLink(_, alias) | Entry::RevisionLink(_, alias)) = &entry else { continue };
            let target = parse(&content).and_then(|target| target.canonical_hash());
            match (&entry, target) {
                (Entry::LayerLink(..), Some(target)) => {
                    self.blob_aliases.insert(alias.clone(), target);
                }
                (_, Some(target)) => self.manifest_aliases.entry(target).or_default().push(entry),
                (_, None) if content.is_empty() => {}
                (_, None) => {
                    let kind = ProblemKind::LinkDamaged { content: shown(&content) };
                    self.add(Problem::new(&entry.path(), kind, None), None);
                }
            }
        }
        Ok(())
    }

    async fn read_tags(&mut self) -> Result<()> {
        let name = self.listing.name.clone();
        let tags = self.listing.tags.iter().map(|tag| Entry::TagCurrent(name.clone(), tag.clone())).collect();
        for (entry, content) in self.read_small(tags).await? {
            let Entry::TagCurrent(_, tag) = &entry else { continue };
            let Some(target) = parse(&content).and_then(|target| target.canonical_hash()) else {
                // A power failure empties a tag that was never synced.
                if !content.is_empty() {
                    let kind = ProblemKind::TagDamaged { content: shown(&content) };
                    self.add(Problem::new(&entry.path(), kind, None), None);
                }
                continue;
            };
            if !self.listing.revisions.contains(&target)
                && self.is_dangling(&entry, &content, &target).await?
            {
                let kind = ProblemKind::TagDangling { target: digest(&target) };
                self.add(Problem::new(&entry.path(), kind, Some(digest(&target))), None);
            }
            self.pointing.entry(target).or_default().push(tag.clone());
        }
        Ok(())
    }

    /// Whether the tag still points there, and the manifest is still not linked.
    async fn is_dangling(&self, entry: &Entry, content: &Bytes, target: &Hash) -> Result<bool> {
        if self.is_revision(target).await? {
            return Ok(false);
        }
        Ok(self.driver().get_content_if_any(&entry.path()).await?.as_ref() == Some(content))
    }

    async fn is_revision(&self, hash: &Hash) -> Result<bool> {
        let link = Entry::RevisionLink(self.listing.name.clone(), digest(hash));
        Ok(self.driver().stat_if_any(&link.path()).await?.is_some())
    }

    async fn take_manifest(&mut self, hash: Hash, content: Content) -> Result<()> {
        let path = Entry::Blob(digest(&hash)).path();
        let bytes = match content {
            Content::Bytes(bytes) if Digest::sha256_of(&bytes) == digest(&hash) => bytes,
            Content::Bytes(_) => {
                let state = look_twice(&**self.driver(), &digest(&hash), self.checker.pace).await?;
                if let Some(problem) = data::problem(&hash, state) {
                    self.add(problem, Some(hash));
                }
                return Ok(());
            }
            Content::TooLong => return Ok(()),
            // Deleted meanwhile, or never there.
            Content::Missing if !self.is_revision(&hash).await? => return Ok(()),
            Content::Missing => {
                self.add(Problem::new(&path, ProblemKind::Missing, Some(digest(&hash))), Some(hash));
                return Ok(());
            }
            Content::Unreadable(error) => {
                let kind = ProblemKind::Unreadable { error };
                self.add(Problem::new(&path, kind, Some(digest(&hash))), Some(hash));
                return Ok(());
            }
        };
        for alias in self.manifest_aliases.remove(&hash).unwrap_or_default() {
            if let Entry::RevisionLink(_, expected) = &alias
                && Digest::of(expected.algorithm(), &bytes) != *expected
            {
                let kind = ProblemKind::LinkDamaged { content: digest(&hash).to_string() };
                self.add(Problem::new(&alias.path(), kind, None), None);
            }
        }
        // Distribution stored manifests of other kinds, too; nothing is known of what they need.
        let Ok(manifest) = Manifest::parse(&bytes, None) else { return Ok(()) };
        let mut needs_gone = Vec::new();
        for descriptor in manifest.config.iter().chain(&manifest.layers) {
            needs_gone.extend(self.check_blob(&hash, descriptor).await?);
        }
        for child in &manifest.manifests {
            self.check_child(&hash, child).await?;
        }
        // A manifest that was deleted meanwhile needs nothing.
        if !needs_gone.is_empty() && self.is_revision(&hash).await? {
            needs_gone.into_iter().for_each(|problem| self.add(problem, Some(hash)));
        }
        Ok(())
    }

    /// Checks a configuration or layer.
    async fn check_blob(&mut self, manifest: &Hash, descriptor: &Descriptor) -> Result<Option<Problem>> {
        let known = descriptor.digest.canonical_hash();
        let Some(hash) = known.or_else(|| self.blob_aliases.get(&descriptor.digest).copied()) else {
            // An alias without a link: the content may be anywhere.
            let link = Entry::LayerLink(self.listing.name.clone(), descriptor.digest.clone()).path();
            return Ok(descriptor.urls.is_empty().then(|| Problem::new(&link, ProblemKind::Missing, None)));
        };
        if self.checker.wanted.contains(&hash) {
            self.users.push((hash, *manifest));
        }
        let (blob, path) = (digest(&hash), Entry::Blob(digest(&hash)).path());
        let mut size_bytes = self.checker.sizes.get(&hash);
        if size_bytes != Some(descriptor.size) {
            size_bytes = self.driver().stat_if_any(&path).await?.map(|data| data.size_bytes);
        }
        let Some(size_bytes) = size_bytes else {
            // Layers that clients fetch from elsewhere were never pushed.
            let is_foreign = !descriptor.urls.is_empty() && !self.listing.layers.contains(&hash);
            return Ok((!is_foreign).then(|| Problem::new(&path, ProblemKind::Missing, Some(blob))));
        };
        if size_bytes != descriptor.size {
            // A descriptor may be wrong, too; then no data are damaged.
            let state = look_twice(&**self.driver(), &blob, self.checker.pace).await?;
            if let Some(problem) = data::problem(&hash, state) {
                return Ok(Some(problem));
            }
        }
        if !self.listing.layers.contains(&hash) {
            let link = Entry::LayerLink(self.listing.name.clone(), blob.clone());
            let found = self.driver().stat_if_any(&link.path()).await?;
            if found.is_none_or(|found| found.size_bytes == 0) {
                return Ok(Some(Problem::new(&link.path(), ProblemKind::LinkMissing, Some(blob))));
            }
        }
        Ok(None)
    }

    /// Checks a child of an index, which need not be there.
    async fn check_child(&mut self, index: &Hash, child: &Descriptor) -> Result<()> {
        let Some(hash) = child.digest.canonical_hash() else { return Ok(()) };
        if self.checker.wanted.contains(&hash) {
            self.users.push((hash, *index));
        }
        let is_there = self.listing.revisions.contains(&hash)
            || self.listing.layers.contains(&hash)
            || self.is_revision(&hash).await?;
        match is_there {
            true => self.parents.entry(hash).or_default().push(*index),
            false => self.absent_children += 1,
        }
        Ok(())
    }

    /// The tags that lead to a manifest, directly or through indexes.
    fn tags_of(&self, manifest: &Hash) -> Vec<Tag> {
        let (mut tags, mut seen, mut open) = (Vec::new(), HashSet::new(), vec![*manifest]);
        while let Some(hash) = open.pop() {
            if !seen.insert(hash) || tags.len() > MAX_TAGS {
                continue;
            }
            tags.extend(self.pointing.get(&hash).into_iter().flatten().cloned());
            open.extend(self.parents.get(&hash).into_iter().flatten());
        }
        tags.sort_unstable();
        tags
    }

    fn need(&self, manifest: &Hash) -> Need {
        Need::new(&self.listing.name, digest(manifest), self.tags_of(manifest))
    }

    fn into_checked(mut self) -> Checked {
        let problems = std::mem::take(&mut self.problems);
        let problems = problems.into_values().map(|(mut problem, needing)| {
            problem.needed_by = needing.iter().map(|manifest| self.need(manifest)).collect();
            problem
        });
        let problems = problems.collect();
        let wanted = self.checker.wanted;
        let own = self.listing.revisions.iter().filter(|hash| wanted.contains(*hash));
        let own = own.map(|hash| (*hash, self.need(hash)));
        let needs =
            self.users.iter().map(|(hash, manifest)| (*hash, self.need(manifest))).chain(own).collect();
        Checked {
            tags: self.listing.tags.len() as u64,
            manifests: self.listing.revisions.len() as u64,
            layer_links: self.listing.layers.len() as u64,
            absent_children: self.absent_children,
            problems,
            needs,
            linked: self.listing.content().filter(|hash| wanted.contains(hash)).collect(),
        }
    }
}

fn parse(content: &[u8]) -> Option<Digest> {
    std::str::from_utf8(content).ok()?.trim_ascii().parse().ok()
}

/// The beginning of a file for a person.
fn shown(content: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(content).chars().take(100).collect();
    text
}
