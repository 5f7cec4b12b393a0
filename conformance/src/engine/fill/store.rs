//! Stores that fail, wait, or change while a blob arrives.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;
use sampan_driver::{ByteRange, StorageDriver};
use sampan_engine::fill::{Fill, FillError, UnstoredReason};
use sampan_engine::oci::Digest;

use super::plain::with_and_without_views;
use super::setting::{Setting, drain_file, nowhere, options, read_until_failure};
use crate::check::{ensure, equal, same_bytes};
use crate::context::drain;
use crate::data::bytes;
use crate::engine::client::{Client, Image};
use crate::engine::hooks::{Counted, Interrupted};
use crate::engine::store::is_valid;
use crate::faulty::{Fault, Faulty};
use crate::hooked::Hooked;
use crate::{Context, Failed};

/// The readers get the blob whatever the store does.
pub(super) async fn a_store_that_fails_does_not_harm_readers(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 700_000);
    let digest = Digest::sha256_of(&content);
    let mut unstored = 0;
    for has_views in [true, false] {
        for fault in Fault::ALL {
            for fails_at in ctx.moments(fault) {
                ctx.delete_tree("/docker").await?;
                let faulty = Arc::new(Faulty::new(ctx.driver().clone(), fault, fails_at));
                let driver: Arc<dyn StorageDriver> = faulty.clone();
                let [viewed, plain] = with_and_without_views(&driver);
                let setting = Setting::new(if has_views { &viewed } else { &plain });
                let filled = fill(&setting, &digest, &content).await;
                let at = format_args!("views {has_views}, {fault:?} at operation {fails_at}").to_string();
                let stored = filled.map_err(|failed| failed.within(&at))?;
                setting.fills.finish().await;
                is_valid(ctx.driver()).await.map_err(|failed| failed.within(&at))?;
                for (repository, stored) in [("a", &stored[0]), ("b", &stored[1])] {
                    match stored {
                        Ok(_) => {
                            let pulled = Client::new(ctx.driver()).pull_blob(repository, &digest).await;
                            let pulled = pulled.map_err(|failed| failed.within(&at))?;
                            same_bytes(&pulled, &content, &at)?;
                        }
                        Err(FillError::Unstored(..)) => unstored += 1,
                        Err(error) => return Err(Failed::new(format_args!("{at}: {error}"))),
                    }
                }
                if !faulty.has_failed() {
                    ensure(stored.iter().all(Result::is_ok), "the store is whole, and has no blob")?;
                    break;
                }
                if fault != Fault::CrashBefore {
                    continue;
                }
                // Nothing that is left keeps the next transfer from its end.
                let again = Setting::new(ctx.driver());
                let stored = fill(&again, &digest, &content).await.map_err(|failed| failed.within(&at))?;
                ensure(stored.iter().all(Result::is_ok), format_args!("{at}, and again: {stored:?}"))?;
                again.fills.finish().await;
            }
        }
    }
    ensure(unstored > 0, "no failure of the store has kept a blob from it")
}

/// One transfer for two repositories, with readers of which one comes late.
async fn fill(
    setting: &Setting,
    digest: &Digest,
    content: &[u8],
) -> Result<[Result<sampan_engine::BlobInfo, FillError>; 2], Failed> {
    let (feed, first) = setting.join("a", digest, Some(content.len() as u64));
    let (_, second) = setting.join("b", digest, None);
    let early = tokio::spawn(drain_file(first.reader(ByteRange::ALL).await?));
    content[..content.len() / 2].chunks(120_000).for_each(|chunk| feed.send(chunk));
    while setting.fills.statistics().received_bytes < content.len() as u64 / 2 {
        tokio::task::yield_now().await;
    }
    let late = tokio::spawn(read_until_failure(second.reader(ByteRange::ALL).await?));
    content[content.len() / 2..].chunks(120_000).for_each(|chunk| feed.send(chunk));
    drop(feed);
    let read = early.await?.map_err(|error| Failed::new(format_args!("the early reader: {error:?}")))?;
    same_bytes(&read, content, "what the early reader got")?;
    let (read, ended) = late.await?;
    ended.map_err(|error| Failed::new(format_args!("the late reader: {error:?}")))?;
    same_bytes(&read, content, "what the late reader got")?;
    Ok([first.stored().await, second.stored().await])
}

pub(super) async fn a_read_only_registry_passes_blobs_on(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 300_000);
    let digest = Digest::sha256_of(&content);
    let setting = Setting::new(ctx.driver());
    setting.client.registry.set_read_only(true);
    for stored in fill(&setting, &digest, &content).await? {
        let is_refused = matches!(stored, Err(FillError::Unstored(UnstoredReason::ReadOnly, _)));
        ensure(is_refused, format_args!("a read-only registry has stored: {stored:?}"))?;
    }
    equal(setting.fills.statistics().unstored_for(UnstoredReason::ReadOnly), 1, "the counted transfers")?;
    setting.ends_clean().await?;
    setting.lacks("a", &digest).await?;
    // With no place for the bytes at all there is no transfer.
    let mut options = options();
    options.spool = nowhere();
    let setting = Setting::with(ctx.driver(), options);
    setting.client.registry.set_read_only(true);
    let (_feed, fill) = setting.join("a", &digest, Some(300_000));
    let reader = fill.reader(ByteRange::ALL).await;
    ensure(matches!(reader, Err(FillError::Unstored(..))), "there is a reader of bytes that are nowhere")?;
    setting.ends_clean().await
}

pub(super) async fn a_store_that_hangs_is_left_behind(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 300_000);
    let digest = Digest::sha256_of(&content);
    for driver in with_and_without_views(ctx.driver()) {
        for operations in [0, 1, 4] {
            let counted = Counted::default();
            let hanging = counted.over(&driver);
            let mut options = options();
            options.write_timeout = Duration::from_millis(50);
            let setting = Setting::with(&hanging, options);
            counted.stop_after(operations);
            for stored in fill(&setting, &digest, &content).await? {
                let is_late = matches!(stored, Err(FillError::Unstored(UnstoredReason::Timeout, _)));
                ensure(
                    is_late,
                    format_args!("a store that hangs after {operations} operations: {stored:?}"),
                )?;
            }
            setting.fills.finish().await;
            ctx.delete_tree("/docker").await?;
        }
    }
    Ok(())
}

/// Another repository joins before each operation of the driver, also while the blob is being published.
pub(super) async fn a_client_may_join_at_any_moment(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 200_000);
    let digest = Digest::sha256_of(&content);
    for moment in 1.. {
        let joined = Arc::new(Mutex::new(None::<Fill>));
        let elsewhere = Arc::new(Setting::new(ctx.driver()));
        let interruption = {
            let (joined, elsewhere, digest, content) =
                (joined.clone(), elsewhere.clone(), digest.clone(), content.clone());
            async move {
                let (feed, fill) = elsewhere.join("b", &digest, Some(200_000));
                feed.send(&content);
                *joined.lock() = Some(fill);
            }
        };
        let hook = Interrupted::new(moment, interruption);
        let driver: Arc<dyn StorageDriver> = Arc::new(Hooked::new(ctx.driver().clone(), hook.clone()));
        let leader = elsewhere.over(&driver);
        let (feed, first) = leader.join("a", &digest, Some(200_000));
        feed.send(&content);
        drop(feed);
        let at = format!("joined before operation {moment}");
        same_bytes(&drain(first.reader(ByteRange::ALL).await?).await?, &content, &at)?;
        first.stored().await?;
        let second = joined.lock().take();
        if let Some(second) = &second {
            let stored = second.stored().await;
            ensure(stored.is_ok(), format_args!("{at}: {stored:?}"))?;
            elsewhere.has("b", &content).await?;
        }
        elsewhere.has("a", &content).await?;
        leader.ends_clean().await?;
        ctx.delete_tree("/docker").await?;
        if !hook.has_come() {
            return ensure(moment > 5, "hardly anything was done");
        }
    }
    Ok(())
}

/// A collection that is about to delete the same blob, from before, and its links.
pub(super) async fn a_blob_that_is_being_collected_is_stored_again(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 200_000);
    let digest = Digest::sha256_of(&content);
    let client = Client::new(ctx.driver());
    for repository in ["a", "b"] {
        client.put_blob(repository, &content, &digest).await?;
        client.put_image(repository, &Image::new(1), "latest").await?;
    }
    let filled = Arc::new(Mutex::new(None));
    let setting = Arc::new(Setting::new(ctx.driver()));
    let mut begun = 0;
    let (driver, is_pending) = super::collection::before_its_deletions(ctx.driver(), {
        let (setting, filled, digest, content) =
            (setting.clone(), filled.clone(), digest.clone(), content.clone());
        async move {
            let (feed, first) = setting.join("a", &digest, Some(200_000));
            let (_, second) = setting.join("b", &digest, None);
            feed.send(&content);
            drop(feed);
            // Its bytes are there, and it waits for the collector.
            if let Ok(reader) = first.reader(ByteRange::ALL).await {
                _ = drain(reader).await;
            }
            tokio::task::yield_now().await;
            *filled.lock() = Some([first, second]);
        }
        .boxed()
    });
    super::collection::collect_all(&driver).await?;
    ensure(is_pending(), "the collection deleted nothing")?;
    let fills = filled.lock().take();
    for fill in fills.iter().flatten() {
        let stored = fill.stored().await;
        ensure(stored.is_ok(), format_args!("a blob beside a collection: {stored:?}"))?;
        begun += 1;
    }
    equal(begun, 2, "the clients")?;
    setting.has("a", &content).await?;
    setting.has("b", &content).await?;
    setting.fills.finish().await;
    Ok(())
}
