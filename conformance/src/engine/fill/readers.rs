//! Readers of a running transfer.

use futures::{StreamExt, TryStreamExt};
use sampan_driver::ByteRange;
use sampan_engine::fill::{FillError, WITHHELD_BYTES};
use sampan_engine::oci::{Algorithm, Digest};

use super::plain::{plain, with_and_without_views};
use super::setting::{Setting, nowhere, options, read_until_failure};
use crate::check::{ensure, equal, same_bytes};
use crate::context::drain;
use crate::data::bytes;
use crate::{Context, Failed};

pub(super) async fn the_first_bytes_come_before_the_last(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 1_000_000);
    let digest = Digest::sha256_of(&content);
    for driver in with_and_without_views(ctx.driver()) {
        let setting = Setting::new(&driver);
        let (feed, fill) = setting.join("a", &digest, Some(1_000_000));
        equal(fill.opened().await?, Some(1_000_000), "the length that the upstream told")?;
        let reader = fill.reader(ByteRange::ALL).await?;
        equal((reader.size_bytes(), reader.range()), (1_000_000, 0..1_000_000), "the reader")?;
        let (mut stream, mut read) = (reader.into_stream(), Vec::new());
        for (begin, end) in [(0, 300_000), (300_000, 700_000), (700_000, 1_000_000)] {
            content[begin..end].chunks(10_000).for_each(|chunk| feed.send(chunk));
            while read.len() < end - usize::try_from(WITHHELD_BYTES)? {
                read.extend_from_slice(&stream.try_next().await?.unwrap_or_default());
            }
            same_bytes(&read, &content[..read.len()], "the first bytes")?;
        }
        equal(read.len() as u64, 1_000_000 - WITHHELD_BYTES, "the bytes before the digest is verified")?;
        ensure(futures::poll!(stream.next()).is_pending(), "bytes come unverified")?;
        drop(feed);
        while let Some(chunk) = stream.try_next().await? {
            read.extend_from_slice(&chunk);
        }
        same_bytes(&read, &content, "the whole blob")?;
        let stored = fill.stored().await?;
        equal((stored.digest, stored.size_bytes), (digest.clone(), 1_000_000), "the stored blob")?;
        setting.has("a", &content).await?;
        let statistics = setting.fills.statistics();
        equal((statistics.started, statistics.stored, statistics.failed), (1, 1, 0), "the counts")?;
        equal(statistics.received_bytes, 1_000_000, "the bytes from the upstream")?;
        setting.ends_clean().await?;
        ctx.delete_tree("/docker").await?;
    }
    Ok(())
}

pub(super) async fn a_small_blob_is_verified_before_its_first_byte(ctx: Context) -> Result<(), Failed> {
    for size in [0, 1, 65_536] {
        let content = bytes(1, size);
        let setting = Setting::new(ctx.driver());
        let (feed, fill) = setting.join("a", &Digest::sha256_of(&content), Some(size as u64));
        fill.opened().await?;
        feed.send(&content);
        let reading = async { drain(fill.reader(ByteRange::ALL).await?).await };
        let mut reading = Box::pin(reading);
        while setting.fills.statistics().received_bytes < size as u64 {
            tokio::task::yield_now().await;
        }
        ensure(futures::poll!(&mut reading).is_pending(), format_args!("{size} bytes come unverified"))?;
        drop(feed);
        same_bytes(&reading.await?, &content, "the blob")?;
        fill.stored().await?;
        setting.has("a", &content).await?;
        setting.ends_clean().await?;
        // An upstream that announces as many bytes, but sends others.
        let setting = Setting::new(ctx.driver());
        let (feed, fill) = setting.join("b", &Digest::sha256_of(b"other"), Some(size as u64));
        feed.send(&content);
        drop(feed);
        let read = match fill.reader(ByteRange::ALL).await {
            Ok(reader) => read_until_failure(reader).await,
            Err(error) => (Vec::new(), Err(error)),
        };
        ensure(matches!(read.1, Err(FillError::Digest { .. })), format_args!("{:?} of other bytes", read.1))?;
        equal(read.0.len(), 0, "the bytes of a small blob that is wrong")?;
        setting.ends_clean().await?;
    }
    Ok(())
}

pub(super) async fn ranges_come_from_the_growing_file(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 1_000_000);
    for driver in with_and_without_views(ctx.driver()) {
        let setting = Setting::new(&driver);
        let (feed, fill) = setting.join("a", &Digest::sha256_of(&content), Some(1_000_000));
        feed.send(&content[..500_000]);
        let early = [ByteRange::new(0, 1), ByteRange::new(100_000, 200_000), ByteRange::new(1, 430_000)];
        for range in early {
            let read = drain(fill.reader(range).await?).await?;
            let expected = range.offset as usize..(range.offset + range.len.unwrap_or(0)) as usize;
            same_bytes(&read, &content[expected], format_args!("{range:?} of a half blob"))?;
        }
        let late = fill.reader(ByteRange::from(999_999)).await?;
        let empty = fill.reader(ByteRange::from(1_000_000));
        let (late, empty, ()) = futures::join!(drain(late), empty, async {
            feed.send(&content[500_000..]);
            drop(feed);
        });
        same_bytes(&late?, &content[999_999..], "the last byte")?;
        same_bytes(&drain(empty?).await?, b"", "the end")?;
        let beyond = fill.reader(ByteRange::from(1_000_001)).await;
        ensure(
            matches!(beyond, Err(FillError::RangeInvalid { size_bytes: 1_000_000 })),
            "a range beyond the end is no error",
        )?;
        fill.stored().await?;
        setting.ends_clean().await?;
        ctx.delete_tree("/docker").await?;
    }
    Ok(())
}

/// A reader that was opened during the transfer continues after it, also when the blob is deleted.
pub(super) async fn an_open_reader_outlives_the_transfer(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 2_000_000);
    for driver in with_and_without_views(ctx.driver()) {
        let setting = Setting::new(&driver);
        let (feed, fill) = setting.join("a", &Digest::sha256_of(&content), Some(2_000_000));
        feed.send(&content);
        drop(feed);
        let mut stream = fill.reader(ByteRange::ALL).await?.into_stream();
        let mut read = stream.try_next().await?.unwrap_or_default().to_vec();
        let unread = fill.reader(ByteRange::from(1000)).await?;
        fill.stored().await?;
        drop(fill);
        setting.ends_clean().await?;
        ctx.delete_tree("/docker").await?;
        while let Some(chunk) = stream.try_next().await? {
            read.extend_from_slice(&chunk);
        }
        same_bytes(&read, &content, "what an open reader yields")?;
        same_bytes(&drain(unread).await?, &content[1000..], "what an unread reader yields")?;
    }
    Ok(())
}

pub(super) async fn an_unknown_length_is_awaited(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 300_000);
    let setting = Setting::new(ctx.driver());
    let (feed, fill) = setting.join("a", &Digest::sha256_of(&content), None);
    equal(fill.opened().await?, None, "the length that the upstream did not tell")?;
    let mut reader = Box::pin(fill.reader(ByteRange::from(299_000)));
    feed.send(&content);
    ensure(futures::poll!(&mut reader).is_pending(), "there is a reader of a blob without a length")?;
    drop(feed);
    let reader = reader.await?;
    equal(reader.size_bytes(), 300_000, "the length of the blob")?;
    same_bytes(&drain(reader).await?, &content[299_000..], "the end of the blob")?;
    fill.stored().await?;
    // The length of a descriptor takes the place of the upstream's.
    let (other, setting) = (bytes(2, 300_000), Setting::new(ctx.driver()));
    let (feed, fill) = setting.join_described("a", &Digest::sha256_of(&other), None, Some(300_000));
    equal(fill.opened().await?, Some(300_000), "the length in a manifest")?;
    feed.send(&other[..200_000]);
    same_bytes(&drain(fill.reader(ByteRange::new(0, 9)).await?).await?, &other[..9], "the beginning")?;
    feed.send(&other[200_000..]);
    drop(feed);
    fill.stored().await?;
    setting.has("a", &other).await?;
    setting.ends_clean().await
}

/// The store has no views, and there is no room for a spool.
pub(super) async fn without_a_spool_readers_wait_for_the_store(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 400_000);
    let mut options = options();
    options.spool = nowhere();
    let setting = Setting::with(&plain(ctx.driver()), options);
    let (feed, fill) = setting.join("a", &Digest::sha256_of(&content), Some(400_000));
    let reader = fill.reader(ByteRange::from(7)).await?;
    feed.send(&content);
    drop(feed);
    same_bytes(&drain(reader).await?, &content[7..], "the blob from the store")?;
    fill.stored().await?;
    setting.has("a", &content).await?;
    setting.ends_clean().await
}

pub(super) async fn another_algorithm_is_an_alias(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 100_000);
    let alias = Digest::of(Algorithm::Sha512, &content);
    let setting = Setting::new(ctx.driver());
    let (feed, fill) = setting.join("a", &alias, Some(100_000));
    feed.send(&content);
    drop(feed);
    same_bytes(&drain(fill.reader(ByteRange::ALL).await?).await?, &content, "the blob")?;
    let stored = fill.stored().await?;
    equal((stored.digest, stored.canonical), (alias.clone(), Digest::sha256_of(&content)), "its digests")?;
    same_bytes(&setting.client.pull_blob("a", &alias).await?, &content, "the blob by its alias")?;
    setting.has("a", &content).await?;
    setting.ends_clean().await
}
