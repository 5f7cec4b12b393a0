//! The structure: every tag, link and manifest, one repository after the other.

use std::collections::HashSet;

use futures::StreamExt;
use sampan_driver::{DriverError, DriverPath};

use super::findings::{Findings, Users};
use super::listing::Listing;
use super::options::Options;
use super::pace::Pace;
use super::report::StructureReport;
use super::repository::Checker;
use super::sizes::{Hash, Sizes};
use super::unseen::unseen;
use super::verdicts::Verdicts;
use super::{Error, Result};
use crate::Registry;
use crate::layout::{self, Entry};
use crate::oci::RepositoryName;

/// A pass over the structure: its options and state.
pub(super) struct StructurePass<'a> {
    pub(super) registry: &'a Registry,
    pub(super) options: &'a Options,
    pub(super) pace: &'a Pace,
    pub(super) sizes: &'a Sizes,
    /// Content whose users are wanted.
    pub(super) wanted: &'a HashSet<Hash>,
    pub(super) verdicts: &'a Verdicts,
    /// Content that selected repositories link is collected here.
    pub(super) linked: Option<&'a mut HashSet<Hash>>,
}

/// The findings of a pass.
#[derive(Default)]
pub(super) struct StructureFindings {
    pub(super) report: StructureReport,
    pub(super) findings: Findings,
    pub(super) users: Users,
    /// Whether it came to the end.
    pub(super) is_complete: bool,
    /// The first place that the walk could not see.
    pub(super) unseen: Option<DriverPath>,
    /// The error that ended it.
    pub(super) failure: Option<Error>,
}

impl StructurePass<'_> {
    pub(super) async fn run(mut self) -> StructureFindings {
        let mut found = StructureFindings::default();
        match self.read(&mut found).await {
            Ok(is_complete) => found.is_complete = is_complete,
            Err(error) => found.failure = Some(error),
        }
        found
    }

    /// Returns whether it came to the end.
    async fn read(&mut self, found: &mut StructureFindings) -> Result<bool> {
        let mut files = self.registry.driver().walk(&layout::repositories_root(), None);
        let mut listing: Option<Listing> = None;
        while let Some(file) = files.next().await {
            let file = match file {
                Ok(file) => file,
                Err(error) => {
                    self.take_unseen(error, found).await?;
                    continue;
                }
            };
            if !self.pace.goes_on().await {
                return Ok(false);
            }
            let Some(entry) = Entry::parse(&file.path) else {
                found.report.foreign += u64::from(!layout::is_temporary(&file.path));
                continue;
            };
            let Some(name) = repository_of(&entry) else {
                // A history alone is no content of a repository.
                if let (Entry::TagIndex(name, ..), Some(listing)) = (&entry, &mut listing)
                    && listing.name == *name
                {
                    listing.add(entry, file.size_bytes);
                }
                continue;
            };
            // A walk yields the files repository by repository.
            if listing.as_ref().is_none_or(|listing| listing.name != *name) {
                let next = Listing::new(name.clone());
                if let Some(whole) = listing.replace(next)
                    && !self.check(whole, found).await?
                {
                    return Ok(false);
                }
            }
            if let Some(listing) = &mut listing {
                listing.add(entry, file.size_bytes);
            }
        }
        match listing {
            Some(last) => self.check(last, found).await,
            None => Ok(true),
        }
    }

    /// Takes a place that the walk cannot see, unless it is in a repository that is not selected.
    async fn take_unseen(&self, error: DriverError, found: &mut StructureFindings) -> Result<()> {
        let place = error.path().clone();
        let problem = unseen(&**self.registry.driver(), &layout::repositories_root(), error).await?;
        let of_repository = layout::place_in_repository(&place);
        if of_repository.is_none_or(|(name, _)| self.options.selection.has(&name)) {
            found.unseen.get_or_insert(place);
            found.findings.add(problem);
        }
        Ok(())
    }

    /// Checks a repository. Returns whether the run continues.
    async fn check(&mut self, listing: Listing, found: &mut StructureFindings) -> Result<bool> {
        if !self.options.selection.has(&listing.name) {
            return Ok(!self.pace.is_stopped());
        }
        let name = listing.name.clone();
        let checker = Checker {
            driver: self.registry.driver(),
            caches: self.registry.caches(),
            pace: self.pace,
            sizes: self.sizes,
            wanted: self.wanted,
            verdicts: self.verdicts,
            reads_links: self.options.data.is_some(),
        };
        if let Some(linked) = self.linked.as_deref_mut() {
            linked.extend(listing.content());
        }
        let (checked, goes_on) = checker.check(listing).await;
        let StructureReport { repositories, tags, manifests, layer_links, absent_children, foreign: _ } =
            &mut found.report;
        *repositories += 1;
        *tags += checked.tags;
        *manifests += checked.manifests;
        *layer_links += checked.layer_links;
        *absent_children += checked.absent_children;
        checked.problems.into_iter().for_each(|problem| found.findings.add(problem));
        found.findings.add_unlisted(checked.more_problems);
        for (hash, need) in checked.needs {
            found.users.add_need(hash, need);
        }
        // What a cache may serve is for its upstream to say.
        if !self.registry.caches().contains(&name) {
            for hash in checked.required {
                found.users.add_requirement(hash, &name);
            }
        }
        for hash in checked.linked {
            found.users.add_link(hash, &name);
        }
        Ok(goes_on? && !self.pace.is_stopped())
    }
}

fn repository_of(entry: &Entry) -> Option<&RepositoryName> {
    match entry {
        Entry::LayerLink(name, _) | Entry::RevisionLink(name, _) | Entry::TagCurrent(name, _) => Some(name),
        _ => None,
    }
}
