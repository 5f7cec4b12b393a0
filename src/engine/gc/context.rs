//! `Context`: what the steps of one collection share.

use std::sync::Arc;

use sampan_driver::{DriverPath, StorageDriver};

use super::Result;
use super::caution::check_sight;
use super::cutoff::Cutoff;
use super::interner::DigestInterner;
use super::inventory::{Inventory, everything};
use super::options::Options;
use super::pacer::Pacer;
use super::parallelism::Parallelism;
use crate::{PurgeOptions, Registry};

/// The state that the steps of one collection share.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) registry: &'a Registry,
    pub(super) options: &'a Options,
    pub(super) cutoff: Cutoff,
    pub(super) pacer: Pacer,
    pub(super) ids: DigestInterner,
}

impl<'a> Context<'a> {
    pub(super) fn new(registry: &'a Registry, options: &'a Options, cutoff: Cutoff, pacer: Pacer) -> Self {
        Self { registry, options, cutoff, pacer, ids: DigestInterner::default() }
    }

    /// For a look without a lock.
    pub(super) fn looking(registry: &'a Registry, options: &'a Options) -> Self {
        let cutoff = options.cutoff(registry.clock());
        Self::new(registry, options, cutoff, Pacer::new(None, options))
    }

    pub(super) fn driver(&self) -> &'a Arc<dyn StorageDriver> {
        self.registry.driver()
    }

    /// Whether the first pass is a quick scan, which shows neither the length nor the age of what stays.
    pub(super) fn is_quick(&self) -> bool {
        self.options.dry_run && self.options.evict.is_none() && !self.driver().capabilities().flat
    }

    pub(super) fn parallelism(&self) -> Parallelism {
        if self.is_quick() { Parallelism::Threads } else { Parallelism::Inline }
    }

    /// How many files are read at a time.
    pub(super) fn concurrency(&self) -> usize {
        self.options.concurrency.max(1)
    }

    /// How many entries a batch of deletions has.
    pub(super) fn batch(&self) -> usize {
        self.options.batch.max(1)
    }

    /// Which uploads count as abandoned; `None` if the collection purges none.
    pub(super) fn purge_options(&self) -> Option<PurgeOptions> {
        let older_than = self.registry.clock().ago(self.options.upload_age?);
        Some(PurgeOptions { older_than, dry_run: self.options.dry_run })
    }

    /// Walks the whole store; fails if a part of it cannot be seen.
    pub(super) async fn walk_everything(&mut self) -> Result<Inventory> {
        let inventory = self.walk(&everything()).await?;
        check_sight(&inventory)?;
        Ok(inventory)
    }

    /// Walks every file below some roots.
    pub(super) async fn walk(&mut self, roots: &[DriverPath]) -> Result<Inventory> {
        let cutoff = (self.cutoff, self.registry.caches());
        Inventory::walk(self.driver(), roots, cutoff, &mut self.ids, &mut self.pacer).await
    }
}
