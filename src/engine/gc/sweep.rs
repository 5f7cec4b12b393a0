//! Sweeping: executes a plan, round by round and batch by batch, in an order whose every prefix is safe.

use std::collections::HashSet;
use std::future::ready;
use std::pin::pin;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{DriverError, DriverPath, ErrorKind, Operation, StorageDriverExt};
use tokio::time::sleep;

use super::Result;
use super::caution::check_sight;
use super::context::Context;
use super::interner::{DigestInterner, Id, IdMap};
use super::inventory::data_path;
use super::links::alias_entry;
use super::lock::RENEW_INTERVAL;
use super::plan::{OriginMark, Plan};
use super::references::References;
use super::report::Report;
use crate::layout::{self, Entry};
use crate::lease::DeletionKey;
use crate::oci::RepositoryName;

/// How many files are deleted between two checks of the lock: one request to an object store.
const DELETE_BATCH: usize = 1000;

/// How many rounds the deletions of one kind take, if `MAX_BATCHES` allows so few.
const ROUNDS: usize = 4;

/// How many batches a round has at most: every registry keeps some fifty bytes for each published entry.
const MAX_BATCHES: usize = 64;

/// How long the collector waits for the answers to its deletions. Each deletion has an earlier deadline of its own.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

/// Executes a plan, and adds to the report what it deletes.
#[derive(Debug)]
pub(super) struct Sweep<'a, 'c> {
    pub(super) cx: &'a mut Context<'c>,
    references: References,
    pub(super) report: &'a mut Report,
}

impl<'a, 'c> Sweep<'a, 'c> {
    pub(super) fn new(cx: &'a mut Context<'c>, references: References, report: &'a mut Report) -> Self {
        Self { cx, references, report }
    }

    /// Deletes what the plan names and the second mark still finds to be garbage.
    pub(super) async fn run(mut self, plan: &Plan) -> Result<()> {
        self.complete_indexes(plan).await?;
        self.sweep_tag_entries(plan).await?;
        self.sweep_dangling_tags(plan).await?;
        let batch = self.cx.batch();
        for revisions in rounds(&plan.revisions, batch) {
            self.sweep_revisions(revisions).await?;
        }
        let linked: HashSet<_> = plan.revisions.iter().collect();
        let marks = self.paths(plan.marks.iter().filter(|mark| !linked.contains(&mark.manifest)));
        self.delete(&marks).await?;
        self.sweep_misplaced_referrers(plan).await?;
        for manifests in rounds(&plan.unlinked_referrers(), batch) {
            self.sweep_referrers(manifests).await?;
        }
        for items in rounds(&items(plan), batch) {
            self.sweep_items(items).await?;
        }
        purge(self.cx, plan, self.report).await;
        self.sweep_temporary(plan).await?;
        for names in plan.repositories.chunks(batch) {
            self.sweep_repositories(names).await?;
        }
        Ok(())
    }

    /// No request reads histories, so they need no second mark.
    async fn sweep_tag_entries(&mut self, plan: &Plan) -> Result<()> {
        let path = |(name, tag, id): &(RepositoryName, _, Id)| {
            Entry::TagIndex(name.clone(), Clone::clone(tag), self.cx.ids.digest(*id)).path()
        };
        let paths: Vec<DriverPath> = plan.tag_entries.iter().map(path).collect();
        self.delete_durably(&paths).await?;
        self.report.tag_entries += paths.len() as u64;
        Ok(())
    }

    async fn sweep_revisions(&mut self, round: &[(RepositoryName, Id)]) -> Result<()> {
        self.publish_round(round, |ids, (name, id)| DeletionKey::Revision(name.clone(), ids.digest(*id)))
            .await?;
        let plan = self.mark_again(round.iter().map(|(_, id)| *id)).await?;
        let dead: HashSet<_> = plan.revisions.iter().collect();
        let (aliases, referrers) = (plan.aliases_by_target(true), plan.referrers_by_manifest());
        let marks = plan.marks_by_manifest();
        for batch in round.chunks(self.cx.batch()) {
            let dead: Vec<_> = batch.iter().filter(|revision| dead.contains(revision)).collect();
            self.sweep_tags_of(&plan, &dead).await?;
            let links =
                dead.iter().map(|(name, id)| Entry::RevisionLink(name.clone(), self.cx.ids.digest(*id)));
            let mut paths: Vec<DriverPath> = links.map(|link| link.path()).collect();
            for (name, id) in &dead {
                for alias in aliases.get(&(name, *id)).into_iter().flatten() {
                    paths.push(alias_entry(name, self.cx.ids.digest(*alias), true).path());
                }
            }
            self.delete_durably(&paths).await?;
            self.delete_referrers(&referrers, &dead).await?;
            let marks = dead.iter().filter_map(|revision| marks.get(*revision)).flatten();
            let marks = self.paths(marks.copied());
            self.delete(&marks).await?;
            self.report.manifests += dead.len() as u64;
            for (name, id) in &dead {
                self.report.evicted.add_manifest(self.references.victims.reason(name, *id));
            }
            self.report.saved += (batch.len() - dead.len()) as u64;
            self.withdraw_batch().await?;
        }
        Ok(())
    }

    fn paths<'m>(&self, marks: impl Iterator<Item = &'m OriginMark>) -> Vec<DriverPath> {
        marks.map(|mark| mark.entry(&self.cx.ids).path()).collect()
    }

    /// Deletes layer links first, then the data behind them.
    async fn sweep_items(&mut self, round: &[Item]) -> Result<()> {
        self.publish_round(round, Item::key).await?;
        let blobs = round.iter().filter_map(|item| match item {
            Item::Blob(id) => Some(*id),
            Item::Layer(..) => None,
        });
        let plan = self.mark_again(blobs).await?;

        let dead: IdMap<u64> = plan.blobs.iter().copied().collect();
        let aliases = plan.aliases_by_target(false);
        let mut single: HashSet<(&RepositoryName, Id)> = HashSet::new();
        let mut linking: IdMap<Vec<&RepositoryName>> = IdMap::default();
        for (name, id) in &plan.layers {
            match dead.contains_key(id) {
                true => linking.entry(*id).or_default().push(name),
                false => _ = single.insert((name, *id)),
            }
        }
        for batch in round.chunks(self.cx.batch()) {
            let (mut links, mut data) = (Vec::new(), Vec::new());
            let mut gone = 0;
            for item in batch {
                match item {
                    Item::Blob(id) => {
                        let Some(size_bytes) = dead.get(id) else { continue };
                        data.push((*id, *size_bytes));
                        links.extend(linking.get(id).into_iter().flatten().map(|name| (*name, *id)));
                    }
                    Item::Layer(name, id) if single.contains(&(name, *id)) => links.push((name, *id)),
                    Item::Layer(..) => continue,
                }
                gone += 1;
            }
            let link = |(name, id): &(&RepositoryName, Id)| {
                Entry::LayerLink(Clone::clone(*name), self.cx.ids.digest(*id)).path()
            };
            let mut paths: Vec<DriverPath> = links.iter().map(link).collect();
            for (name, id) in &links {
                for alias in aliases.get(&(*name, *id)).into_iter().flatten() {
                    paths.push(alias_entry(name, self.cx.ids.digest(*alias), false).path());
                }
            }
            self.delete_durably(&paths).await?;
            let paths: Vec<DriverPath> = data.iter().map(|(id, _)| data_path(&self.cx.ids, *id)).collect();
            self.delete(&paths).await?;

            self.report.layer_links += links.len() as u64;
            self.report.saved += (batch.len() - gone) as u64;
            for (id, size_bytes) in data {
                self.report.blobs.add(size_bytes);
                let reason = self.references.victims.reason_of_data(id);
                self.report.evicted.add_data(reason, size_bytes);
                self.references.data.remove(id);
            }
            self.withdraw_batch().await?;
        }
        Ok(())
    }

    async fn sweep_temporary(&mut self, plan: &Plan) -> Result<()> {
        let paths: Vec<DriverPath> = plan.temporary.iter().map(|file| file.path.clone()).collect();
        self.delete(&paths).await?;
        plan.temporary.iter().for_each(|file| self.report.temporary.add(file.size_bytes));
        Ok(())
    }

    async fn sweep_repositories(&mut self, names: &[RepositoryName]) -> Result<()> {
        self.publish_round(names, |_, name| DeletionKey::Repository(name.clone())).await?;
        for name in names {
            // Any file here, foreign or of a manifest of a moment ago, means that the repository is not empty.
            let directories = [layout::manifests(name), layout::layers(name), layout::referrers(name)];
            let marker = Entry::ReferrersComplete(name.clone()).path();
            let mut is_empty = true;
            for directory in &directories {
                let files = self.cx.driver().walk(directory, None);
                let mut files = pin!(files.try_filter(|file| ready(file.path != marker)));
                is_empty &= files.try_next().await?.is_none();
            }
            if !is_empty {
                continue;
            }
            self.delete(&[marker]).await?;
            // Not the uploads: one may begin at this moment, and a new upload does not check for pending deletions.
            let [manifests, layers, _] = directories;
            for directory in [manifests, layers, layout::own(name)] {
                self.remove_directories(directory).await?;
            }
            self.report.empty_repositories += 1;
        }
        self.withdraw_batch().await
    }

    /// Removes the directory `top` and those below it, but no file, even if a client writes one at this moment: the driver
    /// removes each directory as that of a deleted file, since the file that it is asked to delete does not exist.
    async fn remove_directories(&mut self, top: DriverPath) -> Result<()> {
        let mut levels = vec![vec![top]];
        while let Some(level) = levels.last() {
            let mut below = Vec::new();
            for directory in level {
                let mut entries = self.cx.driver().list(directory, None);
                while let Some(entry) = entries.try_next().await? {
                    self.cx.pacer.tick().await?;
                    below.extend(directory.join(entry.name()).ok().filter(|_| entry.is_directory()));
                }
            }
            match below.is_empty() {
                true => break,
                false => levels.push(below),
            }
        }
        for level in levels.into_iter().rev() {
            let files: Vec<_> = level.iter().filter_map(|directory| directory.join("link").ok()).collect();
            self.delete(&files).await?;
        }
        Ok(())
    }

    /// Publishes a round, batch by batch.
    pub(super) async fn publish_round<T>(
        &mut self,
        round: &[T],
        key: impl Fn(&DigestInterner, &T) -> DeletionKey,
    ) -> Result<()> {
        for batch in round.chunks(self.cx.batch()) {
            let keys: Vec<DeletionKey> = batch.iter().map(|thing| key(&self.cx.ids, thing)).collect();
            self.cx.pacer.lock()?.publish(&keys).await?;
        }
        Ok(())
    }

    /// Removes the oldest published batch.
    pub(super) async fn withdraw_batch(&mut self) -> Result<()> {
        self.cx.pacer.lock()?.clear().await
    }

    /// Walks and marks again, now that the round is published; `doubtful` are those whose data a client may have written
    /// since.
    pub(super) async fn mark_again(&mut self, doubtful: impl IntoIterator<Item = Id>) -> Result<Plan> {
        let driver = self.cx.driver();
        let paths: Vec<_> = doubtful.into_iter().map(|id| (id, data_path(&self.cx.ids, id))).collect();
        let mut infos = stream::iter(paths)
            .map(|(id, path)| async move { Ok::<_, super::Error>((id, driver.stat_if_any(&path).await?)) })
            .buffered(self.cx.concurrency());
        while let Some((id, info)) = infos.try_next().await? {
            self.cx.pacer.tick().await?;
            self.references.data.set(id, info.as_ref(), self.cx.cutoff);
        }
        let mut inventory = self.cx.walk(&[layout::repositories_root()]).await?;
        check_sight(&inventory)?;
        self.references.spare_victims_if_offline(self.cx).await?;
        // The first walk has reported what cannot be read.
        self.references.read(self.cx, &mut inventory).await?;
        let marks = self.references.mark(self.cx, &inventory);
        Ok(self.references.plan(self.cx, &inventory, &marks, false))
    }

    /// Deletes files that refer to something that may be deleted next, and syncs: a power failure that brought back such a
    /// file alone would leave it dangling.
    async fn delete_durably(&mut self, paths: &[DriverPath]) -> Result<()> {
        let deleted = self.delete(paths).await;
        // After an error, too: the next collection no longer finds these files, and deletes what they refer to.
        self.cx.driver().sync_deletions(paths).await?;
        deleted?;
        self.cx.pacer.tick().await
    }

    /// Deletes files while the lock holds. After an error, the lock knows whether the store may still carry out a deletion.
    pub(super) async fn delete(&mut self, paths: &[DriverPath]) -> Result<()> {
        for paths in paths.chunks(DELETE_BATCH) {
            let mut left = paths.to_vec();
            while !left.is_empty() {
                self.cx.pacer.tick().await?;
                left = self.delete_in_time(left).await?;
            }
        }
        Ok(())
    }

    /// Deletes files until the lock needs another check; returns those that are left.
    async fn delete_in_time(&mut self, paths: Vec<DriverPath>) -> Result<Vec<DriverPath>> {
        let driver = self.cx.driver();
        let lock = self.cx.pacer.lock()?;
        let until = lock.hold().await?;
        let count = paths.len();
        let (first, mut late) = (paths.first().cloned(), Vec::new());
        let mut failed = None;
        lock.set_awaits_answers(true);
        let mut is_under_way = false;
        let mut results = driver.delete_all(stream::iter(paths).boxed(), until);
        let unanswered = sleep(ANSWER_TIMEOUT);
        tokio::pin!(unanswered);
        loop {
            tokio::select! {
                biased;
                result = results.next() => match result {
                    None => break,
                    Some((_, Ok(()))) => {}
                    Some((path, Err(error))) if error.kind() == ErrorKind::TooLate => late.push((path, error)),
                    Some((_, Err(error))) => {
                        is_under_way |= !error.is_settled();
                        failed.get_or_insert(error);
                    }
                },
                () = sleep(RENEW_INTERVAL) => lock.keep().await?,
                () = &mut unanswered => {
                    let path = first.unwrap_or_else(DriverPath::root);
                    let error = DriverError::new(ErrorKind::Unavailable, driver.name(), Operation::DeleteAll, &path);
                    return Err(error.with_source("the store does not answer").into());
                }
            }
        }
        // The store may have carried out late what this process sent in time.
        lock.check()?;
        lock.set_awaits_answers(is_under_way);
        if let Some(error) = failed {
            return Err(error.into());
        }
        // Otherwise a store that did nothing in all that time would keep the run busy for ever.
        match late.len() == count {
            true => late.pop().map_or(Ok(Vec::new()), |(_, error)| Err(error.into())),
            false => Ok(late.into_iter().map(|(path, _)| path).collect()),
        }
    }
}

/// Purges abandoned uploads; in a dry run, counts them. The next collection retries an upload that fails.
pub(super) async fn purge(cx: &Context<'_>, plan: &Plan, report: &mut Report) {
    let Some(options) = cx.purge_options() else { return };
    for (name, id) in &plan.uploads {
        match cx.registry.purge_upload(name, id, &options).await {
            Ok(Some(bytes)) => report.uploads.add(bytes),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(repository = %name, upload = %id, %error, "cannot purge upload {id} of {name}");
            }
        }
    }
}

/// An entry of the second half of a plan.
enum Item {
    /// Data, with all layer links to them.
    Blob(Id),
    /// A layer link to data that stay, or are gone already.
    Layer(RepositoryName, Id),
}

impl Item {
    fn key(ids: &DigestInterner, item: &Self) -> DeletionKey {
        match item {
            Self::Blob(id) => DeletionKey::Blob(ids.digest(*id)),
            Self::Layer(name, id) => DeletionKey::Layer(name.clone(), ids.digest(*id)),
        }
    }
}

/// Divides deletions into rounds of whole batches. Each round costs a walk over the repositories, so there are few.
///
/// The collector publishes all batches of a round before its walk. It deletes the entries of each batch, and removes the
/// batch, before it continues to the next.
fn rounds<T>(things: &[T], batch: usize) -> impl Iterator<Item = &[T]> {
    let batches = things.len().div_ceil(batch).div_ceil(ROUNDS);
    things.chunks(batch.saturating_mul(batches.clamp(1, MAX_BATCHES)))
}

fn items(plan: &Plan) -> Vec<Item> {
    let blobs: HashSet<Id> = plan.blobs.iter().map(|(id, _)| *id).collect();
    let links = plan.layers.iter().filter(|(_, id)| !blobs.contains(id));
    let blobs = plan.blobs.iter().map(|(id, _)| Item::Blob(*id));
    blobs.chain(links.map(|(name, id)| Item::Layer(name.clone(), *id))).collect()
}
