//! Caution: what a collection does not believe of a store, and what it does not do unasked.
//!
//! A disk that is not mounted looks like one on which nothing is. What refers to a blob may be there, so
//!
//! - where a place of the store [cannot be seen](sampan_driver::ErrorKind::Unseen), nothing is deleted but what needs no look at
//!   what refers to it: uploads that were given up and leftovers of interrupted writes;
//! - the same holds where the last collection found repositories and there is nothing any more: repositories vanish in
//!   collections, not between them;
//! - and where most of the store would go, somebody has to confirm that.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{DriverError, ErrorKind, StorageDriverExt};
use serde::Serialize;

use super::collect::Collection;
use super::interner::{Id, IdHashSet};
use super::inventory::{Age, Contents, Inventory, Link, data_path};
use super::plan::Plan;
use super::report::Unreadable;
use super::{Error, LastRun, Result};
use crate::layout;
use crate::oci::RepositoryName;

/// More than a collection deletes unasked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct TooMuch {
    /// How many bytes of blobs would go.
    pub bytes: u64,
    /// How many per cent of all blobs that is more than.
    pub percent: u8,
}

/// With less than this to delete, a collection asks nothing: whoever tries the registry out deletes most of it soon.
pub const UNASKED_BYTES: u64 = 16 * 1024 * 1024;

/// How many names a store remembers, those with the most repositories.
const NAMES: usize = 1000;

impl Collection<'_> {
    /// Takes out of a plan what may go only when the whole store was seen, unless it was.
    pub(super) fn keep_what_may_be_needed(
        &mut self,
        inventory: &mut Inventory,
        plan: &mut Plan,
        last: Option<&LastRun>,
    ) {
        let found = inventory.repositories.iter();
        let seen = names(found.clone().filter(|contents| contents.has_links()));
        let gone = Gone::of(plan);
        self.names = names(found.clone().filter(|contents| contents.stays(&gone)));
        let mut unseen = std::mem::take(&mut inventory.unseen);
        if !self.options.confirmed {
            let known = last.into_iter().flat_map(|last| &last.names);
            for (name, count) in known.filter(|(name, _)| !seen.contains_key(*name)) {
                unseen.push(Unreadable {
                    path: format!("{}/{name}", layout::repositories_root()),
                    reason: format!(
                        "the last collection found {count} repositories here, and there is nothing any more; \
                         mount what is missing, or confirm once that it is gone (`--yes`)"
                    ),
                });
            }
        }
        unseen.sort_by(|a, b| a.path.cmp(&b.path));
        unseen.dedup_by(|a, b| a.path == b.path);
        if !unseen.is_empty() {
            let Plan { uploads, .. } = std::mem::take(plan);
            plan.uploads = uploads;
            // Everything stays, and what is not seen now was.
            self.names = names(found.filter(|contents| contents.stays(&Gone::default())));
            for (name, count) in last.into_iter().flat_map(|last| &last.names) {
                self.names.entry(name.clone()).or_insert(*count);
            }
            self.report.unseen = unseen.len() as u64;
            self.report.unreadable.extend(unseen);
        }
    }

    /// Lets the store forget the names below which this collection leaves nothing, before it begins to delete: it may be stopped.
    pub(super) async fn forget_names(&mut self, last: Option<LastRun>) -> Result<()> {
        let Some(mut last) = last else { return Ok(()) };
        let before = last.names.len();
        last.names.retain(|name, _| self.names.contains_key(name));
        if last.names.len() < before {
            last.write(self.driver()).await?;
        }
        Ok(())
    }

    /// Whether a plan is more than a collection does unasked.
    pub(super) async fn too_much(&mut self, plan: &Plan) -> Result<Option<TooMuch>> {
        let percent = self.options.max_delete_percent;
        let bytes: u64 = plan.blobs.iter().map(|(_, size_bytes)| size_bytes).sum();
        if self.options.confirmed || percent >= 100 || bytes < UNASKED_BYTES {
            return Ok(None);
        }
        // With as much as this, what goes is not too much, however much more there is.
        let enough = u128::from(bytes) * u128::from(100 - percent) / u128::from(percent.max(1));
        let dead: IdHashSet = plan.blobs.iter().map(|(id, _)| *id).collect();
        let mut stays = u128::from(plan.young.bytes);
        let mut unknown = Vec::new();
        for id in self.ids.canonical().filter(|id| !dead.contains(id) && !self.data.is_young(*id)) {
            stays += u128::from(self.data.size_bytes(id).unwrap_or_default());
            if self.data.is_unknown(id) {
                unknown.push(data_path(&self.ids, id));
            }
        }
        let driver = self.driver();
        let mut infos = stream::iter(unknown)
            .map(|path| async move { driver.stat_if_any(&path).await })
            .buffer_unordered(self.options.concurrency.max(1));
        while stays < enough || percent == 0 {
            let Some(info) = infos.try_next().await? else {
                return Ok(Some(TooMuch { bytes, percent }));
            };
            self.pacer.tick().await?;
            stays += u128::from(info.map_or(0, |info| info.size_bytes));
        }
        Ok(None)
    }

    /// Fails when a part of the store that was seen before cannot be seen any more.
    pub(super) fn check_sight(inventory: &Inventory) -> Result<()> {
        match inventory.unseen.first() {
            None => Ok(()),
            Some(Unreadable { path, reason }) => {
                Err(Error::Unseen { path: path.clone(), reason: reason.clone() })
            }
        }
    }
}

/// The links that a plan deletes.
#[derive(Default)]
struct Gone<'a> {
    layers: HashSet<(&'a RepositoryName, Id)>,
    revisions: HashSet<(&'a RepositoryName, Id)>,
}

impl<'a> Gone<'a> {
    fn of(plan: &'a Plan) -> Self {
        let links = |links: &'a [(RepositoryName, Id)]| links.iter().map(|(name, id)| (name, *id)).collect();
        Self { layers: links(&plan.layers), revisions: links(&plan.revisions) }
    }
}

impl Contents {
    /// Whether there will be a link in it that is no longer new: what was pushed a moment ago may not be on disk yet, and a
    /// power failure that took it away would seem to be a disk that is not mounted.
    fn stays(&self, gone: &Gone<'_>) -> bool {
        let stays = |links: &[Link], gone: &HashSet<(&RepositoryName, Id)>| {
            links.iter().any(|link| link.age == Age::Old && !gone.contains(&(&self.name, link.id)))
        };
        stays(&self.layers, &gone.layers) || stays(&self.revisions, &gone.revisions)
    }

    /// Whether there is anything in it but uploads.
    fn has_links(&self) -> bool {
        !(self.layers.is_empty()
            && self.revisions.is_empty()
            && self.aliases.is_empty()
            && self.tags.is_empty())
    }
}

/// The first parts of the names of repositories, with how many of them begin so.
fn names<'a>(repositories: impl Iterator<Item = &'a Contents>) -> BTreeMap<String, u64> {
    let mut names = BTreeMap::new();
    for contents in repositories {
        *names.entry(first_part(&contents.name).to_owned()).or_default() += 1;
    }
    names
}

fn first_part(name: &RepositoryName) -> &str {
    name.as_str().split('/').next().unwrap_or_default()
}

/// As many names as a store remembers.
pub(super) fn bounded(names: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    if names.len() <= NAMES {
        return names;
    }
    let largest: BTreeSet<(u64, String)> = names.into_iter().map(|(name, count)| (count, name)).collect();
    largest.into_iter().rev().take(NAMES).map(|(count, name)| (name, count)).collect()
}

/// The report of an error that says that something cannot be seen; any other error.
pub(super) fn unseen(error: DriverError) -> Result<Unreadable, DriverError> {
    match error.kind() {
        ErrorKind::Unseen | ErrorKind::PermissionDenied => {
            let path = error.path().to_string();
            let mut reason = String::new();
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                if !reason.is_empty() {
                    reason.push_str(": ");
                }
                reason.push_str(&error.to_string());
                cause = error.source();
            }
            Ok(Unreadable { path, reason })
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_names_those_with_the_most_repositories_are_remembered() {
        let many = (0..NAMES as u64 + 10).map(|count| (format!("team{count}"), count)).collect();
        let kept = bounded(many);
        assert_eq!(kept.len(), NAMES);
        assert_eq!(kept.values().min(), Some(&10));
    }
}
