//! `References`: which data exist and what refers to them, as far as a collection has read it.

use futures::TryStreamExt;

use super::context::Context;
use super::graph::{ReadOptions, ReferenceGraph};
use super::interner::Id;
use super::inventory::{Contents, Data, Inventory};
use super::links::{self, Tagged};
use super::mark::{Marks, mark};
use super::plan::{Plan, plan};
use super::snapshots::Snapshots;
use super::{Result, Unreadable};
use crate::layout::{Entry, damaged_root};

/// Which data exist and what refers to them. It grows with each inventory that is read: what was read before stays.
#[derive(Debug, Default)]
pub(super) struct References {
    pub(super) data: Data,
    pub(super) graph: ReferenceGraph,
    tagged: Tagged,
    /// Content whose data a verification has moved aside, once it is known.
    moved_aside: Option<Vec<Id>>,
    snapshots: Snapshots,
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
        self.snapshots.read(cx).await?;
        self.snapshots.mark(inventory);
        let Context { ids, pacer, .. } = cx;
        let unreadable = links::read(driver, inventory, &mut self.tagged, ids, options, pacer).await?;
        self.graph.read(driver, inventory, &mut self.data, ids, how, pacer).await?;
        let moved = match self.moved_aside.take() {
            Some(moved) => moved,
            None => moved_aside(cx).await?,
        };
        self.graph.expect_back(&moved);
        self.moved_aside = Some(moved);
        Ok(unreadable)
    }

    /// Marks what is live.
    pub(super) fn mark(&self, cx: &Context<'_>, inventory: &Inventory) -> Marks {
        // A user who confirms that the data are lost has seen that no manifest can be read.
        let is_blank = self.graph.is_blank() && !cx.options.confirmed;
        mark(inventory, &self.data, &self.graph, is_blank, |_| cx.options.delete_untagged)
    }

    /// Marks what is live, if untagged manifests are deleted in the repositories that `delete_untagged` selects.
    pub(super) fn mark_where(
        &self,
        inventory: &Inventory,
        delete_untagged: impl Fn(&Contents) -> bool,
    ) -> Marks {
        mark(inventory, &self.data, &self.graph, self.graph.is_blank(), delete_untagged)
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

/// The digests of everything that a verification has moved aside.
async fn moved_aside(cx: &mut Context<'_>) -> Result<Vec<Id>> {
    let mut files = cx.driver().walk(&damaged_root(), None);
    let mut moved = Vec::new();
    while let Some(file) = files.try_next().await? {
        if let Some(Entry::Damaged(digest, _)) = Entry::parse(&file.path) {
            moved.push(cx.ids.intern(&digest));
        }
        cx.pacer.tick().await?;
    }
    Ok(moved)
}
