//! Backups and restores beside pushes, stops and other backups.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sampan_driver::{FileInfo, PutMode, StorageDriver, StorageDriverExt};
use sampan_engine::backup::{self, Error, RestoreOptions, RunOptions};
use sampan_engine::layout::{Entry, migration_staged};
use sampan_engine::oci::Digest;
use sampan_engine::{Clock, Limits, Registry, gc};

use super::{Stores, tags};
use crate::check::{ensure, equal};
use crate::engine::client::{Client, Image, name, tag, walk};
use crate::engine::hooks::Interrupted;
use crate::engine::store::is_valid;
use crate::faulty::{Fault, Faulty};
use crate::fixture::Pace;
use crate::hooked::Hooked;
use crate::{Context, Failed};

/// The length of the file by which a run tells two stores apart.
const PROBE_BYTES: u64 = 5;

/// Two days.
const LONG: Duration = Duration::from_secs(48 * 60 * 60);

/// A tag that a client pushes anywhere in a restore stays as it was pushed.
pub(super) async fn a_push_beside_a_restore_is_not_lost(ctx: Context) -> Result<(), Failed> {
    let step = if ctx.pace() == Pace::Local && ctx.driver().capabilities().flat { 1 } else { 16 };
    for is_there in [false, true] {
        let mut named = 0;
        for moment in (1..).step_by(step) {
            ctx.delete_tree("/").await?;
            let stores = Stores::of(ctx.driver());
            for seed in [1, 3] {
                stores.source.put_image("image", &Image::new(seed), &format!("v{seed}")).await?;
            }
            let id = stores.run().await?.snapshot.id;
            if is_there {
                stores.target.put_image("image", &Image::new(1), "v1").await?;
            }
            let pusher = stores.target.clone();
            // Its error shows in the pull.
            let push =
                async move { pusher.put_image("image", &Image::new(2), "v1").await.unwrap_or_default() };
            let interrupted = Interrupted::new(moment, push);
            let hooked: Arc<dyn StorageDriver> =
                Arc::new(Hooked::new(stores.target.registry.driver().clone(), interrupted.clone()));
            let (registry, options) = (Client::new(&hooked).registry, RestoreOptions::default());
            let restored = backup::restore(&stores.backup.registry, &registry, id, &options).await;
            let within = |failed: Failed| failed.within(format_args!("a push at operation {moment}"));
            if !interrupted.has_come() {
                restored?;
                stores.target.pulls("image", &Image::new(1), tag("v1")).await?;
                break;
            }
            stores.target.pulls("image", &Image::new(2), tag("v1")).await.map_err(within)?;
            is_valid(stores.target.registry.driver()).await.map_err(within)?;
            match restored {
                Ok(restored) => {
                    equal(tags(&stores.target, "image").await?, ["v1", "v3"], "the tags").map_err(within)?;
                    let pushed = restored.pass.pushed;
                    ensure(pushed.items.iter().all(|it| it.tag == tag("v1")), "another tag is named")?;
                    named += pushed.count;
                }
                Err(Error::WouldReplace { .. }) => {}
                Err(error) => return Err(within(error.into())),
            }
        }
        ensure(named > 0, "no push came in the way")?;
    }
    Ok(())
}

/// Two backups that begin in one second both become snapshots, wherever one overtakes the other.
pub(super) async fn two_backups_of_one_second_are_two_snapshots(ctx: Context) -> Result<(), Failed> {
    let step = if ctx.pace() == Pace::Local && ctx.driver().capabilities().flat { 1 } else { 16 };
    let now = SystemTime::now();
    for moment in (1..).step_by(step) {
        ctx.delete_tree("/").await?;
        let stores = Stores::of(ctx.driver());
        stores.source.put_image("image", &Image::new(1), "one").await?;
        let source = at_time(stores.source.registry.driver(), now);
        let (other_source, other) = (source.clone(), stores.backup.registry.clone());
        let run = async move {
            // Its snapshot is looked for.
            backup::run(&other_source, &other, "the source", &RunOptions::default()).await.ok();
        };
        let interrupted = Interrupted::new(moment, run);
        let hooked: Arc<dyn StorageDriver> =
            Arc::new(Hooked::new(stores.backup.registry.driver().clone(), interrupted.clone()));
        let registry = Client::new(&hooked).registry;
        let within = |failed: Failed| failed.within(format_args!("a backup at operation {moment}"));
        let run = backup::run(&source, &registry, "the source", &RunOptions::default()).await;
        run.map_err(|error| within(error.into()))?;
        let listed = backup::list(&stores.backup.registry).await?;
        if !interrupted.has_come() {
            break;
        }
        equal(listed.len(), 2, "the snapshots").map_err(within)?;
        for id in listed {
            let restored = stores.restored(ctx.driver(), id).await.map_err(within)?;
            restored.pulls("image", &Image::new(1), tag("one")).await.map_err(within)?;
        }
    }
    Ok(())
}

/// A restore, or a backup, that is stopped or fails leaves no blob half copied.
pub(super) async fn what_was_half_copied_does_not_stay(ctx: Context) -> Result<(), Failed> {
    let step = if ctx.pace() == Pace::Local && ctx.driver().capabilities().flat { 1 } else { 8 };
    let stores = Stores::of(ctx.driver());
    stores.source.put_image("image", &Image::sized(1, 200_000), "one").await?;
    let id = stores.run().await?.snapshot.id;
    let target = stores.target.registry.driver();
    let mut stopped = 0;
    for moment in (1..).step_by(step) {
        target.delete_tree(&sampan_driver::DriverPath::root()).await?;
        let options = RestoreOptions::default();
        let stop = options.stop.clone();
        let interrupted = Interrupted::new(moment, async move {
            stop.cancel();
            // The restore gets to see it.
            tokio::task::yield_now().await;
        });
        let hooked: Arc<dyn StorageDriver> = Arc::new(Hooked::new(target.clone(), interrupted.clone()));
        let registry = Client::new(&hooked).registry;
        let restored = backup::restore(&stores.backup.registry, &registry, id, &options).await;
        stopped += u32::from(restored.is_err());
        equal(staged(target).await?, 0, format_args!("what a stop at operation {moment} leaves"))?;
        if !interrupted.has_come() {
            break;
        }
    }
    ensure(stopped > 0, "no stop came in the way")?;
    for fails_at in ctx.moments(Fault::Once).step_by(step) {
        target.delete_tree(&sampan_driver::DriverPath::root()).await?;
        stores.backup.registry.driver().delete_tree(&sampan_driver::DriverPath::root()).await?;
        let faulty: Arc<Faulty> = Arc::new(Faulty::new(ctx.driver().clone(), Fault::Once, fails_at));
        let driver: Arc<dyn StorageDriver> = faulty.clone();
        let failing = Stores::of(&driver);
        if let Ok(run) = failing.run().await {
            failing.restore(run.snapshot.id, RestoreOptions::default()).await.ok();
        }
        for driver in [target, stores.backup.registry.driver()] {
            equal(staged(driver).await?, 0, format_args!("what a failure of operation {fails_at} leaves"))?;
        }
        if !faulty.has_failed() {
            break;
        }
    }
    Ok(())
}

/// What a process that was killed has left is removed by the next restore, backup or collection once it is old.
pub(super) async fn what_a_killed_copy_left_is_removed_when_it_is_old(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    stores.source.put_image("image", &Image::new(1), "one").await?;
    let id = stores.run().await?.snapshot.id;
    let target = stores.target.registry.driver();
    let leave = async || {
        let path = format!("{}/0b6b2c1e-6a3c-4a44-9b5e-7d7f3b1f9a10", migration_staged()).parse()?;
        target.put_content(&path, Bytes::from_static(b"half"), PutMode::Create).await?;
        Ok::<_, Failed>(())
    };
    leave().await?;
    stores.restore(id, RestoreOptions::default()).await?;
    gc::collect(&stores.target.registry, &gc::Options { confirmed: true, ..gc::Options::default() }).await?;
    equal(staged(target).await?, 1, "what another process may be copying")?;
    let later = at_time(target, SystemTime::now() + LONG);
    backup::restore(&stores.backup.registry, &later, id, &RestoreOptions::default()).await?;
    equal(staged(target).await?, 0, "what a later restore leaves")?;
    leave().await?;
    let dry = gc::Options { dry_run: true, confirmed: true, ..gc::Options::default() };
    gc::collect(&later, &dry).await?;
    equal(staged(target).await?, 1, "what a dry run leaves")?;
    gc::collect(&later, &gc::Options { confirmed: true, ..gc::Options::default() }).await?;
    equal(staged(target).await?, 0, "what a later collection leaves")?;
    let link = Entry::LayerLink(name("image"), Digest::sha256_of(&Image::new(1).config));
    ensure(target.exists(&link.path()).await?, "it takes more")?;
    stores.target.pulls("image", &Image::new(1), tag("one")).await
}

async fn staged(driver: &Arc<dyn StorageDriver>) -> Result<usize, Failed> {
    let files = walk(driver).await?;
    let is_staged = |file: &&FileInfo| file.path.below(&migration_staged()).is_some();
    // A probe whose deletion has failed is no part of a blob.
    Ok(files.iter().filter(is_staged).filter(|file| file.size_bytes != PROBE_BYTES).count())
}

/// A registry whose clock stands still.
pub(super) fn at_time(driver: &Arc<dyn StorageDriver>, now: SystemTime) -> Registry {
    let limits = Limits { delete: true, ..Limits::default() };
    // A lock needs a clock that does not go back, so the time since a moment is that of another one.
    let steady = AtomicU64::new(0);
    let clock = Clock::with_steady(
        move || now,
        move || Duration::from_millis(steady.fetch_add(1, Ordering::Relaxed)),
    );
    Registry::builder(driver.clone()).limits(limits).blob_cache_bytes(0).clock(clock).build()
}
