//! Removes the tags of evicted manifests.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};

use super::super::Result;
use super::super::interner::Id;
use super::super::plan::Plan;
use super::super::sweep::Sweep;
use crate::oci::{RepositoryName, Tag};
use crate::tag_removal::Stale;

/// When a tag is removed.
#[derive(Clone, Copy, Debug)]
enum Condition {
    /// It points at no manifest of the repository.
    NoManifest,
    /// It still points at the manifest.
    SameManifest,
}

impl Sweep<'_, '_> {
    /// Removes tags of caches that point at manifests without a link.
    pub(in crate::gc) async fn sweep_dangling_tags(&mut self, plan: &Plan) -> Result<()> {
        let linked: HashSet<_> = plan.revisions.iter().map(|(name, id)| (name, *id)).collect();
        let dangling = plan.tags.iter().filter(|(name, _, id)| !linked.contains(&(name, *id)));
        self.remove_tags(dangling.collect(), Condition::NoManifest).await
    }

    /// Removes tags of `plan` that point at these manifests.
    pub(in crate::gc) async fn sweep_tags_of(
        &mut self,
        plan: &Plan,
        dead: &[&(RepositoryName, Id)],
    ) -> Result<()> {
        let dead: HashSet<_> = dead.iter().map(|(name, id)| (name, *id)).collect();
        let tags = plan.tags.iter().filter(|(name, _, id)| dead.contains(&(name, *id)));
        self.remove_tags(tags.collect(), Condition::SameManifest).await
    }

    /// Each removal looks once more where the tag points: a pull may move it at any time.
    async fn remove_tags(
        &mut self,
        tags: Vec<&(RepositoryName, Tag, Id)>,
        condition: Condition,
    ) -> Result<()> {
        let concurrency = self.cx.concurrency();
        let removals: Vec<_> = tags
            .into_iter()
            .map(|(name, tag, id)| {
                let store = self.cx.registry.repository(name.clone()).tags();
                let (tag, digest) = (tag.clone(), self.cx.ids.digest(*id));
                async move {
                    let stale = match condition {
                        Condition::NoManifest => Stale::Dangling,
                        Condition::SameManifest => Stale::Evicted(&digest),
                    };
                    store.remove_if(&tag, stale).await
                }
            })
            .collect();
        let mut removed = stream::iter(removals).buffer_unordered(concurrency);
        while let Some(removed) = removed.try_next().await? {
            self.cx.pacer.tick().await?;
            self.report.evicted.tags += u64::from(removed);
        }
        Ok(())
    }
}
