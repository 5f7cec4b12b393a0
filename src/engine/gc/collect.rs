//! `collect`: one collection from beginning to end.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{DirEntry, DriverPath, StorageDriver};
use tokio::time::Instant;

use super::cutoff::Cutoff;
use super::graph::{ReadOptions, ReferenceGraph};
use super::interner::DigestInterner;
use super::inventory::{Data, Inventory, everything};
use super::last_run::LastRun;
use super::links::{self, Tagged};
use super::lock::CollectorLock;
use super::mark::mark;
use super::options::Options;
use super::pacer::Pacer;
use super::parallelism::Parallelism;
use super::plan::{Plan, plan};
use super::report::Report;
use super::{Error, Result};
use crate::oci::RepositoryName;
use crate::{PurgeOptions, Registry, layout};

/// Collects the garbage of the registry's store.
///
/// The caller may drop the future at any time; [`Stop`](super::Stop) is the politer way. Both leave garbage to the next
/// collection, nothing else.
///
/// # Errors
///
/// `Running` when another collection has the lock; any error of the store; `Stopped`; `Lost`.
pub async fn collect(registry: &Registry, options: &Options) -> Result<Report> {
    let begun = Instant::now();
    let last = LastRun::beginning(registry.clock().now(), options);
    // Before the lock: a lease file of a registry that knows of the run is younger than this cutoff by at least half the
    // grace period.
    let cutoff = Cutoff::new(registry.clock(), options.grace);
    let lock = match options.dry_run {
        true => None,
        false => {
            let lock = CollectorLock::take(registry.driver(), registry.clock(), options.grace, &options.stop)
                .await?;
            Some(lock)
        }
    };
    let mut collection = Collection::new(registry, options, cutoff, Pacer::new(lock, options));
    let planned = collection.plan().await;
    let swept = match planned {
        Ok(plan) if options.dry_run => collection.report(&plan).await,
        Ok(plan) => collection.sweep_unless_too_much(plan).await,
        Err(error) => Err(error),
    };
    let Collection { mut report, pacer, is_under_way, names, .. } = collection;
    if let Some(lock) = pacer.into_lock() {
        match &swept {
            // The batches of this run stay pending until the store cannot carry out any of their deletions any more.
            Err(_) if is_under_way => {}
            Err(Error::Lost) => {}
            Err(error) => {
                if let Err(again) = lock.release().await {
                    tracing::warn!(%error, %again, "the lock of a collection that failed could not be given back");
                }
            }
            Ok(()) => {
                last.leaving(names).write(registry.driver()).await?;
                lock.release().await?;
            }
        }
    }
    swept?;
    report.took(begun.elapsed());
    Ok(report)
}

/// A collection in progress.
#[derive(Debug)]
pub(super) struct Collection<'a> {
    pub(super) registry: &'a Registry,
    pub(super) options: &'a Options,
    pub(super) cutoff: Cutoff,
    pub(super) pacer: Pacer,
    pub(super) ids: DigestInterner,
    pub(super) data: Data,
    pub(super) graph: ReferenceGraph,
    pub(super) tagged: Tagged,
    pub(super) temporary: Vec<(DriverPath, u64)>,
    pub(super) report: Report,
    /// The previous collection.
    last: Option<LastRun>,
    /// The names that the store keeps of this collection, see [`LastRun`].
    pub(super) names: BTreeMap<String, u64>,
    /// Whether the store may still carry out a deletion whose answer did not come.
    pub(super) is_under_way: bool,
}

impl<'a> Collection<'a> {
    fn new(registry: &'a Registry, options: &'a Options, cutoff: Cutoff, pacer: Pacer) -> Self {
        let report = Report {
            dry_run: options.dry_run,
            delete_untagged: options.delete_untagged,
            grace_secs: options.grace.as_secs(),
            ..Report::default()
        };
        Self {
            registry,
            options,
            cutoff,
            pacer,
            ids: DigestInterner::default(),
            data: Data::default(),
            graph: ReferenceGraph::default(),
            tagged: Tagged::default(),
            temporary: Vec::new(),
            report,
            last: None,
            names: BTreeMap::new(),
            is_under_way: false,
        }
    }

    pub(super) fn driver(&self) -> &'a Arc<dyn StorageDriver> {
        self.registry.driver()
    }

    /// Whether this collection scans names instead of walking files.
    fn is_survey(&self) -> bool {
        self.options.dry_run && !self.driver().capabilities().flat
    }

    pub(super) fn parallelism(&self) -> Parallelism {
        if self.is_survey() { Parallelism::Threads } else { Parallelism::Inline }
    }

    /// Walks, reads, marks and plans; emits events to the observer.
    async fn plan(&mut self) -> Result<Plan> {
        let is_survey = self.is_survey();
        let mut inventory =
            if is_survey { self.scan_names().await? } else { self.walk(&everything()).await? };
        self.data = std::mem::take(&mut inventory.data);
        self.report.files = inventory.files;
        self.report.repositories = inventory.repositories.len() as u64;
        self.temporary = std::mem::take(&mut inventory.temporary)
            .into_iter()
            .map(|file| (file.path, file.size_bytes))
            .collect();
        self.report.unreadable = self.read(&mut inventory).await?;
        if is_survey {
            self.recheck_candidates(&mut inventory).await?;
        }
        self.report.manifests_read = self.graph.len() as u64;

        let marks = mark(&inventory, &self.data, &self.graph, self.options.delete_untagged);
        let before = self.uploads().map(|options| options.older_than);
        let mut plan = plan(&inventory, &self.data, &self.graph, &marks, &self.ids, before);
        plan.repositories.extend(match inventory.bare.take() {
            Some(bare) => bare,
            None => self.bare_repositories(&inventory).await?,
        });
        self.report.young = plan.young;
        if is_survey {
            self.look_for_foreign(&mut inventory, &plan.repositories).await?;
        }
        let foreign = inventory.with_foreign();
        plan.repositories.retain(|name| !foreign.contains(name));
        self.last = LastRun::of(self.registry).await?;
        let last = self.last.clone();
        self.keep_what_may_be_needed(&mut inventory, &mut plan, last.as_ref());
        inventory.future.iter().for_each(|path| self.report.add_future(path));
        inventory.foreign.iter().for_each(|path| self.report.add_foreign(path));
        self.announce(&inventory, &marks, &plan);
        Ok(plan)
    }

    /// Walks every file below some roots.
    pub(super) async fn walk(&mut self, roots: &[DriverPath]) -> Result<Inventory> {
        Inventory::walk(self.driver(), roots, self.cutoff, &mut self.ids, &mut self.pacer).await
    }

    /// Reads the links and manifests of an inventory.
    pub(super) async fn read(&mut self, inventory: &mut Inventory) -> Result<Vec<super::Unreadable>> {
        let (driver, options) = (self.driver(), self.options);
        let unreadable =
            links::read(driver, inventory, &mut self.tagged, &mut self.ids, options, &mut self.pacer).await?;
        let how = ReadOptions { concurrency: options.concurrency, parallelism: self.parallelism() };
        let Self { graph, data, ids, pacer, .. } = self;
        graph.read(driver, inventory, data, ids, how, pacer).await?;
        Ok(unreadable)
    }

    /// Which uploads count as abandoned; `None` if the collection purges none.
    pub(super) fn uploads(&self) -> Option<PurgeOptions> {
        let older_than = self.registry.clock().ago(self.options.upload_age?);
        Some(PurgeOptions { older_than, dry_run: self.options.dry_run })
    }

    /// Finds repositories that consist of nothing but directories on a filesystem, as deletions by Distribution leave them.
    async fn bare_repositories(&mut self, inventory: &Inventory) -> Result<Vec<RepositoryName>> {
        let mut bare = Vec::new();
        let mut level = vec![layout::repositories_root()];
        while !level.is_empty() {
            let driver = self.driver();
            let mut listings = stream::iter(std::mem::take(&mut level))
                .map(|path| async move {
                    let entries: Vec<DirEntry> = driver.list(&path, None).try_collect().await?;
                    Ok::<_, Error>((path, entries))
                })
                .buffered(self.options.concurrency.max(1));
            while let Some((path, entries)) = listings.try_next().await? {
                self.pacer.tick().await?;
                let parsed = |path: &DriverPath| {
                    path.below(&layout::repositories_root())
                        .and_then(|name| name.parse::<RepositoryName>().ok())
                };
                let has_manifests =
                    entries.iter().any(|entry| entry.is_directory() && entry.name() == "_manifests");
                if let Some(name) =
                    parsed(&path).filter(|name| has_manifests && inventory.find(name).is_none())
                {
                    bare.push(name);
                }
                let directories = entries.iter().filter(|entry| entry.is_directory());
                let below = directories.filter_map(|entry| path.join(entry.name()).ok());
                level.extend(below.filter(|path| parsed(path).is_some()));
            }
        }
        Ok(bare)
    }

    async fn sweep_unless_too_much(&mut self, plan: Plan) -> Result<()> {
        match self.too_much(&plan).await? {
            Some(too_much) => Err(Error::TooMuch(too_much)),
            None => {
                let last = self.last.take();
                self.forget_names(last).await?;
                self.sweep(plan).await
            }
        }
    }

    /// Reports what the plan would delete.
    async fn report(&mut self, plan: &Plan) -> Result<()> {
        self.report.too_much = self.too_much(plan).await?;
        self.report.tag_entries = plan.tag_entries.len() as u64;
        self.report.manifests = plan.revisions.len() as u64;
        self.report.layer_links = plan.layers.len() as u64;
        self.report.referrers = (plan.referrers.len() + plan.misplaced_referrers.len()) as u64;
        self.report.referrers_added = plan.missing_referrers.len() as u64;
        plan.blobs.iter().for_each(|(_, size_bytes)| self.report.blobs.add(*size_bytes));
        self.temporary.iter().for_each(|(_, size_bytes)| self.report.temporary.add(*size_bytes));
        self.report.empty_repositories = plan.repositories.len() as u64;
        self.purge(plan).await;
        Ok(())
    }
}
