//! Which snapshots a restore takes and a prune keeps: those of some repositories, and of clocks that were wrong.

use std::time::{Duration, SystemTime};

use sampan_engine::Selection;
use sampan_engine::backup::{self, Keep, RunOptions, SkipReason, SnapshotId};

use super::beside::at_time;
use super::{Stores, collection, last, tags};
use crate::check::{ensure, equal};
use crate::engine::client::{Image, tag};
use crate::{Context, Failed};

/// A snapshot of some repositories displaces none of everything, and none of others.
pub(super) async fn a_snapshot_of_some_repositories_displaces_none_of_everything(
    ctx: Context,
) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let backups = &stores.backup.registry;
    for repository in ["lib", "team"] {
        stores.source.put_image(repository, &Image::new(1), "v1").await?;
    }
    let some = |repository: &'static str| {
        Selection::new(move |name| name.as_str() == repository).named([repository.to_owned()])
    };
    let run = async |selection: Selection| {
        let options = RunOptions { selection, ..RunOptions::default() };
        backup::run(&stores.source.registry, backups, "the source", &options).await
    };
    run(Selection::default()).await?;
    let full = run(Selection::default()).await?.snapshot.id;
    let team = run(some("team")).await?.snapshot.id;
    run(some("lib")).await?;
    let lib = run(some("lib")).await?.snapshot.id;
    let summary = backup::summary(backups, lib).await?;
    equal((summary.is_everything, summary.selected), (false, vec!["lib".to_owned()]), "the selection")?;

    let everything = backup::at(backups, None, &Selection::default()).await?;
    equal((everything.id, everything.is_part), (full, false), "the latest of everything")?;
    equal(everything.passed_over, vec![(lib, SkipReason::Part)], "the later one that is passed over")?;
    stores.restored(ctx.driver(), everything.id).await?.pulls("team", &Image::new(1), tag("v1")).await?;
    let named = backup::at(backups, Some(lib.time()), &Selection::default()).await?;
    equal((named.id, named.is_part), (lib, true), "the one that is named")?;
    equal(backup::at(backups, None, &some("lib")).await?.id, lib, "the latest of a repository")?;
    equal(backup::at(backups, None, &some("team")).await?.id, team, "the latest of another one")?;
    let other = backup::at(backups, None, &some("other")).await?;
    equal(other.id, full, "the latest of a selection that no run had")?;

    for keep in [last(1), Keep { yearly: 1, daily: 2, ..Keep::default() }] {
        let pruned = backup::prune(backups, &keep, collection()).await?;
        let kept: Vec<SnapshotId> = pruned.kept.keys().copied().collect();
        equal(kept, vec![full, team, lib], format_args!("what {keep:?} keeps"))?;
    }
    // There is none of everything.
    let driver = backups.driver();
    let path =
        sampan_engine::layout::Entry::Snapshot(full.time().duration_since(SystemTime::UNIX_EPOCH)?.as_secs());
    driver.delete(&path.path()).await?;
    let part = backup::at(backups, None, &Selection::default()).await?;
    equal((part.id, part.is_part), (lib, true), "the latest of all")
}

/// A snapshot of the future, by a clock that was wrong, displaces none, and stays.
pub(super) async fn a_snapshot_of_the_future_displaces_none(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let backups = &stores.backup.registry;
    let everything = Selection::default();
    stores.source.put_image("image", &Image::new(1), "moving").await?;
    let jumped =
        at_time(stores.source.registry.driver(), SystemTime::now() + Duration::from_secs(400 * 86400));
    let future = backup::run(&jumped, backups, "the source", &RunOptions::default()).await?;
    equal(future.future, vec![], "the snapshots of the future, for a clock that is as wrong")?;
    // Where all are of the future, the clock may be wrong now.
    equal(backup::at(backups, None, &everything).await?.id, future.snapshot.id, "the latest one")?;
    let pruned = backup::prune(backups, &last(1), collection()).await?;
    equal(pruned.deleted, vec![], "what a prune deletes of the future")?;

    let old = stores.run().await?;
    equal(old.future, vec![future.snapshot.id], "the snapshots of the future")?;
    stores.source.put_image("image", &Image::new(2), "moving").await?;
    let now = stores.run().await?.snapshot.id;
    let latest = backup::at(backups, None, &everything).await?;
    equal(latest.id, now, "the latest snapshot")?;
    equal(latest.passed_over, vec![(future.snapshot.id, SkipReason::Future)], "what is passed over")?;
    let pruned = backup::prune(backups, &last(1), collection()).await?;
    equal(pruned.future, vec![future.snapshot.id], "the snapshots of the future")?;
    equal(pruned.deleted, vec![old.snapshot.id], "what a prune deletes")?;
    equal(backup::list(backups).await?, vec![now, future.snapshot.id], "the snapshots that stay")?;
    stores.restored(ctx.driver(), now).await?.pulls("image", &Image::new(2), tag("moving")).await?;
    // A year later it is one as any other.
    let later = at_time(backups.driver(), SystemTime::now() + Duration::from_secs(500 * 86400));
    let dry = sampan_engine::gc::Options { dry_run: true, ..collection() };
    let planned = backup::prune(&later, &last(1), dry).await?;
    equal((planned.deleted, planned.future), (vec![now], vec![]), "what a later prune deletes")?;
    ensure(tags(&stores.source, "image").await? == ["moving"], "the source has changed")
}
