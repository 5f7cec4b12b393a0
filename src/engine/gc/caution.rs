//! Caution: when a collection distrusts the store, and when it asks for confirmation.
//!
//! A disk that is not mounted looks like an empty one. Files on it may refer to a blob, so
//!
//! - where a place of the store [cannot be seen](sampan_driver::ErrorKind::Unseen), a collection deletes only what no
//!   reference can need: abandoned uploads and leftovers of interrupted writes;
//! - the same holds where the last collection found repositories and there is nothing any more: repositories vanish in
//!   collections, not between them;
//! - the same holds where the data of most linked manifests are not there: collections delete links before data;
//! - a collection that would delete most of the store needs confirmation, except of what the user has named.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{DriverError, ErrorKind, StorageDriverExt};
use serde::Serialize;

use super::context::Context;
use super::eviction::Victims;
use super::graph::ReferenceGraph;
use super::interner::{Id, IdHashSet};
use super::inventory::{Age, Contents, Data, Inventory, Link, data_path};
use super::options::Options;
use super::plan::Plan;
use super::report::Unreadable;
use super::{Error, LastRun, Result};
use crate::layout;
use crate::oci::RepositoryName;

/// An amount that a collection does not delete without confirmation.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct TooMuch {
    /// How many bytes of blobs the collection would delete.
    pub bytes: u64,
    /// The limit that this exceeds, in per cent of all blobs.
    pub percent: u8,
}

/// A collection that deletes fewer bytes than this needs no confirmation: a user who tries the registry out soon deletes
/// most of the store.
pub const UNASKED_BYTES: u64 = 16 * 1024 * 1024;

/// As many manifests do not lose their data one by one.
const MANY_MANIFESTS: usize = 10;

/// How many names a store keeps: those with the most repositories.
const NAMES: usize = 1000;

/// The repositories as a collection found them.
#[derive(Debug)]
pub(super) struct Sight {
    /// First path components of the names of repositories that stay, with how many repositories begin with each.
    pub(super) names: BTreeMap<String, u64>,
    /// Places that cannot be seen, and those where repositories have vanished.
    pub(super) unseen: Vec<Unreadable>,
}

/// Removes from a plan all deletions that are safe only when the whole store was seen, unless it was. Takes the unseen
/// places from the inventory.
pub(super) fn restrict(
    plan: &mut Plan,
    inventory: &mut Inventory,
    data: &Data,
    last: Option<&LastRun>,
    options: &Options,
) -> Sight {
    let found = inventory.repositories.iter();
    let seen = names(found.clone().filter(|contents| contents.has_links()));
    let mut unseen = std::mem::take(&mut inventory.unseen);
    if !options.confirmed {
        unseen.extend(missing_data(inventory, data));
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
        let Plan { uploads, temporary, .. } = std::mem::take(plan);
        *plan = Plan { uploads, temporary, ..Plan::default() };
    }
    let gone = Gone::of(plan);
    let mut names = names(found.filter(|contents| contents.stays(&gone)));
    if !unseen.is_empty() {
        // Names that are not seen now were seen before.
        for (name, count) in last.into_iter().flat_map(|last| &last.names) {
            names.entry(name.clone()).or_insert(*count);
        }
    }
    Sight { names, unseen }
}

/// The place of the data, if those of most linked manifests are not there, as on a volume that is not mounted. Then a few
/// pushes since may have left some there. A link that is young does not count: a power failure may have taken its data.
pub(super) fn missing_data(inventory: &Inventory, data: &Data) -> Option<Unreadable> {
    let links = inventory.repositories.iter().flat_map(|contents| &contents.revisions);
    let old = links.filter(|link| link.age == Age::Old);
    let (there, missing): (Vec<Id>, Vec<Id>) = old.map(|link| link.id).partition(|id| data.is_there(*id));
    let is_sane = missing.len() <= there.len() || (!there.is_empty() && missing.len() < MANY_MANIFESTS);
    (!is_sane).then(|| Unreadable {
        path: layout::blobs_root().to_string(),
        reason: format!(
            "the content of {} of {} linked manifests is not here; mount what is missing; if it is lost, push these images \
             again or delete them, and confirm the loss (`--yes`)",
            missing.len(),
            missing.len() + there.len()
        ),
    })
}

/// Removes from the store the names below which this collection leaves nothing. This comes before the first deletion,
/// because the collection may be stopped.
pub(super) async fn forget_names(
    cx: &Context<'_>,
    last: Option<LastRun>,
    names: &BTreeMap<String, u64>,
) -> Result<()> {
    let Some(mut last) = last else { return Ok(()) };
    let before = last.names.len();
    last.names.retain(|name, _| names.contains_key(name));
    if last.names.len() < before {
        last.write(cx.driver()).await?;
    }
    Ok(())
}

/// Returns the amount if the plan needs confirmation.
///
/// Content that `victims` need is not counted, since their bounds are the user's, nor is what was `asked_for`.
pub(super) async fn too_much(
    cx: &mut Context<'_>,
    plan: &Plan,
    data: &Data,
    victims: &Victims,
    asked_for: &IdHashSet,
) -> Result<Option<TooMuch>> {
    let percent = cx.options.max_delete_percent;
    let is_garbage = |id: Id| victims.reason_of_data(id).is_none() && !asked_for.contains(&id);
    let garbage = plan.blobs.iter().filter(|(id, _)| is_garbage(*id));
    let bytes: u64 = garbage.map(|(_, size_bytes)| size_bytes).sum();
    if cx.options.confirmed || percent >= 100 || bytes < UNASKED_BYTES {
        return Ok(None);
    }
    // If at least this much stays, the plan needs no confirmation, however much more there is.
    let enough = u128::from(bytes) * u128::from(100 - percent) / u128::from(percent.max(1));
    let dead: IdHashSet = plan.blobs.iter().map(|(id, _)| *id).collect();
    let mut stays = u128::from(plan.young.bytes);
    let mut unknown = Vec::new();
    for id in cx.ids.canonical().filter(|id| !dead.contains(id) && !data.is_young(*id)) {
        stays += u128::from(data.size_bytes(id).unwrap_or_default());
        if data.is_unknown(id) {
            unknown.push(data_path(&cx.ids, id));
        }
    }
    let driver = cx.driver();
    let mut infos = stream::iter(unknown)
        .map(|path| async move { driver.stat_if_any(&path).await })
        .buffer_unordered(cx.concurrency());
    while stays < enough || percent == 0 {
        let Some(info) = infos.try_next().await? else {
            return Ok(Some(TooMuch { bytes, percent }));
        };
        cx.pacer.tick().await?;
        stays += u128::from(info.map_or(0, |info| info.size_bytes));
    }
    Ok(None)
}

/// The manifests that a plan deletes, and what they refer to. All of it was seen: a disk that is not mounted explains none
/// of it.
pub(super) fn of_deleted_manifests(plan: &Plan, inventory: &Inventory, graph: &ReferenceGraph) -> IdHashSet {
    let contents: HashMap<&RepositoryName, &Contents> =
        inventory.repositories.iter().map(|contents| (&contents.name, contents)).collect();
    let mut needed = IdHashSet::default();
    for (name, id) in &plan.revisions {
        needed.insert(*id);
        let references = graph.get(*id).map(|manifest| &*manifest.references).unwrap_or_default();
        let Some(contents) = contents.get(name) else { continue };
        needed.extend(references.iter().filter_map(|reference| contents.resolve(*reference)));
    }
    needed
}

/// Fails if a part of the store that was visible cannot be seen any more.
pub(super) fn check_sight(inventory: &Inventory) -> Result<()> {
    match inventory.unseen.first() {
        None => Ok(()),
        Some(Unreadable { path, reason }) => {
            Err(Error::Unseen { path: path.clone(), reason: reason.clone() })
        }
    }
}

/// The links that a plan deletes.
#[derive(Default)]
pub(super) struct Gone<'a> {
    layers: HashSet<(&'a RepositoryName, Id)>,
    revisions: HashSet<(&'a RepositoryName, Id)>,
}

impl<'a> Gone<'a> {
    pub(super) fn of(plan: &'a Plan) -> Self {
        let links = |links: &'a [(RepositoryName, Id)]| links.iter().map(|(name, id)| (name, *id)).collect();
        Self { layers: links(&plan.layers), revisions: links(&plan.revisions) }
    }

    pub(super) fn has_layer(&self, name: &RepositoryName, id: Id) -> bool {
        self.layers.contains(&(name, id))
    }

    pub(super) fn has_revision(&self, name: &RepositoryName, id: Id) -> bool {
        self.revisions.contains(&(name, id))
    }
}

impl Contents {
    /// Whether the repository will keep a link that is no longer young. Young links do not count: a push of a moment ago
    /// may not be on disk yet, and if a power failure took it away, that would look like a disk that is not mounted.
    fn stays(&self, gone: &Gone<'_>) -> bool {
        let stays = |links: &[Link], gone: &HashSet<(&RepositoryName, Id)>| {
            links.iter().any(|link| link.age == Age::Old && !gone.contains(&(&self.name, link.id)))
        };
        stays(&self.layers, &gone.layers) || stays(&self.revisions, &gone.revisions)
    }

    /// Whether the repository has anything but uploads.
    fn has_links(&self) -> bool {
        !(self.layers.is_empty()
            && self.revisions.is_empty()
            && self.aliases.is_empty()
            && self.tags.is_empty())
    }
}

/// First path components of repository names, with how many repositories begin with each.
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

/// Limits the names to as many as a store keeps.
pub(super) fn bounded(names: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    if names.len() <= NAMES {
        return names;
    }
    let largest: BTreeSet<(u64, String)> = names.into_iter().map(|(name, count)| (count, name)).collect();
    largest.into_iter().rev().take(NAMES).map(|(count, name)| (name, count)).collect()
}

/// Turns an error about a place that cannot be seen into an entry of the report; returns any other error.
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
