//! Clients that come and go.

use futures::TryStreamExt;
use sampan_driver::ByteRange;
use sampan_engine::fill::FillError;
use sampan_engine::oci::Digest;

use super::plain::with_and_without_views;
use super::setting::{Setting, drain_all, drain_file, options, read_until_failure};
use crate::check::{ensure, equal, same_bytes};
use crate::context::drain;
use crate::data::bytes;
use crate::{Context, Failed};

pub(super) async fn one_transfer_serves_all(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 1_000_000);
    let digest = Digest::sha256_of(&content);
    for driver in with_and_without_views(ctx.driver()) {
        let setting = Setting::new(&driver);
        let (feed, leader) = setting.join("a", &digest, Some(1_000_000));
        let from_the_beginning = leader.reader(ByteRange::ALL).await?;
        feed.send(&content[..600_000]);
        let mut fills = vec![leader];
        let mut readers = vec![tokio::spawn(drain_all(from_the_beginning))];
        for _ in 0..10 {
            let (_, late) = setting.join("a", &digest, None);
            readers.push(tokio::spawn(drain_file(late.reader(ByteRange::ALL).await?)));
            fills.push(late);
        }
        feed.send(&content[600_000..]);
        drop(feed);
        for reader in readers {
            same_bytes(&reader.await??, &content, "what one of the clients got")?;
        }
        for fill in &fills {
            equal(fill.stored().await?.size_bytes, 1_000_000, "the length of the stored blob")?;
        }
        equal(setting.opened(), 1, "the upstreams that were asked")?;
        let statistics = setting.fills.statistics();
        equal((statistics.started, statistics.joined, statistics.stored), (1, 10, 1), "the counts")?;
        equal(statistics.received_bytes, 1_000_000, "the bytes from the upstream")?;
        setting.has("a", &content).await?;
        setting.ends_clean().await?;
        ctx.delete_tree("/docker").await?;
    }
    Ok(())
}

pub(super) async fn a_transfer_outlives_its_clients(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 500_000);
    let digest = Digest::sha256_of(&content);
    let setting = Setting::new(ctx.driver());
    let (feed, leader) = setting.join("a", &digest, Some(500_000));
    let (_, second) = setting.join("a", &digest, None);
    let reader = leader.reader(ByteRange::ALL).await?;
    feed.send(&content[..300_000]);
    // The first leaves in the middle of its blob.
    let mut stream = reader.into_stream();
    stream.try_next().await?;
    drop((stream, leader));
    let reading = second.reader(ByteRange::ALL).await?;
    // And then all do.
    drop((reading, second));
    equal(setting.fills.running(), 1, "the transfers without a client")?;
    feed.send(&content[300_000..]);
    let (_, again) = setting.join("a", &digest, None);
    drop(feed);
    same_bytes(&drain(again.reader(ByteRange::ALL).await?).await?, &content, "for one that comes back")?;
    again.stored().await?;
    equal(setting.opened(), 1, "the upstreams that were asked")?;
    setting.has("a", &content).await?;
    setting.ends_clean().await
}

/// Of more transfers without a client than allowed, the one with the fewest bytes is given up.
pub(super) async fn few_transfers_go_on_without_a_client(ctx: Context) -> Result<(), Failed> {
    let mut options = options();
    options.max_orphans = 2;
    let setting = Setting::with(ctx.driver(), options);
    let contents = [bytes(1, 3000), bytes(2, 1000), bytes(3, 2000)];
    let mut feeds = Vec::new();
    let mut fills = Vec::new();
    let mut received = 0;
    for content in &contents {
        let (feed, fill) = setting.join("a", &Digest::sha256_of(content), None);
        feed.send(&content[..content.len() - 1]);
        received += content.len() as u64 - 1;
        while setting.fills.statistics().received_bytes < received {
            tokio::task::yield_now().await;
        }
        feeds.push((feed, content));
        fills.push(fill);
    }
    let watching = setting.join("a", &Digest::sha256_of(&contents[2]), None).1;
    drop(fills);
    equal(setting.fills.running(), 3, "the transfers, one of them with a client")?;
    drop(watching);
    // The second has the fewest bytes.
    while setting.fills.running() > 2 {
        tokio::task::yield_now().await;
    }
    let (_feed, again) = setting.join("a", &Digest::sha256_of(&contents[1]), Some(1));
    for (feed, content) in feeds {
        feed.send(&content[content.len() - 1..]);
    }
    while setting.fills.running() > 1 {
        tokio::task::yield_now().await;
    }
    setting.has("a", &contents[0]).await?;
    setting.has("a", &contents[2]).await?;
    equal(setting.opened(), 4, "the upstreams that were asked")?;
    drop(again);
    setting.ends_clean().await?;
    setting.lacks("a", &Digest::sha256_of(&contents[1])).await
}

pub(super) async fn every_repository_that_joined_gets_the_blob(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 200_000);
    let digest = Digest::sha256_of(&content);
    for driver in with_and_without_views(ctx.driver()) {
        let setting = Setting::new(&driver);
        let (feed, first) = setting.join("a", &digest, None);
        let (_, second) = setting.join("b", &digest, None);
        let (_, again) = setting.join("a", &digest, None);
        feed.send(&content);
        drop(feed);
        for fill in [second, first, again] {
            equal(fill.stored().await?.size_bytes, 200_000, "the length of the stored blob")?;
        }
        equal(setting.opened(), 1, "the upstreams that were asked")?;
        setting.has("a", &content).await?;
        setting.has("b", &content).await?;
        setting.lacks("c", &digest).await?;
        setting.ends_clean().await?;
        ctx.delete_tree("/docker").await?;
    }
    Ok(())
}

/// Other upstreams, and the same one with other credentials, are other transfers.
pub(super) async fn groups_share_nothing(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 200_000);
    let digest = Digest::sha256_of(&content);
    let setting = Setting::new(ctx.driver());
    let (feed, fill) = setting.join("a", &digest, None);
    let open = || Box::pin(std::future::ready(Err("another upstream".into()))) as _;
    let other = setting.fills.join("elsewhere", &digest, &setting.client.repository("b"), None, open);
    ensure(matches!(other.opened().await, Err(FillError::Source(_))), "another group has joined")?;
    feed.send(&content);
    drop(feed);
    fill.stored().await?;
    setting.has("a", &content).await?;
    setting.lacks("b", &digest).await?;
    setting.ends_clean().await
}

pub(super) async fn a_stop_leaves_nothing(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 600_000);
    let digest = Digest::sha256_of(&content);
    for driver in with_and_without_views(ctx.driver()) {
        let setting = Setting::new(&driver);
        let (feed, fill) = setting.join("a", &digest, Some(600_000));
        feed.send(&content[..400_000]);
        let reader = fill.reader(ByteRange::ALL).await?;
        let reading = tokio::spawn(read_until_failure(reader));
        setting.ends_clean().await?;
        let (read, ended) = reading.await?;
        ensure(matches!(ended, Err(FillError::Stopped)), format_args!("the reader ended with {ended:?}"))?;
        same_bytes(&read, &content[..read.len()], "what the reader got before the stop")?;
        ensure(matches!(fill.stored().await, Err(FillError::Stopped)), "a stopped transfer has stored")?;
        let (_, late) = setting.join("a", &digest, None);
        ensure(matches!(late.opened().await, Err(FillError::Stopped)), "a transfer began after the stop")?;
        setting.lacks("a", &digest).await?;
    }
    Ok(())
}
