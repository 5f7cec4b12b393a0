//! What a store held is kept in a second one, and comes back as it was: also beside pushes, deletions, collections and crashes.

mod beside;
mod choice;
mod missing;
mod prune;
mod restore;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use sampan_driver::{PutMode, StorageDriver};
use sampan_engine::backup::{self, Error, Keep, RestoreOptions, Restored, Run, RunOptions, SnapshotId};
use sampan_engine::layout::{self, Entry};
use sampan_engine::migrate::Migration;
use sampan_engine::{Selection, gc, verify};

use beside::{
    a_push_beside_a_restore_is_not_lost, two_backups_of_one_second_are_two_snapshots,
    what_a_killed_copy_left_is_removed_when_it_is_old, what_was_half_copied_does_not_stay,
};
use choice::{
    a_snapshot_of_some_repositories_displaces_none_of_everything, a_snapshot_of_the_future_displaces_none,
};
use missing::{
    a_restore_writes_damaged_links_anew, what_an_image_lacks_is_named_as_damage,
    what_no_manifest_needs_is_not_saved, what_no_store_need_have_is_no_damage,
};
use prune::{
    a_prune_beside_a_backup_harms_no_snapshot, a_prune_keeps_what_the_snapshots_have,
    nothing_goes_while_a_snapshot_cannot_be_read,
};
use restore::{
    a_restore_mends_what_is_there_and_replaces_no_tag_unasked, a_restore_that_is_killed_anywhere_goes_on,
    access_tokens_come_back_as_they_were_last, damage_is_named_and_not_restored,
    one_repository_comes_back_alone,
};

use super::client::{Client, Image, index, tag};
use super::crash::listed_tags_can_be_pulled;
use super::store::is_valid;
use super::two_stores::fill;
use crate::below::Below;
use crate::check::{ensure, equal};
use crate::faulty::{Fault, Faulty};
use crate::fixture::Pace;
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
    is_valid(stores.backup.registry.driver()).await?;

    // The backups move to another place, and nothing of another store's backups goes into one's own.
    let moved = Below::at(ctx.driver(), "/moved");
    let driver = stores.backup.registry.driver().clone();
    let migration = Migration::begin(driver, moved.clone(), "the backups", Default::default()).await?;
    ensure(migration.finish().await?.comparison.is_equal(), "the backups are not moved whole")?;
    let moved = Stores { backup: Client::new(&moved), ..stores };
    equal(backup::list(&moved.backup.registry).await?, listed.clone(), "the snapshots that were moved")?;
    moved.restored(ctx.driver(), listed[0]).await?.pulls("image", &Image::new(2), tag("two")).await?;
    let twice = Client::new(&Below::at(ctx.driver(), "/twice"));
    let options = RunOptions::default();
    backup::run(&moved.backup.registry, &twice.registry, "the backups", &options).await?;
    equal(backup::list(&twice.registry).await?.len(), 1, "the snapshots of backups of backups")
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

/// Whatever a backup leaves behind when it dies, each snapshot that is there comes back whole.
async fn a_backup_that_is_killed_anywhere_leaves_whole_snapshots(ctx: Context) -> Result<(), Failed> {
    // A store in memory tries everything; where files are synced, each attempt takes its time.
    let is_in_memory = ctx.pace() == Pace::Local && ctx.driver().name() == "inmemory";
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
    let same_name = backup::run(target, &stores.backup.registry, "the source", &options).await;
    ensure(
        matches!(same_name, Err(Error::OtherSource { .. })),
        "the backups of two stores of one name are mixed",
    )?;
    let moved = RunOptions { source_moved: true, ..RunOptions::default() };
    backup::run(source, &stores.backup.registry, "elsewhere", &moved).await?;
    // A power failure has emptied the marker.
    let mark = Entry::BackupOf.path();
    stores.backup.registry.driver().put_content(&mark, Bytes::new(), PutMode::Overwrite).await?;
    backup::run(source, &stores.backup.registry, "the source", &options).await?;
    let inside = Client::new(&Below::at(ctx.driver(), "/source/inside")).registry;
    let inside = backup::run(source, &inside, "the source", &options).await;
    ensure(inside.is_err(), "a store is saved into itself")?;
    let everything = Selection::default();
    let early = backup::at(&stores.backup.registry, Some(UNIX_EPOCH), &everything).await;
    ensure(matches!(early, Err(Error::NoSnapshot { .. })), "there is a snapshot of 1970")?;
    let found = backup::at(&stores.backup.registry, Some(run.snapshot.id.time()), &everything).await?;
    equal(found.id, run.snapshot.id, "the snapshot of a time")
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
    a_push_beside_a_restore_is_not_lost,
    what_an_image_lacks_is_named_as_damage,
    what_no_store_need_have_is_no_damage,
    a_restore_writes_damaged_links_anew,
    a_snapshot_of_some_repositories_displaces_none_of_everything,
    a_snapshot_of_the_future_displaces_none,
    what_was_half_copied_does_not_stay,
    what_a_killed_copy_left_is_removed_when_it_is_old,
    what_no_manifest_needs_is_not_saved,
    two_backups_of_one_second_are_two_snapshots,
];
