//! The referrer indexes: a collection deletes meaningless entries, and writes missing ones.
//!
//! An index is a hint (see [`Referrers`](crate::Referrers)), so nothing here can cost a client more than the time of a
//! listing, or hide a referrer from a list for longer than until the next collection.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::DriverPath;

use super::interner::Id;
use super::plan::{Plan, Referrer};
use super::sweep::Sweep;
use super::{Error, Result};
use crate::layout::Entry;
use crate::lease::DeletionKey;
use crate::oci::RepositoryName;

impl Sweep<'_, '_> {
    /// Writes missing index entries, then the markers that the indexes are complete.
    ///
    /// An entry whose manifest is deleted meanwhile is superfluous. The marker comes last: the next run writes what a
    /// stopped run has not written. A full store must not keep the collection from freeing space, so errors of the store are
    /// logged.
    pub(super) async fn complete_indexes(&mut self, plan: &Plan) -> Result<()> {
        match self.write_indexes(plan).await {
            Err(Error::Registry(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot complete every index of referrers; the next collection continues"
                );
                Ok(())
            }
            written => written,
        }
    }

    async fn write_indexes(&mut self, plan: &Plan) -> Result<()> {
        let concurrency = self.cx.concurrency();
        let missing = plan.missing_referrers.iter().map(|entry| {
            let referrers = self.cx.registry.repository(entry.name.clone()).referrers();
            (referrers, self.cx.ids.digest(entry.subject), self.cx.ids.digest(entry.manifest))
        });
        let missing: Vec<_> = missing.collect();
        let mut added = stream::iter(missing)
            .map(|(referrers, subject, manifest)| async move { referrers.add(&subject, &manifest).await })
            .buffer_unordered(concurrency);
        while added.try_next().await?.is_some() {
            self.cx.pacer.tick().await?;
            self.report.referrers_added += 1;
        }
        let unmarked = plan.unmarked_indexes.iter();
        let unmarked: Vec<_> =
            unmarked.map(|name| self.cx.registry.repository(name.clone()).referrers()).collect();
        let mut marked = stream::iter(unmarked)
            .map(|referrers| async move { referrers.mark_complete().await })
            .buffer_unordered(concurrency);
        while marked.try_next().await?.is_some() {
            self.cx.pacer.tick().await?;
        }
        Ok(())
    }

    /// Deletes entries that no push writes: the subject of a manifest never changes.
    pub(super) async fn sweep_misplaced_referrers(&mut self, plan: &Plan) -> Result<()> {
        let paths: Vec<DriverPath> = plan.misplaced_referrers.iter().map(|entry| self.path(entry)).collect();
        self.delete(&paths).await?;
        self.report.referrers += paths.len() as u64;
        Ok(())
    }

    /// Deletes entries of manifests that have no link. A push of such a manifest waits meanwhile, so it does not write its
    /// link between the second mark and the deletion of its entry.
    pub(super) async fn sweep_referrers(&mut self, round: &[(RepositoryName, Id)]) -> Result<()> {
        self.publish_round(round, |ids, (name, id)| DeletionKey::Revision(name.clone(), ids.digest(*id)))
            .await?;
        let plan = self.mark_again(round.iter().map(|(_, id)| *id)).await?;
        let referrers = plan.referrers_by_manifest();
        for batch in round.chunks(self.cx.batch()) {
            self.delete_referrers(&referrers, &batch.iter().collect::<Vec<_>>()).await?;
            self.withdraw_batch().await?;
        }
        Ok(())
    }

    /// Deletes those entries of `referrers` that belong to `manifests`, which are published as pending deletions.
    pub(super) async fn delete_referrers(
        &mut self,
        referrers: &HashMap<(&RepositoryName, Id), Vec<&Referrer>>,
        manifests: &[&(RepositoryName, Id)],
    ) -> Result<()> {
        let stale = manifests.iter().filter_map(|(name, id)| referrers.get(&(name, *id))).flatten();
        let paths: Vec<DriverPath> = stale.map(|entry| self.path(entry)).collect();
        self.delete(&paths).await?;
        self.report.referrers += paths.len() as u64;
        Ok(())
    }

    fn path(&self, entry: &Referrer) -> DriverPath {
        let (subject, manifest) = (self.cx.ids.digest(entry.subject), self.cx.ids.digest(entry.manifest));
        Entry::Referrer(entry.name.clone(), subject, manifest).path()
    }
}
