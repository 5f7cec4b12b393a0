//! Snapshots are deleted, with what only they had, and nothing that another one has.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use sampan_driver::PutMode;
use sampan_driver::StorageDriver;
use sampan_driver::StorageDriverExt;
use sampan_engine::backup;
use sampan_engine::backup::Error;
use sampan_engine::backup::RunOptions;
use sampan_engine::backup::SnapshotId;
use sampan_engine::gc;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use sampan_engine::verify;

use super::Stores;
use super::collection;
use super::last;
use crate::Context;
use crate::Failed;
use crate::check::ensure;
use crate::check::equal;
use crate::engine::client::Client;
use crate::engine::client::Image;
use crate::engine::client::tag;
use crate::engine::hooks::Interrupted;
use crate::engine::store::is_valid;
use crate::fixture::Pace;
use crate::hooked::Hooked;

pub(super) async fn a_prune_keeps_what_the_snapshots_have(ctx: Context) -> Result<(), Failed> {
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

pub(super) async fn nothing_goes_while_a_snapshot_cannot_be_read(ctx: Context) -> Result<(), Failed> {
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
pub(super) async fn a_prune_beside_a_backup_harms_no_snapshot(ctx: Context) -> Result<(), Failed> {
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
