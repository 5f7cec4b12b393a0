//! `collect`: one collection from beginning to end.

use tokio::time::Instant;

use super::caution::{self, Sight};
use super::context::Context;
use super::dates;
use super::eviction::Scope;
use super::interner::IdHashSet;
use super::inventory::Inventory;
use super::last_run::{CollectionLeft, LastRun};
use super::lock::CollectorLock;
use super::observe::observe;
use super::options::Options;
use super::pacer::Pacer;
use super::recheck::{find_foreign, recheck};
use super::references::References;
use super::removed::{self, Pruned};
use super::report::Report;
use super::scan::{bare_repositories, scan};
use super::survey::Surveyor;
use super::sweep::{Sweep, purge};
use super::{Error, Result};
use crate::{Registry, reserve_space};

/// Collects the garbage of the registry's store.
///
/// The caller may drop the future at any time; [`Options::stop`] is the politer way. Both leave garbage to the next
/// collection, nothing else.
///
/// # Errors
///
/// `Running` when another collection has the lock; any error of the store; `Stopped`; `Lost`.
pub async fn collect(registry: &Registry, options: &Options) -> Result<Report> {
    let begun = Instant::now();
    let last = match registry.caches().is_empty() {
        true => None,
        false => LastRun::of(registry).await?,
    };
    let this = LastRun::beginning(registry.clock().now(), options, last.as_ref());
    if let Some(evict) = &options.evict {
        registry.cache_uses().load_all(registry.driver(), evict.ttl.unwrap_or_default()).await?;
    }
    // Before the lock: a lease file of a registry that knows of the run is younger than this cutoff by at least half the
    // grace period.
    let cutoff = options.cutoff(registry.clock());
    let _write = (!options.dry_run).then(|| registry.inner.writes.count());
    let lock = match options.dry_run {
        true => None,
        false => {
            let lock = CollectorLock::take(registry.driver(), registry.clock(), options.grace, &options.stop)
                .await?;
            Some(lock)
        }
    };
    if options.evict.is_some() && !options.dry_run {
        // An old notice counts no more.
        if let Err(error) = registry.remove_outdated_offline().await {
            tracing::debug!(%error, "notices of processes that were killed while they were offline stay");
        }
    }
    let mut cx = Context::new(registry, options, cutoff, Pacer::new(lock, options));
    let mut report = Report::new(options);
    let left = run(&mut cx, &mut report).await;
    match cx.pacer.into_lock() {
        Some(lock) => end(registry, lock, this, left).await?,
        None => _ = left?,
    }
    report.took(begun.elapsed());
    Ok(report)
}

/// Scans, reads, marks, plans and sweeps.
async fn run(cx: &mut Context<'_>, report: &mut Report) -> Result<CollectionLeft> {
    let (as_of, added) = (cx.registry.clock().now(), cx.registry.cache_bytes().begin());
    let mut inventory = scan(cx).await?;
    report.files = inventory.files;
    report.repositories = inventory.repositories.len() as u64;

    let mut references = References::new(std::mem::take(&mut inventory.data));
    report.unreadable = references.read(cx, &mut inventory).await?;
    references.choose_victims(cx, &mut inventory).await?;
    if cx.is_quick() {
        recheck(cx, &mut inventory, &mut references, &mut report.unreadable).await?;
    }
    report.manifests_read = references.graph.len() as u64;

    let marks = references.mark(cx, &inventory);
    let mut plan = references.plan(cx, &inventory, &marks, true);
    plan.temporary = std::mem::take(&mut inventory.temporary);
    plan.repositories.extend(match inventory.bare.take() {
        Some(bare) => bare,
        None => bare_repositories(cx, &inventory).await?,
    });
    if cx.options.scope == Scope::Caches {
        plan.leave_others(|name| cx.registry.caches().contains(name));
    }
    report.young = plan.young;
    if cx.is_quick() {
        find_foreign(cx, &mut inventory, &plan.repositories).await?;
    }
    let foreign = inventory.with_foreign();
    plan.repositories.retain(|name| !foreign.contains(name));

    let last = LastRun::of(cx.registry).await?;
    let Sight { names, unseen } =
        caution::restrict(&mut plan, &mut inventory, &references.data, last.as_ref(), cx.options);
    report.add_unseen(unseen);
    inventory.future.iter().for_each(|path| report.add_future(path));
    inventory.foreign.iter().for_each(|path| report.add_foreign(path));
    observe(cx, &inventory, &references.graph, &marks, &plan, report);

    let asked_for = match cx.options.untagged_confirmed {
        true => caution::of_deleted_manifests(&plan, &inventory, &references.graph),
        false => IdHashSet::default(),
    };
    let too_much = caution::too_much(cx, &plan, &references.data, &references.victims, &asked_for).await?;
    let sizes = std::mem::take(&mut references.victims.sizes);
    if cx.options.dry_run {
        report.too_much = too_much;
        report.caches = sizes;
        report.add_plan(&plan, &references.victims);
        purge(cx, &plan, report).await;
        return Ok(CollectionLeft { names, cache_sizes: None });
    }
    if let Some(too_much) = too_much {
        if plan.tags.is_empty() && references.victims.is_empty() {
            return Err(Error::TooMuch(too_much));
        }
        // The garbage asks for confirmation, the eviction does not.
        plan.leave_garbage(&references.victims, |name| cx.registry.caches().contains(name));
        Sweep::new(cx, references, report).run(&plan).await?;
        cx.registry.cache_bytes().counted(&sizes, &added, as_of);
        return Err(Error::TooMuch(too_much));
    }
    caution::forget_names(cx, last, &names).await?;
    if cx.options.scope == Scope::All {
        prune_records(cx, &references, &mut inventory, report).await?;
    }
    // Where places cannot be seen, the survey of an earlier walk is better.
    let survey = (report.unseen == 0).then(|| {
        let surveyor = Surveyor::new(&inventory, &references.data, &cx.ids, &plan);
        surveyor.survey(as_of)
    });
    Sweep::new(cx, references, report).run(&plan).await?;
    let mut cache_sizes = None;
    if report.unseen == 0 && cx.options.evict.is_some() {
        cx.registry.cache_bytes().counted(&sizes, &added, as_of);
        cache_sizes = Some(sizes.clone());
        report.caches = sizes;
    }
    if let Some(survey) = survey
        && let Err(error) = survey.write(cx.registry).await
    {
        tracing::warn!(%error, "cannot write the survey of the store; the previous one stays");
    }
    Ok(CollectionLeft { names, cache_sizes })
}

/// Deletes records of removed tags that can restore nothing any more, and recorded times of tags that are gone. A place that
/// cannot be seen keeps all of them, and no failure of the store with them ends a collection.
async fn prune_records(
    cx: &mut Context<'_>,
    references: &References,
    inventory: &mut Inventory,
    report: &Report,
) -> Result<()> {
    if report.unseen > 0 {
        return Ok(());
    }
    let Pruned { deleted, failed } = removed::prune(cx, &references.data).await?;
    tracing::debug!(deleted, failed, "deleted {deleted} records of removed tags");
    match dates::prune(cx, inventory).await {
        Ok(deleted) => tracing::debug!(deleted, "deleted {deleted} files with times of tags"),
        Err(Error::Driver(error)) => {
            tracing::warn!(%error, "cannot delete outdated times of tags; the next collection tries again");
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Ends a run: leaves its record, and gives the lock back.
async fn end(
    registry: &Registry,
    lock: CollectorLock,
    this: LastRun,
    left: Result<CollectionLeft>,
) -> Result<()> {
    match left {
        Ok(left) => {
            this.leaving(left).write(registry.driver()).await?;
            lock.release().await?;
            // A full store has given it to this run, or to deletions before it.
            if let Err(error) = reserve_space(registry.driver()).await {
                tracing::debug!(%error, "no space is reserved");
            }
            Ok(())
        }
        Err(Error::Lost) => Err(Error::Lost),
        // The batches of this run stay pending until the store cannot carry out any of their deletions any more.
        Err(error) if lock.awaits_answers() => Err(error),
        Err(error) => {
            if let Err(again) = lock.release().await {
                tracing::warn!(%error, %again, "cannot release the lock of a failed collection; it expires by itself");
            }
            Err(error)
        }
    }
}
