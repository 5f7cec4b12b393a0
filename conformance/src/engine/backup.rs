//! What a store held is kept in a second one, and comes back as it was: also beside pushes, deletions, collections and crashes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use sampan_driver::{PutMode, StorageDriver, StorageDriverExt};
use sampan_engine::backup::{self, Error, Keep, RestoreOptions, Restored, Run, RunOptions, SnapshotId};
use sampan_engine::layout::{self, Entry};
use sampan_engine::oci::Digest;
use sampan_engine::{AccessTokenId, Registry, Selection, gc, verify};

use super::client::{Client, Image, index, name, tag};
use super::crash::listed_tags_can_be_pulled;
use super::hooks::Interrupted;
use super::store::is_valid;
use super::two_stores::fill;
use crate::below::Below;
use crate::check::{ensure, equal};
use crate::data::bytes;
use crate::faulty::{Fault, Faulty};
use crate::fixture::Pace;
use crate::hooked::Hooked;
use crate::{Clause, Context, Failed, clause::table};

/// A store, that of its backups, and one to restore to.
struct Stores {
    source: Client,
    backup: Client,
    target: Client,
}

impl Stores {
    fn of(driver: &Arc<dyn StorageDriver>) -> Self {
        let client = |place| Client::new(&Below::at(driver, place));
        Self { source: client("/source"), backup: client("/backup"), target: client("/target") }
    }

    async fn run(&self) -> Result<Run, Error> {
        backup::run(&self.source.registry, &self.backup.registry, "the source", &RunOptions::default()).await
    }

    async fn restore(&self, id: SnapshotId, options: RestoreOptions) -> Result<Restored, Error> {
        backup::restore(&self.backup.registry, &self.target.registry, id, &options).await
    }

    /// Restores a snapshot to an empty store of its own, and returns that.
    async fn restored(&self, driver: &Arc<dyn StorageDriver>, id: SnapshotId) -> Result<Client, Failed> {
        let place =
            Below::at(driver, &format!("/restored/{}", id.time().duration_since(UNIX_EPOCH)?.as_secs()));
        place.delete_tree(&sampan_driver::DriverPath::root()).await?;
        let client = Client::new(&place);
        let options = RestoreOptions::default();
        let restored = backup::restore(&self.backup.registry, &client.registry, id, &options).await?;
        ensure(restored.pass.is_whole(), format_args!("{id} lacks something: {:?}", restored.pass))?;
        is_valid(&place).await?;
        Ok(client)
    }
}

fn collection() -> gc::Options {
    gc::Options { grace: Duration::ZERO, confirmed: true, ..gc::Options::default() }
}

fn last(count: usize) -> Keep {
    Keep { last: count, ..Keep::default() }
}

async fn tags(client: &Client, repository: &str) -> Result<Vec<String>, Failed> {
    match client.repository(repository).tags().list(None, None).await {
        Ok(page) => Ok(page.items),
        Err(sampan_engine::Error::RepositoryUnknown(_)) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

async fn each_snapshot_comes_back_as_it_was(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let Stores { source, .. } = &stores;
    fill(source).await?;
    // Without a tag, and a tag that will move.
    source.put_image("image", &Image::new(4), "untagged").await?;
    source.repository("image").manifests().delete_tag_of(&tag("untagged"), &Image::new(4).digest()).await?;
    let first = stores.run().await?;
    ensure(first.pass.is_whole(), "the backup lacks something")?;
    let totals = first.snapshot.totals;
    equal((totals.repositories, totals.tags, totals.manifests), (2, 5, 7), "the content of the snapshot")?;

    source.push_manifest("image", &Image::new(2).manifest, tag("one"), &[]).await?;
    source.repository("image").manifests().delete(&tag("all").into()).await?;
    source.put_image("image", &Image::new(3), "three").await?;
    source.repository("image/below").manifests().delete(&Image::new(1).digest().into()).await?;
    let second = stores.run().await?;
    ensure(second.snapshot.id > first.snapshot.id, "two snapshots have one name")?;
    equal(second.pass.copied.blobs, 4, "the data that the second backup copies")?;
    let listed = backup::list(&stores.backup.registry).await?;
    equal(listed.clone(), vec![first.snapshot.id, second.snapshot.id], "the snapshots")?;
    equal(backup::summary(&stores.backup.registry, listed[0]).await?, first.snapshot.clone(), "the figures")?;

    let then = stores.restored(ctx.driver(), first.snapshot.id).await?;
    for (repository, seed, of) in
        [("image", 1, "one"), ("image", 1, "by-alias"), ("image", 2, "two"), ("image/below", 1, "one")]
    {
        then.pulls(repository, &Image::new(seed), tag(of)).await?;
    }
    equal(tags(&then, "image").await?, ["all", "by-alias", "one", "two"], "the tags of the first snapshot")?;
    then.pulls("image", &Image::new(4), Image::new(4).digest()).await?;
    let by_alias = then.repository("image").manifests().get(&tag("by-alias").into()).await?.digest;
    ensure(!by_alias.is_canonical(), "a tag has lost the digest that it was pushed by")?;
    equal(then.referrers("image", &Image::new(1).digest()).await?.len(), 1, "the referrers")?;

    let later = stores.restored(ctx.driver(), second.snapshot.id).await?;
    later.pulls("image", &Image::new(2), tag("one")).await?;
    later.pulls("image", &Image::new(3), tag("three")).await?;
    equal(tags(&later, "image").await?, ["by-alias", "one", "three", "two"], "the tags of the second one")?;
    equal(tags(&later, "image/below").await?, Vec::<String>::new(), "the tags of what was deleted")?;
    // The second store can be served, and has the tags of the last snapshot.
    equal(tags(&stores.backup, "image").await?, tags(&later, "image").await?, "the tags of the backups")?;
    stores.backup.pulls("image", &Image::new(3), tag("three")).await?;
    is_valid(stores.backup.registry.driver()).await
}

/// Each snapshot has what was acknowledged before it, and nothing that was deleted before it.
async fn snapshots_that_are_taken_beside_pushes_come_back(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (done, pushed) = (AtomicBool::new(false), AtomicU64::new(0));
    let push = async {
        let source = &stores.source;
        while !done.load(Ordering::Relaxed) {
            let number = pushed.load(Ordering::Relaxed);
            source.put_image("image", &Image::new(number), &format!("v{number}")).await?;
            source.push_manifest("image", &Image::new(number).manifest, tag("moving"), &[]).await?;
            if number % 3 == 2 {
                let old = Image::new(number - 1).digest();
                source.repository("image").manifests().delete(&old.into()).await?;
            }
            pushed.fetch_add(1, Ordering::Relaxed);
            // The runtime of a clause may have one thread.
            tokio::task::yield_now().await;
        }
        Ok::<_, Failed>(())
    };
    let count = if ctx.pace() == Pace::Local { 10 } else { 3 };
    let run = async {
        let mut runs = Vec::new();
        while runs.len() < count {
            let before = pushed.load(Ordering::Relaxed);
            let run = stores.run().await?;
            runs.push((run.snapshot, before));
        }
        done.store(true, Ordering::Relaxed);
        Ok::<_, Failed>(runs)
    };
    let ((), runs) = futures::try_join!(push, run)?;
    for (snapshot, before) in runs {
        let restored = stores.restored(ctx.driver(), snapshot.id).await?;
        let there = tags(&restored, "image").await?;
        for number in 0..before {
            let (name, was_deleted) = (format!("v{number}"), number % 3 == 1);
            if was_deleted && number + 1 < before {
                ensure(!there.contains(&name), format_args!("{name} was deleted before {}", snapshot.id))?;
            } else if !was_deleted {
                restored.pulls("image", &Image::new(number), tag(&name)).await?;
            }
        }
        listed_tags_can_be_pulled(&restored).await?;
    }
    is_valid(stores.backup.registry.driver()).await
}

async fn an_unchanged_store_costs_a_snapshot_and_no_more(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    fill(&stores.source).await?;
    stores.run().await?;
    let files = |paths: Vec<String>| paths.into_iter().filter(|path| !path.contains("/snapshots/"));
    let before: Vec<_> = files(ctx.walk("/backup", None).await?).collect();
    let again = stores.run().await?;
    equal(again.pass.copied.files(), 0, "the files that are copied again")?;
    let after: Vec<_> = files(ctx.walk("/backup", None).await?).collect();
    equal(after, before, "the other files of the second store")
}

async fn times_of_pushes_come_back(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    stores.source.put_image("image", &Image::new(1), "one").await?;
    let pushed = stores.source.repository("image").tags().pushed_at(&tag("one")).await?;
    let id = stores.run().await?.snapshot.id;
    let restored = stores.restored(ctx.driver(), id).await?;
    let whole = |time: SystemTime| time.duration_since(UNIX_EPOCH).map(|time| time.as_millis());
    let came_back = restored.repository("image").tags().pushed_at(&tag("one")).await?;
    equal(came_back.map(whole).transpose()?, pushed.map(whole).transpose()?, "the time of the push")
}

async fn a_prune_keeps_what_the_snapshots_have(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, backups) = (&stores.source, &stores.backup.registry);
    for seed in 1..=3 {
        source.put_image("image", &Image::new(seed), "moving").await?;
        source.put_image("image", &Image::new(10), "same").await?;
        if seed > 1 {
            source.repository("image").manifests().delete(&Image::new(seed - 1).digest().into()).await?;
        }
        stores.run().await?;
    }
    let dry = gc::Options { dry_run: true, ..collection() };
    let planned = backup::prune(backups, &last(2), dry).await?;
    equal((planned.kept.len(), planned.deleted.len()), (2, 1), "what would stay and go")?;
    equal(backup::list(backups).await?.len(), 3, "the snapshots after a dry run")?;
    let pruned = backup::prune(backups, &last(2), collection()).await?;
    equal(
        pruned.collection.blobs.count,
        planned.collection.blobs.count,
        "what was announced, and what went",
    )?;
    let data = |image: &Image| Entry::Blob(Digest::sha256_of(&image.layers[0])).path();
    ensure(!backups.driver().exists(&data(&Image::new(1))).await?, "what only the first had stays")?;
    for (id, seed) in backup::list(backups).await?.into_iter().zip([2, 3]) {
        let restored = stores.restored(ctx.driver(), id).await?;
        restored.pulls("image", &Image::new(seed), tag("moving")).await?;
        restored.pulls("image", &Image::new(10), tag("same")).await?;
    }
    // Any other collection keeps them, too.
    let untagged = gc::Options { delete_untagged: true, ..collection() };
    gc::collect(backups, &untagged).await?;
    for id in backup::list(backups).await? {
        stores.restored(ctx.driver(), id).await?;
    }
    is_valid(backups.driver()).await
}

async fn nothing_goes_while_a_snapshot_cannot_be_read(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let backups = &stores.backup.registry;
    stores.source.put_image("image", &Image::new(1), "one").await?;
    let id = stores.run().await?.snapshot.id;
    stores.source.repository("image").manifests().delete(&Image::new(1).digest().into()).await?;
    stores.source.put_image("image", &Image::new(2), "two").await?;
    stores.run().await?;
    let path = snapshot_path(id)?;
    let content = backups.driver().get_content(&path).await?;
    let cut = content.slice(..content.len() - 9);
    backups.driver().put_content(&path, cut, PutMode::Overwrite).await?;
    let files = ctx.walk("/backup", None).await?;
    let pruned = backup::prune(backups, &last(2), collection()).await;
    ensure(matches!(pruned, Err(Error::Damaged { .. })), "a prune passes over a damaged snapshot")?;
    let untagged = gc::Options { delete_untagged: true, ..collection() };
    let collected = gc::collect(backups, &untagged).await;
    ensure(matches!(collected, Err(gc::Error::Snapshot { .. })), "a collection passes over it")?;
    let left =
        |paths: Vec<String>| paths.into_iter().filter(|path| !path.contains("/gc/")).collect::<Vec<_>>();
    equal(left(ctx.walk("/backup", None).await?), left(files), "the files")?;
    let check = backup::check(backups, &verify::Options::default()).await?;
    equal(check.damaged.iter().map(|(id, _)| *id).collect::<Vec<_>>(), vec![id], "the damaged snapshots")?;
    // Deleted, it keeps nothing any more.
    backups.driver().delete(&path).await?;
    backup::prune(backups, &last(2), collection()).await?;
    let layer = Entry::Blob(Digest::sha256_of(&Image::new(1).layers[0])).path();
    ensure(!backups.driver().exists(&layer).await?, "what a deleted snapshot had stays")
}

fn snapshot_path(id: SnapshotId) -> Result<sampan_driver::DriverPath, Failed> {
    Ok(Entry::Snapshot(id.time().duration_since(UNIX_EPOCH)?.as_secs()).path())
}

/// A prune that comes between any two steps of a backup takes nothing from its snapshot, or there is no snapshot.
async fn a_prune_beside_a_backup_harms_no_snapshot(ctx: Context) -> Result<(), Failed> {
    let step = if ctx.pace() == Pace::Local && ctx.driver().capabilities().flat { 1 } else { 16 };
    let mut stopped = 0;
    for moment in (1..).step_by(step) {
        ctx.delete_tree("/").await?;
        let stores = Stores::of(ctx.driver());
        // The second store has what no snapshot that stays has, and the next one will.
        stores.source.put_image("image", &Image::new(1), "one").await?;
        stores.run().await?;
        stores.source.repository("image").manifests().delete(&Image::new(1).digest().into()).await?;
        stores.source.put_image("image", &Image::new(2), "two").await?;
        stores.run().await?;
        stores.source.put_image("image", &Image::new(1), "again").await?;

        let pruner = stores.backup.registry.clone();
        let prune = async move {
            // What it fails with, the snapshots show.
            backup::prune(&pruner, &last(1), collection()).await.ok();
        };
        let interrupted = Interrupted::new(moment, prune);
        let hooked: Arc<dyn StorageDriver> =
            Arc::new(Hooked::new(stores.backup.registry.driver().clone(), interrupted.clone()));
        let registry = Client::new(&hooked).registry;
        let options = RunOptions::default();
        let run = backup::run(&stores.source.registry, &registry, "the source", &options).await;
        stopped += u32::from(run.is_err());
        let within = |failed: Failed| failed.within(format_args!("a prune at operation {moment}"));
        for id in backup::list(&stores.backup.registry).await? {
            stores.restored(ctx.driver(), id).await.map_err(within)?;
        }
        if !interrupted.has_come() {
            run?;
            break;
        }
    }
    ensure(stopped > 0, "no prune came in the way")
}

/// Whatever a backup leaves behind when it dies, each snapshot that is there comes back whole.
async fn a_backup_that_is_killed_anywhere_leaves_whole_snapshots(ctx: Context) -> Result<(), Failed> {
    // A store in memory tries everything; where files are synced, each attempt takes its time.
    let is_in_memory = ctx.pace() == Pace::Local && ctx.driver().capabilities().flat;
    let (step, faults) = if is_in_memory { (1, &Fault::ALL[..]) } else { (16, &[Fault::CrashAfter][..]) };
    for (place, fault) in faults.iter().copied().enumerate() {
        for fails_at in ctx.moments(fault).skip(2 * place % step).step_by(step) {
            ctx.delete_tree("/").await?;
            let pristine = Stores::of(ctx.driver());
            let Stores { source, .. } = &pristine;
            source.put_image("image", &Image::new(1), "moving").await?;
            source.put_image("image", &Image::new(2), "gone").await?;
            let first = pristine.run().await?.snapshot.id;
            source.push_manifest("image", &index(&[&Image::new(1)]), tag("moving"), &[]).await?;
            source.attach("image", "application/vnd.example.signature", &Image::new(1).manifest).await?;
            source.repository("image").manifests().delete(&Image::new(2).digest().into()).await?;

            let faulty: Arc<Faulty> = Arc::new(Faulty::new(ctx.driver().clone(), fault, fails_at));
            let driver: Arc<dyn StorageDriver> = faulty.clone();
            let run = Stores::of(&driver).run().await;
            let within = |failed: Failed| failed.within(format_args!("{fault:?} at operation {fails_at}"));
            if run.is_err() {
                ensure(faulty.has_failed(), "the backup fails though the drivers do not")?;
            }
            is_valid(pristine.backup.registry.driver()).await.map_err(within)?;
            listed_tags_can_be_pulled(&pristine.backup).await.map_err(within)?;
            for id in backup::list(&pristine.backup.registry).await? {
                let restored = pristine.restored(ctx.driver(), id).await.map_err(within)?;
                let expected: &[&str] = if id == first { &["gone", "moving"] } else { &["moving"] };
                equal(tags(&restored, "image").await?, expected, "the tags").map_err(within)?;
            }
            let again = pristine.run().await?;
            pristine.restored(ctx.driver(), again.snapshot.id).await.map_err(within)?;
            equal(tags(&pristine.backup, "image").await?, ["moving"], "the tags of the backups")
                .map_err(within)?;
            if !faulty.has_failed() {
                break;
            }
        }
    }
    Ok(())
}

/// The store is valid after each failure, and the same command completes the restore.
async fn a_restore_that_is_killed_anywhere_goes_on(ctx: Context) -> Result<(), Failed> {
    let step = if ctx.driver().capabilities().flat { 1 } else { 8 };
    let fault = Fault::CrashAfter;
    for fails_at in ctx.moments(fault).step_by(step) {
        ctx.delete_tree("/").await?;
        let pristine = Stores::of(ctx.driver());
        let Stores { source, target, .. } = &pristine;
        source.put_image("image", &Image::new(1), "one").await?;
        source.push_manifest("image", &index(&[&Image::new(1)]), tag("all"), &[]).await?;
        let id = pristine.run().await?.snapshot.id;
        target.put_image("image", &Image::new(2), "one").await?;
        let replace = RestoreOptions { replace: true, ..RestoreOptions::default() };

        let faulty: Arc<Faulty> = Arc::new(Faulty::new(ctx.driver().clone(), fault, fails_at));
        let driver: Arc<dyn StorageDriver> = faulty.clone();
        let interrupted = Stores::of(&driver).restore(id, replace.clone()).await;
        let within = |failed: Failed| failed.within(format_args!("{fault:?} at operation {fails_at}"));
        is_valid(target.registry.driver()).await.map_err(within)?;
        listed_tags_can_be_pulled(target).await.map_err(within)?;
        if interrupted.is_err() {
            ensure(faulty.has_failed(), "the restore fails though the drivers do not")?;
        }
        // The lock of a process that is dead.
        target.registry.driver().delete_tree(&layout::collection_root()).await?;
        pristine.restore(id, replace).await?;
        target.pulls("image", &Image::new(1), tag("one")).await.map_err(within)?;
        is_valid(target.registry.driver()).await.map_err(within)?;
        if !faulty.has_failed() {
            break;
        }
    }
    Ok(())
}

async fn a_restore_mends_what_is_there_and_replaces_no_tag_unasked(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (target, driver) = (&stores.target, stores.target.registry.driver());
    fill(&stores.source).await?;
    let id = stores.run().await?.snapshot.id;
    stores.restore(id, RestoreOptions::default()).await?;
    let again = stores.restore(id, RestoreOptions::default()).await?;
    equal(again.pass.copied.files(), 0, "what a second restore copies")?;

    // The links stay, and what they lead to is lost.
    for lost in [Image::new(1).digest(), Digest::sha256_of(&Image::new(2).layers[1])] {
        driver.delete(&Entry::Blob(lost).path()).await?;
    }
    let empty = Bytes::new();
    let layer = Entry::Blob(Digest::sha256_of(&Image::new(2).layers[0])).path();
    driver.put_content(&layer, empty, PutMode::Overwrite).await?;
    target.put_image("image", &Image::new(5), "newer").await?;
    target.push_manifest("image", &Image::new(5).manifest, tag("two"), &[]).await?;
    target.put_image("other", &Image::new(6), "v1").await?;
    let refused = stores.restore(id, RestoreOptions::default()).await;
    let Err(Error::WouldReplace { count, first }) = refused else {
        return Err(Failed::new("a tag is replaced, and nobody asked"));
    };
    equal((count, first.tag), (1, tag("two")), "the tags that would be replaced")?;
    let dry = RestoreOptions { dry_run: true, replace: true, ..RestoreOptions::default() };
    let before = ctx.walk("/target", None).await?;
    let planned = stores.restore(id, dry).await?;
    equal(ctx.walk("/target", None).await?, before, "the files after a dry run")?;
    let replace = RestoreOptions { replace: true, ..RestoreOptions::default() };
    let restored = stores.restore(id, replace).await?;
    equal(planned.pass.copied, restored.pass.copied, "what was announced, and what was copied")?;
    equal(restored.replaced.count, 1, "the tags that are replaced")?;
    equal(
        restored.newer.items.iter().map(|it| it.tag.clone()).collect::<Vec<_>>(),
        vec![tag("newer")],
        "the newer tags",
    )?;
    for (seed, of) in [(1, "one"), (2, "two"), (5, "newer")] {
        target.pulls("image", &Image::new(seed), tag(of)).await?;
    }
    target.pulls("other", &Image::new(6), tag("v1")).await?;
    is_valid(driver).await?;
    ensure(driver.stat_if_any(&layout::collection_root()).await?.is_none(), "the lock stays")?;
    equal(gc::collect(&target.registry, &collection()).await?.foreign, 0, "the foreign files")?;
    target.pulls("image", &Image::new(2), tag("two")).await
}

async fn one_repository_comes_back_alone(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    fill(&stores.source).await?;
    let id = stores.run().await?.snapshot.id;
    let only = |repository: &'static str| Selection::new(move |name| name.as_str() == repository);
    let options = RestoreOptions { selection: only("image/below"), ..RestoreOptions::default() };
    stores.restore(id, options).await?;
    stores.target.pulls("image/below", &Image::new(1), tag("one")).await?;
    equal(tags(&stores.target, "image").await?, Vec::<String>::new(), "the tags of another repository")?;
    let nothing = RestoreOptions { selection: only("nothing"), ..RestoreOptions::default() };
    let nothing = stores.restore(id, nothing).await;
    ensure(matches!(nothing, Err(Error::NothingSelected)), "a restore of nothing succeeds")?;
    // A backup of one repository takes none of the tags of the others away.
    let options = RunOptions { selection: only("image/below"), ..RunOptions::default() };
    let (source, backups) = (&stores.source.registry, &stores.backup.registry);
    let run = backup::run(source, backups, "the source", &options).await?;
    equal((run.snapshot.is_everything, run.snapshot.totals.repositories), (false, 1), "the snapshot")?;
    equal(tags(&stores.backup, "image").await?.len(), 4, "the tags of another repository in the backups")?;
    let nothing = RunOptions { selection: only("nothing"), ..RunOptions::default() };
    let nothing = backup::run(source, backups, "the source", &nothing).await;
    ensure(matches!(nothing, Err(Error::NothingSelected)), "a backup of nothing succeeds")?;
    equal(backup::list(backups).await?.len(), 2, "the snapshots")
}

async fn damage_is_named_and_not_restored(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let backups = &stores.backup.registry;
    stores.source.put_image("image", &Image::new(1), "one").await?;
    stores.source.put_image("image", &Image::new(2), "two").await?;
    let id = stores.run().await?.snapshot.id;
    ensure(
        backup::check(backups, &verify::Options::default()).await?.is_whole(),
        "a whole backup is reported",
    )?;
    let layer = Digest::sha256_of(&Image::new(2).layers[0]);
    let bad = bytes(7, 20_000);
    backups.driver().put_content(&Entry::Blob(layer.clone()).path(), bad, PutMode::Overwrite).await?;
    let link = Entry::RevisionLink(name("image"), Image::new(1).digest()).path();
    let content = backups.driver().get_content(&link).await?;
    backups.driver().delete(&link).await?;
    let options = verify::Options { data: Some(verify::Start::Beginning), ..verify::Options::default() };
    let check = backup::check(backups, &options).await?;
    ensure(!check.is_whole(), "a damaged backup is whole")?;
    equal(check.missing.items, vec![(name("image"), Image::new(1).digest(), id)], "what the store has lost")?;
    ensure(check.hurt.get(&id).is_some_and(|count| *count >= 2), format_args!("{:?}", check.hurt))?;
    backups.driver().put_content(&link, content, PutMode::Overwrite).await?;

    let restored = stores.restore(id, RestoreOptions::default()).await?;
    equal(
        restored.pass.damaged.items.iter().map(|it| &it.digest).collect::<Vec<_>>(),
        vec![&layer],
        "the damage",
    )?;
    equal(tags(&stores.target, "image").await?, ["one"], "the tags of whole images")?;
    is_valid(stores.target.registry.driver()).await?;
    // Damage at the source is in no snapshot, unless the backups have it whole.
    let data = Entry::Blob(Digest::sha256_of(&Image::new(1).layers[0])).path();
    stores.source.registry.driver().put_content(&data, bytes(7, 20_000), PutMode::Overwrite).await?;
    let run = stores.run().await?;
    ensure(run.pass.is_whole(), "damage at the source hurts what the backups have whole")?;
    stores.target.repository("image").manifests().delete(&Image::new(1).digest().into()).await?;
    stores.restore(run.snapshot.id, RestoreOptions::default()).await?;
    stores.target.pulls("image", &Image::new(1), tag("one")).await
}

async fn what_is_no_backup_is_left_alone(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    fill(&stores.source).await?;
    let (source, target) = (&stores.source.registry, &stores.target.registry);
    stores.target.put_image("mine", &Image::new(4), "v1").await?;
    let options = RunOptions::default();
    let over = backup::run(source, target, "the source", &options).await;
    ensure(matches!(over, Err(Error::OtherContent(_))), "a backup is put among other content")?;
    for refused in [
        backup::prune(target, &last(1), collection()).await.map(drop),
        backup::check(target, &verify::Options::default()).await.map(drop),
        backup::restore(target, source, SnapshotId::at(UNIX_EPOCH), &RestoreOptions::default())
            .await
            .map(drop),
    ] {
        ensure(matches!(refused, Err(Error::NoBackup)), format_args!("{refused:?}"))?;
    }
    let run = stores.run().await?;
    let other = backup::run(target, &stores.backup.registry, "another", &options).await;
    ensure(matches!(other, Err(Error::OtherSource { .. })), "the backups of two stores are mixed")?;
    let moved = RunOptions { source_moved: true, ..RunOptions::default() };
    backup::run(source, &stores.backup.registry, "elsewhere", &moved).await?;
    let inside = Client::new(&Below::at(ctx.driver(), "/source/inside")).registry;
    let inside = backup::run(source, &inside, "the source", &options).await;
    ensure(inside.is_err(), "a store is saved into itself")?;
    let early = backup::at(&stores.backup.registry, Some(UNIX_EPOCH)).await;
    ensure(matches!(early, Err(Error::NoSnapshot { .. })), "there is a snapshot of 1970")?;
    let found = backup::at(&stores.backup.registry, Some(run.snapshot.id.time())).await?;
    equal(found, run.snapshot.id, "the snapshot of a time")
}

async fn a_source_that_shows_nothing_makes_no_snapshot(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    stores.source.put_image("image", &Image::new(1), "one").await?;
    stores.run().await?;
    stores.source.registry.driver().delete_tree(&layout::repositories_root()).await?;
    let run = stores.run().await;
    ensure(matches!(run, Err(Error::EmptySource(_, 1))), "a store that is not mounted becomes a snapshot")?;
    stores.backup.pulls("image", &Image::new(1), tag("one")).await
}

async fn access_tokens_come_back_as_they_were_last(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let put = async |registry: &Registry, id: &AccessTokenId| {
        let record = Entry::AccessTokenRecord(*id).path();
        registry.driver().put_content(&record, Bytes::from_static(b"{}"), PutMode::Overwrite).await
    };
    let (kept, revoked) = (AccessTokenId::random(), AccessTokenId::random());
    stores.source.put_image("image", &Image::new(1), "one").await?;
    put(&stores.source.registry, &kept).await?;
    put(&stores.source.registry, &revoked).await?;
    stores.run().await?;
    let record = Entry::AccessTokenRecord(revoked).path();
    stores.source.registry.driver().delete(&record).await?;
    let id = stores.run().await?.snapshot.id;
    let restored = stores.restore(id, RestoreOptions::default()).await?;
    equal(restored.tokens, 1, "the tokens that come back")?;
    ensure(!stores.target.registry.driver().exists(&record).await?, "a token that was deleted comes back")?;
    // A store with tokens of its own gets none.
    let other = Client::new(&Below::at(ctx.driver(), "/other"));
    put(&other.registry, &revoked).await?;
    let options = RestoreOptions::default();
    let restored = backup::restore(&stores.backup.registry, &other.registry, id, &options).await?;
    equal(restored.tokens, 0, "the tokens that a store with tokens gets")
}

/// The clauses.
pub(crate) const CLAUSES: &[Clause] = table!["engine::backup":
    each_snapshot_comes_back_as_it_was,
    snapshots_that_are_taken_beside_pushes_come_back,
    an_unchanged_store_costs_a_snapshot_and_no_more,
    times_of_pushes_come_back,
    a_prune_keeps_what_the_snapshots_have,
    nothing_goes_while_a_snapshot_cannot_be_read,
    a_prune_beside_a_backup_harms_no_snapshot,
    a_backup_that_is_killed_anywhere_leaves_whole_snapshots,
    a_restore_that_is_killed_anywhere_goes_on,
    a_restore_mends_what_is_there_and_replaces_no_tag_unasked,
    one_repository_comes_back_alone,
    damage_is_named_and_not_restored,
    what_is_no_backup_is_left_alone,
    a_source_that_shows_nothing_makes_no_snapshot,
    access_tokens_come_back_as_they_were_last,
];
