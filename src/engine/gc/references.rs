//! `References`: which data exist and what refers to them, as far as a collection has read it.

use super::context::Context;
use super::graph::{ReadOptions, ReferenceGraph};
use super::inventory::{Contents, Data, Inventory};
use super::links::{self, Tagged};
use super::mark::{Marks, mark};
use super::plan::{Plan, plan};
use super::{Result, Unreadable};

/// Which data exist and what refers to them. It grows with each inventory that is read: what was read before stays.
#[derive(Debug, Default)]
pub(super) struct References {
    pub(super) data: Data,
    pub(super) graph: ReferenceGraph,
    tagged: Tagged,
}

impl References {
    /// Begins with the data that a scan has found.
    pub(super) fn new(data: Data) -> Self {
        Self { data, ..Self::default() }
    }

    /// Reads the links and manifests of an inventory. Returns the links that cannot be read.
    pub(super) async fn read(
        &mut self,
        cx: &mut Context<'_>,
        inventory: &mut Inventory,
    ) -> Result<Vec<Unreadable>> {
        let how = ReadOptions { concurrency: cx.options.concurrency, parallelism: cx.parallelism() };
        let (driver, options) = (cx.driver(), cx.options);
        let Context { ids, pacer, .. } = cx;
        let unreadable = links::read(driver, inventory, &mut self.tagged, ids, options, pacer).await?;
        self.graph.read(driver, inventory, &mut self.data, ids, how, pacer).await?;
        Ok(unreadable)
    }

    /// Marks what is live.
    pub(super) fn mark(&self, cx: &Context<'_>, inventory: &Inventory) -> Marks {
        self.mark_where(inventory, |_| cx.options.delete_untagged)
    }

    /// Marks what is live, if untagged manifests are deleted in the repositories that `delete_untagged` selects.
    pub(super) fn mark_where(
        &self,
        inventory: &Inventory,
        delete_untagged: impl Fn(&Contents) -> bool,
    ) -> Marks {
        mark(inventory, &self.data, &self.graph, delete_untagged)
    }

    /// Plans the deletions, those of abandoned uploads only if `with_uploads`.
    pub(super) fn plan(
        &self,
        cx: &Context<'_>,
        inventory: &Inventory,
        marks: &Marks,
        with_uploads: bool,
    ) -> Plan {
        let before = cx.purge_options().filter(|_| with_uploads).map(|options| options.older_than);
        plan(inventory, &self.data, &self.graph, marks, &cx.ids, before)
    }
}
