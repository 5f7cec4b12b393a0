//! The check of one repository: its tags and links (module `links`), and its manifests with what they need (module `manifest`).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt, stream};
use sampan_driver::{DriverPath, ErrorKind, FileInfo, StorageDriver, StorageDriverExt};

use super::findings::{MAX_NEEDS, MAX_PROBLEMS};
use super::listing::Listing;
use super::manifest::Content;
use super::outage::{Answer, ask};
use super::pace::Pace;
use super::problem::{MAX_TAGS, Need, Problem};
use super::sizes::{Hash, Sizes, digest};
use super::verdicts::Verdicts;
use super::{Error, Result};
use crate::caches::CachePrefixes;
use crate::layout::Entry;
use crate::oci::{Digest, Tag};

/// How many manifests are read at a time.
const MANIFESTS_AT_A_TIME: usize = 4;

/// The findings of a check of a repository.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) tags: u64,
    pub(super) manifests: u64,
    pub(super) layer_links: u64,
    pub(super) absent_children: u64,
    pub(super) problems: Vec<Problem>,
    /// Further problems that are not in the list.
    pub(super) more_problems: u64,
    /// Users of the wanted content.
    pub(super) needs: Vec<(Hash, Need)>,
    /// Wanted content that the repository links.
    pub(super) linked: Vec<Hash>,
    /// Wanted content that a manifest cannot do without, whether the repository links it or not.
    pub(super) required: HashSet<Hash>,
}

/// Checks repositories.
pub(super) struct Checker<'a> {
    pub(super) driver: &'a Arc<dyn StorageDriver>,
    /// The repositories that fetch what they lack.
    pub(super) caches: &'a CachePrefixes,
    pub(super) pace: &'a Pace,
    pub(super) sizes: &'a Sizes,
    pub(super) wanted: &'a HashSet<Hash>,
    pub(super) verdicts: &'a Verdicts,
    /// Whether the content of every link is read, and not only of those with an odd length.
    pub(super) reads_links: bool,
}

/// The state of one check.
pub(super) struct Check<'a> {
    pub(super) checker: &'a Checker<'a>,
    pub(super) listing: Listing,
    /// By the path of the file: the problem, and the manifests that need it.
    problems: BTreeMap<String, (Problem, Vec<Hash>)>,
    more_problems: u64,
    /// The tags of each manifest.
    pub(super) pointing: HashMap<Hash, Vec<Tag>>,
    /// The indexes that have each manifest.
    pub(super) parents: HashMap<Hash, Vec<Hash>>,
    /// The canonical digest of each alias of a blob.
    pub(super) blob_aliases: HashMap<Digest, Hash>,
    pub(super) manifest_aliases: HashMap<Hash, Vec<Entry>>,
    /// Wanted content, and a manifest that refers to it.
    pub(super) users: Vec<(Hash, Hash)>,
    /// Wanted content that a manifest cannot do without.
    pub(super) required: HashSet<Hash>,
    pub(super) absent_children: u64,
}

impl Checker<'_> {
    /// Checks a repository. Returns whether the run continues, and what was found until it was stopped or failed.
    pub(super) async fn check(&self, listing: Listing) -> (Checked, Result<bool>) {
        let mut state = Check::new(self, listing);
        let goes_on = self.read(&mut state).await;
        (state.into_checked(), goes_on)
    }

    async fn read(&self, state: &mut Check<'_>) -> Result<bool> {
        state.read_links().await?;
        state.read_aliases().await?;
        state.read_tags().await?;
        state.find_obstructed().await?;
        let mut revisions: Vec<Hash> = state.listing.revisions.iter().copied().collect();
        revisions.sort_unstable();
        let driver = self.driver.clone();
        let mut manifests = stream::iter(revisions)
            .map(|hash| {
                let (driver, size_bytes) = (driver.clone(), self.sizes.get(&hash));
                async move { (hash, Content::read(&driver, &hash, size_bytes).await) }
            })
            .buffered(MANIFESTS_AT_A_TIME);
        while let Some((hash, content)) = manifests.next().await {
            if !self.pace.goes_on().await {
                return Ok(false);
            }
            let content = match content {
                Err(Error::Driver(error)) if error.kind() == ErrorKind::Unavailable => {
                    state.read_again(&hash).await?
                }
                content => content?,
            };
            state.take_manifest(hash, content).await?;
        }
        Ok(true)
    }
}

impl<'a> Check<'a> {
    fn new(checker: &'a Checker<'a>, listing: Listing) -> Self {
        Self {
            checker,
            listing,
            problems: BTreeMap::new(),
            more_problems: 0,
            pointing: HashMap::new(),
            parents: HashMap::new(),
            blob_aliases: HashMap::new(),
            manifest_aliases: HashMap::new(),
            users: Vec::new(),
            required: HashSet::new(),
            absent_children: 0,
        }
    }

    pub(super) fn driver(&self) -> &'a Arc<dyn StorageDriver> {
        self.checker.driver
    }

    pub(super) fn add(&mut self, problem: Problem, needed_by: Option<Hash>) {
        // A link that is missing is no exception: only its upstream can say that a cache may have the blob.
        if problem.kind.is_absence() && self.checker.caches.contains(&self.listing.name) {
            return;
        }
        if self.problems.len() >= MAX_PROBLEMS && !self.problems.contains_key(&problem.path) {
            self.more_problems += 1;
            return;
        }
        let (_, needing) = self.problems.entry(problem.path.clone()).or_insert_with(|| (problem, Vec::new()));
        if needing.len() < MAX_NEEDS {
            needing.extend(needed_by);
        }
    }

    /// Whether the repository has the manifest. A link that the store does not give is not gone.
    pub(super) async fn is_revision(&self, hash: &Hash) -> Result<bool> {
        let link = Entry::RevisionLink(self.listing.name.clone(), digest(hash));
        Ok(match self.stat(&link.path()).await? {
            Answer::Given(link) => link.is_some(),
            Answer::Refused(_) => true,
        })
    }

    pub(super) async fn stat(&self, path: &DriverPath) -> Result<Answer<Option<FileInfo>>> {
        let driver = self.driver();
        ask(driver, self.checker.pace, || async { Ok(driver.stat_if_any(path).await?) }).await
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
            more_problems: self.more_problems,
            needs,
            required: self.required,
            linked: self.listing.content().filter(|hash| wanted.contains(hash)).collect(),
        }
    }
}
