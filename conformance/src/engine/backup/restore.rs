//! A store is brought back to a snapshot.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use sampan_driver::DriverError;
use sampan_driver::DriverPath;
use sampan_driver::ErrorKind;
use sampan_driver::Operation;
use sampan_driver::PutMode;
use sampan_driver::StorageDriver;
use sampan_driver::StorageDriverExt;
use sampan_engine::AccessTokenId;
use sampan_engine::Registry;
use sampan_engine::Selection;
use sampan_engine::backup;
use sampan_engine::backup::Error;
use sampan_engine::backup::RestoreOptions;
use sampan_engine::backup::RunOptions;
use sampan_engine::gc;
use sampan_engine::layout;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use sampan_engine::verify;

use super::Stores;
use super::collection;
use super::tags;
use crate::Context;
use crate::Failed;
use crate::below::Below;
use crate::check::ensure;
use crate::check::equal;
use crate::data::bytes;
use crate::engine::client::Client;
use crate::engine::client::Image;
use crate::engine::client::index;
use crate::engine::client::name;
use crate::engine::client::tag;
use crate::engine::crash::listed_tags_can_be_pulled;
use crate::engine::store::is_valid;
use crate::engine::two_stores::fill;
use crate::faulty::Fault;
use crate::faulty::Faulty;
use crate::hooked::Hook;
use crate::hooked::Hooked;

/// The store is valid after each failure, and the same command completes the restore.
pub(super) async fn a_restore_that_is_killed_anywhere_goes_on(ctx: Context) -> Result<(), Failed> {
    let step = if ctx.driver().capabilities().flat { 1 } else { 8 };
    let fault = Fault::CrashAfter;
    for fails_at in ctx.moments(fault).step_by(step) {
        ctx.delete_tree("/").await?;
        let pristine = Stores::of(ctx.driver());
        let Stores { source, target, .. } = &pristine;
        source.put_image("image", &Image::new(1), "one").await?;
        source.push_manifest("image", &index(&[&Image::new(1)]), tag("all"), &[]).await?;
        let tokens = [(); 6].map(|()| AccessTokenId::random());
        for token in &tokens {
            put_token(&source.registry, token).await?;
        }
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
        let there: HashSet<AccessTokenId> = target.registry.access_tokens().await?.into_iter().collect();
        equal(there, tokens.into(), "the access tokens").map_err(within)?;
        if !faulty.has_failed() {
            break;
        }
    }
    Ok(())
}

pub(super) async fn a_restore_mends_what_is_there_and_replaces_no_tag_unasked(
    ctx: Context,
) -> Result<(), Failed> {
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
        return Err(Failed::new("a tag is replaced without `replace`"));
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

pub(super) async fn one_repository_comes_back_alone(ctx: Context) -> Result<(), Failed> {
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

pub(super) async fn damage_is_named_and_not_restored(ctx: Context) -> Result<(), Failed> {
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

pub(super) async fn access_tokens_come_back_as_they_were_last(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (kept, revoked) = (AccessTokenId::random(), AccessTokenId::random());
    stores.source.put_image("image", &Image::new(1), "one").await?;
    put_token(&stores.source.registry, &kept).await?;
    put_token(&stores.source.registry, &revoked).await?;
    stores.run().await?;
    let record = Entry::AccessTokenRecord(revoked).path();
    stores.source.registry.driver().delete(&record).await?;
    let id = stores.run().await?.snapshot.id;
    let restored = stores.restore(id, RestoreOptions::default()).await?;
    equal(restored.tokens, 1, "the tokens that come back")?;
    ensure(!stores.target.registry.driver().exists(&record).await?, "a token that was deleted comes back")?;
    // A store with tokens of its own gets none.
    let other = Client::new(&Below::at(ctx.driver(), "/other"));
    put_token(&other.registry, &revoked).await?;
    let options = RestoreOptions::default();
    let restored = backup::restore(&stores.backup.registry, &other.registry, id, &options).await?;
    equal(restored.tokens, 0, "the tokens that a store with tokens gets")?;
    no_token_without_its_end(&stores).await?;
    a_token_that_was_revoked_meanwhile_stays_away(&ctx, &stores, revoked).await
}

/// A backup that breaks off has no token that is valid for longer than at the source.
async fn no_token_without_its_end(stores: &Stores) -> Result<(), Failed> {
    let ended = AccessTokenId::random();
    put_token(&stores.source.registry, &ended).await?;
    stores.source.registry.end_access_token(ended, SystemTime::UNIX_EPOCH).await?;
    let backups = stores.backup.registry.driver();
    let hooked: Arc<dyn StorageDriver> = Arc::new(Hooked::new(backups.clone(), Arc::new(EndsFail)));
    let backup = Client::new(&hooked).registry;
    let run = backup::run(&stores.source.registry, &backup, "the source", &RunOptions::default()).await;
    ensure(run.is_err(), "a backup succeeds without the end of a token")?;
    let record = Entry::AccessTokenRecord(ended).path();
    ensure(!backups.exists(&record).await?, "a token has its record before its end")
}

/// A restore that goes on brings back no token that was revoked since it broke off.
async fn a_token_that_was_revoked_meanwhile_stays_away(
    ctx: &Context,
    stores: &Stores,
    revoked: AccessTokenId,
) -> Result<(), Failed> {
    let more = [(); 2].map(|()| AccessTokenId::random());
    for token in &more {
        put_token(&stores.source.registry, token).await?;
    }
    let id = stores.run().await?.snapshot.id;
    let mut tokens = stores.source.registry.access_tokens().await?;
    // One that was deleted may have left a directory.
    tokens.retain(|token| *token != revoked);
    let [first, second, rest @ ..] = tokens.as_slice() else { return Err(Failed::new("tokens are missing")) };
    let target = Client::new(&Below::at(ctx.driver(), "/interrupted"));
    put_token(&target.registry, second).await?;
    let marker = Entry::TokenRestore.path();
    target.registry.driver().put_content(&marker, Bytes::new(), PutMode::Overwrite).await?;
    let options = RestoreOptions::default();
    backup::restore(&stores.backup.registry, &target.registry, id, &options).await?;
    let there = target.registry.access_tokens().await?;
    ensure(!there.contains(first), "a token that was revoked comes back")?;
    ensure(rest.iter().all(|token| there.contains(token)), "a restore does not go on")?;
    ensure(!target.registry.driver().exists(&marker).await?, "the marker stays")
}

async fn put_token(registry: &Registry, id: &AccessTokenId) -> Result<(), Failed> {
    let record = Entry::AccessTokenRecord(*id).path();
    Ok(registry.driver().put_content(&record, Bytes::from_static(b"{}"), PutMode::Overwrite).await?)
}

/// Writes the end of no token, after other operations have had their turn.
#[derive(Debug)]
struct EndsFail;

#[async_trait]
impl Hook for EndsFail {
    const SPLITS_PUT_ALL: bool = true;

    async fn before(&self, operation: Operation, path: &DriverPath) -> sampan_driver::Result<()> {
        if operation != Operation::PutContent || path.name() != Some("ends") {
            return Ok(());
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        Err(DriverError::new(ErrorKind::Unavailable, "test", operation, path))
    }
}
