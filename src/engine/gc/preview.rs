//! `preview`: the consequences of a deletion, found as a collection finds garbage: by marking before and after it.
//!
//! It writes nothing and takes no lock. As in a collection that deletes untagged manifests, whatever cannot be read keeps
//! what it may refer to. Unlike in one, nothing is too young: the preview tells what goes in the end.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{DriverPath, StorageDriverExt};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::caution::check_sight;
use super::context::Context;
use super::cutoff::Cutoff;
use super::graph::State;
use super::interner::{Id, IdHashSet};
use super::inventory::{Contents, Inventory, data_path, everything};
use super::mark::Marks;
use super::options::Options;
use super::pacer::Pacer;
use super::references::References;
use super::removal::{PreviewExtent, Removal, RemovalPreview};
use super::{Error, Result};
use crate::oci::{RepositoryName, Tag};
use crate::{Clock, Registry, layout};
use sampan_host::blocking::on_blocking_pool;

/// How many files are read at a time.
const CONCURRENCY: usize = 16;

/// Finds the consequences of a deletion in a repository.
///
/// A registry makes one preview at a time, on a thread of its own, since marking a large store takes the processor for long;
/// another waits for `wait` at most. Within the repository this reads each of its tags and manifests; in the whole store it
/// costs as much as a dry run of a collection. It ends when the future is dropped.
///
/// # Errors
///
/// `Busy` if another preview takes longer; `RepositoryUnknown`; any error of the store; `Unseen` where a part of it cannot be
/// seen.
pub async fn preview(
    registry: &Registry,
    name: &RepositoryName,
    removal: &Removal,
    extent: PreviewExtent,
    wait: Duration,
) -> Result<RemovalPreview> {
    let permit = timeout(wait, registry.inner.previews.clone().acquire_owned()).await;
    let permit = permit.map_err(|_| Error::Busy)?;
    let (registry, name, removal) = (registry.clone(), name.clone(), removal.clone());
    let stop = CancellationToken::new();
    let _ends_with_the_request = stop.clone().drop_guard();
    let runtime = Handle::current();
    on_blocking_pool(move || {
        // The next preview begins when this one has ended, not when its request has.
        let _permit = permit;
        let work = find(&registry, &name, &removal, extent, &stop);
        let work = stop.run_until_cancelled(work);
        runtime.block_on(work).unwrap_or(Err(Error::Stopped))
    })
    .await
}

async fn find(
    registry: &Registry,
    name: &RepositoryName,
    removal: &Removal,
    extent: PreviewExtent,
    stop: &CancellationToken,
) -> Result<RemovalPreview> {
    // Otherwise the targets of most tags would not be read.
    let stop = stop.clone();
    let options = Options { delete_untagged: true, concurrency: CONCURRENCY, stop, ..Options::default() };
    // Nothing is young to a clock that is ahead.
    let now = registry.clock().now() + Duration::from_secs(24 * 60 * 60);
    let cutoff = Cutoff::new(&Clock::new(move || now), Duration::ZERO);
    let mut cx = Context::new(registry, &options, cutoff, Pacer::new(None, &options));
    let mut inventory = cx.walk(&roots(name, extent)).await?;
    check_sight(&inventory)?;
    let Some(place) = inventory.repositories.iter().position(|contents| contents.name == *name) else {
        return Err(crate::Error::RepositoryUnknown(name.clone()).into());
    };
    if extent == PreviewExtent::Repository {
        assume_data(&mut inventory, place);
    }
    let mut references = References::new(std::mem::take(&mut inventory.data));
    let unreadable = references.read(&mut cx, &mut inventory).await?;

    let deletes_untagged = |contents: &Contents| match extent {
        PreviewExtent::Store { delete_untagged } => delete_untagged || contents.name == *name,
        PreviewExtent::Repository => true,
    };
    let before = references.mark_where(&inventory, deletes_untagged);
    let mut preview = RemovalPreview { unreadable: unreadable.len() as u64, ..RemovalPreview::default() };
    let contents = &mut inventory.repositories[place];
    let manifests: Vec<Id> = contents.revisions.iter().map(|link| link.id).collect();
    let linked = linked(contents);
    remove(contents, removal, &cx, &mut preview);
    let after = references.mark_where(&inventory, deletes_untagged);

    let is_reached =
        |marks: &Marks, index: usize| marks.repositories[place].revisions.get(index) == Some(&true);
    let is_whole = *removal == Removal::Repository;
    for (index, id) in manifests.into_iter().enumerate() {
        let reading = references.graph.get(id);
        let is_unreadable = reading.is_some_and(|reading| matches!(reading.state, State::Unreadable(_)));
        preview.unreadable += u64::from(is_unreadable);
        if (is_whole || is_reached(&before, index)) && !is_reached(&after, index) {
            preview.manifests.push(cx.ids.digest(id));
            if reading.is_some_and(|reading| reading.subject.is_some()) {
                preview.referrers.push(cx.ids.digest(id));
            }
        }
    }
    let was_needed = |id: &Id| before.data.contains(*id) || (is_whole && linked.contains(id));
    let freed = cx.ids.canonical().filter(|id| was_needed(id) && !after.data.contains(*id));
    let freed: Vec<Id> = freed.collect();
    preview.freed_bytes = size_bytes(&cx, &references, freed).await?;
    Ok(preview)
}

fn roots(name: &RepositoryName, extent: PreviewExtent) -> Vec<DriverPath> {
    match extent {
        PreviewExtent::Store { .. } => everything(),
        // Not the whole directory of the repository, which may have others below it.
        PreviewExtent::Repository => vec![layout::manifests(name), layout::layers(name)],
    }
}

/// Takes the data of everything that is linked as there, until they are read.
fn assume_data(inventory: &mut Inventory, place: usize) {
    let Inventory { repositories, data, .. } = inventory;
    for id in linked(&repositories[place]) {
        data.list(id);
    }
}

/// Everything that the repository links.
fn linked(contents: &Contents) -> IdHashSet {
    contents.revisions.iter().chain(&contents.layers).map(|link| link.id).collect()
}

/// Takes from the contents what the removal would.
fn remove(contents: &mut Contents, removal: &Removal, cx: &Context<'_>, preview: &mut RemovalPreview) {
    match removal {
        Removal::Repository => {
            for history in contents.tags.iter().filter(|history| history.is_current) {
                let digest = history.current.map(|id| cx.ids.digest(id));
                preview.tags.push((history.tag.clone(), digest));
            }
            *contents = Contents::new(contents.name.clone());
        }
        Removal::Tags(wanted) => {
            // The tags that no history has do not exist.
            let mut missing: BTreeSet<&Tag> = wanted.iter().collect();
            let mut targets = IdHashSet::default();
            contents.tags.retain(|history| {
                let goes = history.is_current && missing.remove(&history.tag);
                if goes {
                    targets.extend(history.current);
                    let digest = history.current.map(|id| cx.ids.digest(id));
                    preview.tags.push((history.tag.clone(), digest));
                }
                !goes
            });
            preview.missing = missing.into_iter().cloned().collect();
            for history in &contents.tags {
                if let Some(id) = history.current.filter(|id| targets.contains(id)) {
                    preview.other_tags.push((history.tag.clone(), cx.ids.digest(id)));
                }
            }
        }
    }
}

/// The length of some data that exist.
async fn size_bytes(cx: &Context<'_>, references: &References, freed: Vec<Id>) -> Result<u64> {
    let (known, unknown): (Vec<Id>, Vec<Id>) =
        freed.into_iter().partition(|id| references.data.size_bytes(*id).is_some());
    let known: u64 = known.into_iter().filter_map(|id| references.data.size_bytes(id)).sum();
    let listed = unknown.into_iter().filter(|id| references.data.is_there(*id));
    let paths: Vec<DriverPath> = listed.map(|id| data_path(&cx.ids, id)).collect();
    let driver = cx.driver();
    let sizes = stream::iter(paths)
        .map(|path| async move { driver.stat_if_any(&path).await })
        .buffer_unordered(CONCURRENCY);
    let sum = sizes.try_fold(0_u64, |sum, file| async move {
        Ok(sum.saturating_add(file.map_or(0, |file| file.size_bytes)))
    });
    Ok(known.saturating_add(sum.await?))
}
