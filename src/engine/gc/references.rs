//! `References`: which data exist and what refers to them, as far as a collection has read it.

use futures::TryStreamExt;

use super::context::Context;
use super::eviction::{Scheduled, Scope, Victims, choose};
use super::graph::{ReadOptions, ReferenceGraph};
use super::interner::{Id, IdSet};
use super::inventory::{Contents, Data, Inventory};
use super::links::{self, Tagged};
use super::mark::{Marks, Rule, mark};
use super::plan::{Plan, plan};
use super::snapshots::Snapshots;
use super::{Result, Unreadable};
use crate::layout::{Entry, damaged_root, removed_root};

/// Which data exist and what refers to them. It grows with each inventory that is read: what was read before stays.
#[derive(Debug, Default)]
pub(super) struct References {
    pub(super) data: Data,
    pub(super) graph: ReferenceGraph,
    tagged: Tagged,
    /// Content whose data a verification has moved aside, once it is known.
    moved_aside: Option<Vec<Id>>,
    snapshots: Snapshots,
    /// What Distribution's cache fetched, once it is known.
    scheduled: Option<Scheduled>,
    /// Data that stay although no link leads to them, once they are known.
    kept: Option<IdSet>,
    /// The manifests of caches that the collection evicts.
    pub(super) victims: Victims,
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
        if cx.options.evict.is_some() && self.scheduled.is_none() {
            self.scheduled = Some(Scheduled::read(cx).await?);
        }
        if let Some(scheduled) = &self.scheduled {
            scheduled.mark(inventory);
        }
        let Context { ids, pacer, .. } = cx;
        let known = (&mut self.tagged, &self.data);
        let unreadable = links::read(driver, inventory, known, ids, (options, &self.victims), pacer).await?;
        self.graph.read(driver, inventory, &mut self.data, ids, how, pacer).await?;
        let moved = match self.moved_aside.take() {
            Some(moved) => moved,
            None => moved_aside(cx).await?,
        };
        self.graph.expect_back(&moved);
        self.moved_aside = Some(moved);
        if self.kept.is_none() {
            self.kept = Some(kept_by_records(cx).await?);
        }
        Ok(unreadable)
    }

    /// Chooses the manifests of caches to evict, and reads the tags that point at them.
    pub(super) async fn choose_victims(
        &mut self,
        cx: &mut Context<'_>,
        inventory: &mut Inventory,
    ) -> Result<()> {
        if cx.options.evict.is_none() || cx.registry.is_any_offline().await? {
            return Ok(());
        }
        let kept = self.kept.clone().unwrap_or_default();
        self.victims = choose(cx, inventory, &self.data, &self.graph, kept).await?;
        if !self.victims.is_empty() {
            let (driver, options) = (cx.driver(), cx.options);
            let Context { ids, pacer, .. } = cx;
            let known = (&mut self.tagged, &self.data);
            links::read(driver, inventory, known, ids, (options, &self.victims), pacer).await?;
        }
        Ok(())
    }

    /// Spares the victims that are left if a process has gone offline since.
    pub(super) async fn spare_victims_if_offline(&mut self, cx: &Context<'_>) -> Result<()> {
        if !self.victims.is_empty() && cx.registry.is_any_offline().await? {
            self.victims.spare();
        }
        Ok(())
    }

    /// Marks what is live.
    pub(super) fn mark(&self, cx: &Context<'_>, inventory: &Inventory) -> Marks {
        // A user who confirms that the data are lost has seen that no manifest can be read.
        let is_blank = self.graph.is_blank() && !cx.options.confirmed;
        let (caches, delete_untagged) = (cx.registry.caches(), cx.options.delete_untagged);
        let mut marks = mark(inventory, &self.data, &self.graph, is_blank, |contents| {
            match (caches.contains(&contents.name), cx.options.scope) {
                (true, _) if cx.options.evict.is_some() && self.is_cache(contents) => {
                    Rule::Cache(self.victims.in_repository(&contents.name))
                }
                // What was pulled by its digest alone has no tag.
                (true, _) => Rule::Ordinary { delete_untagged: false },
                (false, Scope::All) => Rule::Ordinary { delete_untagged },
                (false, Scope::Caches) => Rule::Keep,
            }
        });
        self.kept.iter().for_each(|kept| marks.data.add_all(kept));
        marks
    }

    /// Whether anything in the repository came from an upstream, what was just evicted included.
    fn is_cache(&self, contents: &Contents) -> bool {
        contents.has_fetched() || self.victims.in_repository(&contents.name).data.is_some()
    }

    /// Marks what is live, if untagged manifests are deleted in the repositories that `delete_untagged` selects.
    pub(super) fn mark_where(
        &self,
        inventory: &Inventory,
        delete_untagged: impl Fn(&Contents) -> bool,
    ) -> Marks {
        mark(inventory, &self.data, &self.graph, self.graph.is_blank(), |contents| Rule::Ordinary {
            delete_untagged: delete_untagged(contents),
        })
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

/// The data that records of removed tags name, if the collection leaves repositories alone that may have them.
async fn kept_by_records(cx: &mut Context<'_>) -> Result<IdSet> {
    let mut kept = IdSet::default();
    if cx.options.scope == Scope::All {
        return Ok(kept);
    }
    let mut files = cx.driver().walk(&removed_root(), None);
    while let Some(file) = files.try_next().await? {
        if let Some(Entry::RemovedTag(name, _, _, digest)) = Entry::parse(&file.path)
            && digest.is_canonical()
            && !cx.registry.caches().contains(&name)
        {
            kept.insert(cx.ids.intern(&digest));
        }
        cx.pacer.tick().await?;
    }
    Ok(kept)
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
