//! Readers at random, of blobs and upstreams at random.

use std::ops::Range;

use bytes::Bytes;
use futures::StreamExt;
use rand::Rng;
use rand::rngs::StdRng;
use sampan_driver::{ByteRange, FileReader};
use sampan_engine::fill::{Fill, WITHHELD_BYTES};
use sampan_engine::oci::Digest;

use super::plain::{plain, with_and_without_views};
use super::setting::{Feed, Setting, nowhere, options};
use crate::check::{ensure, same_bytes};
use crate::data::{bytes, rng};
use crate::{Context, Failed};

/// How an upstream behaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Upstream {
    Sends,
    SendsOtherBytes,
    SendsTooMuch,
    SendsTooLittle,
    Breaks,
}

/// What a reader does.
#[derive(Clone, Debug)]
struct Plan {
    range: ByteRange,
    /// Pauses before it opens, and before each chunk.
    pauses: (usize, usize),
    /// After how many bytes it leaves.
    leaves_after: usize,
}

/// What a reader got: the positions, and whether that was all.
struct Read {
    positions: Range<usize>,
    is_whole: bool,
}

pub(super) async fn readers_get_the_blob_or_an_error(ctx: Context) -> Result<(), Failed> {
    for seed in 0..ctx.scale(40, 2000) {
        let [viewed, without] = with_and_without_views(ctx.driver());
        let mut rng = rng(seed);
        let setting = match rng.random_range(0..4) {
            0 => {
                let mut options = options();
                options.spool = nowhere();
                Setting::with(&plain(&without), options)
            }
            1 => Setting::new(&without),
            _ => Setting::new(&viewed),
        };
        let played = play(&setting, seed, &mut rng).await;
        played.map_err(|failed| failed.within(format_args!("seed {seed}")))?;
        setting.ends_clean().await?;
        ctx.delete_tree("/docker").await?;
    }
    Ok(())
}

async fn play(setting: &Setting, seed: u64, rng: &mut StdRng) -> Result<(), Failed> {
    let size = match rng.random_range(0..4) {
        0 => rng.random_range(0..1000),
        1 => rng.random_range(0..3 * WITHHELD_BYTES as usize),
        _ => rng.random_range(0..1_500_000),
    };
    let content = bytes(seed, size);
    let upstream = match rng.random_range(0..8) {
        0 | 1 => Upstream::SendsOtherBytes,
        2 => Upstream::SendsTooMuch,
        3 if size > 0 => Upstream::SendsTooLittle,
        4 => Upstream::Breaks,
        _ => Upstream::Sends,
    };
    let digest = match upstream {
        Upstream::SendsOtherBytes => Digest::sha256_of(b"other bytes"),
        _ => Digest::sha256_of(&content),
    };
    let announced = rng.random_bool(0.7).then_some(size as u64);
    let (feed, leader) = setting.join("a", &digest, announced);
    let mut readers = Vec::new();
    for number in 0..rng.random_range(1..6) {
        let fill = setting.join(if number % 2 == 0 { "a" } else { "b" }, &digest, None).1;
        readers.push(tokio::spawn(read(fill, plan(rng, size), content.clone())));
    }
    drop(leader);
    send(feed, &content, upstream, rng).await;
    let is_right = upstream == Upstream::Sends;
    for reader in readers {
        let Some(read) = reader.await?? else { continue };
        let end = read.positions.end;
        let was_withheld =
            read.positions.is_empty() || end as u64 <= (size as u64).saturating_sub(WITHHELD_BYTES);
        ensure(is_right || was_withheld, format_args!("{upstream:?} of {size} bytes was read to {end}"))?;
        // An upstream that breaks does so after readers have got their ranges, or before.
        ensure(read.is_whole || !is_right, format_args!("{upstream:?}: a reader has failed at {end}"))?;
    }
    Ok(())
}

fn plan(rng: &mut StdRng, size: usize) -> Plan {
    let offset = rng.random_range(0..=size);
    let range = match rng.random_range(0..3) {
        0 => ByteRange::ALL,
        1 => ByteRange::from(offset as u64),
        _ => ByteRange::new(offset as u64, rng.random_range(0..=size as u64)),
    };
    let leaves_after = if rng.random_bool(0.3) { rng.random_range(0..=size) } else { usize::MAX };
    Plan { range, pauses: (rng.random_range(0..50), rng.random_range(0..20)), leaves_after }
}

async fn send(feed: Feed, content: &Bytes, upstream: Upstream, rng: &mut StdRng) {
    let end = match upstream {
        Upstream::SendsTooLittle => content.len() - 1,
        Upstream::Breaks => rng.random_range(0..=content.len()),
        _ => content.len(),
    };
    let mut sent = 0;
    while sent < end {
        let next = end.min(sent + rng.random_range(1..200_000));
        feed.send(&content[sent..next]);
        sent = next;
        for _ in 0..rng.random_range(0..30) {
            tokio::task::yield_now().await;
        }
    }
    match upstream {
        Upstream::SendsTooMuch => feed.send(b"x"),
        Upstream::Breaks => feed.fail("at random"),
        _ => {}
    }
}

/// Reads as planned. `None` if there was no reader at all.
async fn read(fill: Fill, plan: Plan, content: Bytes) -> Result<Option<Read>, Failed> {
    for _ in 0..plan.pauses.0 {
        tokio::task::yield_now().await;
    }
    let Ok(reader) = fill.reader(plan.range).await else { return Ok(None) };
    drop(fill);
    Ok(Some(follow(reader, &plan, &content).await?))
}

async fn follow(reader: FileReader, plan: &Plan, content: &Bytes) -> Result<Read, Failed> {
    let range = reader.range();
    let (begin, mut at) = (usize::try_from(range.start)?, usize::try_from(range.start)?);
    let mut stream = reader.into_stream();
    while let Some(chunk) = stream.next().await {
        let Ok(chunk) = chunk else { return Ok(Read { positions: begin..at, is_whole: false }) };
        let expected = content.get(at..at + chunk.len()).unwrap_or_default();
        same_bytes(&chunk, expected, format_args!("the chunk at {at}"))?;
        at += chunk.len();
        if at - begin >= plan.leaves_after {
            return Ok(Read { positions: begin..at, is_whole: true });
        }
        for _ in 0..plan.pauses.1 {
            tokio::task::yield_now().await;
        }
    }
    ensure(at as u64 == range.end, format_args!("a reader of {range:?} ended at {at} without an error"))?;
    Ok(Read { positions: begin..at, is_whole: true })
}
