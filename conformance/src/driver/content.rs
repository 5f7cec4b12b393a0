//! Small files, written and read in one piece.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use sampan_driver::{ByteRange, ErrorKind};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::watch::change_while_watched;
use crate::check::{ensure, equal, fails_with};
use crate::data::{bytes, path};
use crate::{Clause, Context, Failed, clause::table};

async fn every_size_comes_back(ctx: Context) -> Result<(), Failed> {
    for (seed, size) in
        [1, 32, 1000, 4096, 65_535, 65_536, 65_537, 1 << 20, (3 << 20) + 1].into_iter().enumerate()
    {
        let content = bytes(seed as u64, size);
        ctx.put("/content/file", content.clone()).await?;
        ctx.holds("/content/file", &content).await?;
    }
    Ok(())
}

async fn bytes_need_not_be_text(ctx: Context) -> Result<(), Failed> {
    let every_byte: Vec<u8> = (0..=255).collect();
    for content in
        [&b"\x80\x80\x80\x80"[..], &every_byte, "тест ✓ 舢舨".as_bytes(), b"\r\n\n\r\0", b"\xff\xfe\0"]
    {
        ctx.put("/file", content.to_vec()).await?;
        ctx.holds("/file", content).await?;
    }
    Ok(())
}

async fn empty_content_is_a_file(ctx: Context) -> Result<(), Failed> {
    ctx.put("/dir/empty", "").await?;
    ctx.holds("/dir/empty", b"").await?;
    equal(ctx.names("/dir", None).await?, ["empty"], "the listing")?;
    ctx.put("/dir/empty", "no more").await?;
    ctx.holds("/dir/empty", b"no more").await?;
    ctx.put("/dir/empty", "").await?;
    ctx.holds("/dir/empty", b"").await
}

async fn missing_is_not_found(ctx: Context) -> Result<(), Failed> {
    ctx.put("/dir/file", "content").await?;
    for missing in ["/dir/other", "/other", "/dir/file/below", "/dir/fil", "/dir/file2"] {
        let content = ctx.driver().get_content(&path(missing)).await;
        fails_with(content, ErrorKind::NotFound, format_args!("get_content of {missing}"))?;
    }
    Ok(())
}

async fn overwrite_leaves_nothing_of_the_old(ctx: Context) -> Result<(), Failed> {
    for (seed, size) in [4096, 2048, 1 << 20, 1, 0, 100].into_iter().enumerate() {
        let content = bytes(seed as u64, size);
        ctx.put("/file", content.clone()).await?;
        ctx.holds("/file", &content).await?;
    }
    equal(ctx.walk("/", None).await?, ["/file"], "the walk")
}

/// C1. Readers read while a file is repeatedly replaced by content of another length.
async fn overwrite_is_never_torn(ctx: Context) -> Result<(), Failed> {
    let versions: Arc<[Bytes]> =
        (0..4).map(|i| Bytes::from(vec![b'a' + i as u8; 5_000 + 60_000 * i])).collect();
    ctx.put("/file", versions[0].clone()).await?;
    let seen_by = versions.clone();
    let look = move |ctx: Context, watcher| {
        let versions = seen_by.clone();
        async move {
            let seen = match watcher {
                0 => ctx.read("/file", ByteRange::ALL).await?,
                _ => ctx.get("/file").await?.to_vec(),
            };
            ensure(
                versions.iter().any(|version| *version == seen),
                format_args!("a reader saw {} bytes that are none of the versions", seen.len()),
            )
        }
    };
    let change = |ctx: Context, round: usize| {
        let version = versions[round % versions.len()].clone();
        async move { ctx.put("/file", version).await }
    };
    change_while_watched(&ctx, look, change).await
}

async fn transient_content_is_content(ctx: Context) -> Result<(), Failed> {
    ctx.put_transient("/dir/file", "first").await?;
    ctx.holds("/dir/file", b"first").await?;
    ctx.put_transient("/dir/file", "second").await?;
    ctx.holds("/dir/file", b"second").await?;
    ctx.put("/dir/file", "third").await?;
    ctx.holds("/dir/file", b"third").await?;
    equal(ctx.walk("/", None).await?, ["/dir/file"], "the walk")
}

async fn create_makes_a_new_file(ctx: Context) -> Result<(), Failed> {
    ctx.create("/dir/new", "first").await?;
    ctx.holds("/dir/new", b"first").await
}

async fn create_leaves_the_existing_alone(ctx: Context) -> Result<(), Failed> {
    for existing in ["content", ""] {
        ctx.put("/file", existing).await?;
        fails_with(ctx.create("/file", "usurper").await, ErrorKind::AlreadyExists, "create over a file")?;
        ctx.holds("/file", existing.as_bytes()).await?;
    }
    Ok(())
}

async fn create_is_possible_again_after_delete(ctx: Context) -> Result<(), Failed> {
    for round in ["first", "second", "third"] {
        ctx.create("/lock", round).await?;
        ctx.holds("/lock", round.as_bytes()).await?;
        ctx.delete("/lock").await?;
    }
    Ok(())
}

/// C2. The racers start together, so that checking before the write is not enough.
async fn create_has_one_winner(ctx: Context) -> Result<(), Failed> {
    for round in 0..10 {
        let racers = 16;
        let file = format!("/race/{round}");
        let start = Arc::new(Barrier::new(racers));
        let mut race = JoinSet::new();
        for racer in 0..racers {
            let (ctx, file, start) = (ctx.clone(), file.clone(), start.clone());
            race.spawn(async move {
                start.wait().await;
                (racer, ctx.create(&file, format!("racer {racer}")).await)
            });
        }
        let mut winners = HashSet::new();
        while let Some(finish) = race.join_next().await {
            match finish? {
                (racer, Ok(())) => _ = winners.insert(racer),
                (_, lost) => _ = fails_with(lost, ErrorKind::AlreadyExists, "a racer that did not win")?,
            }
        }
        equal(winners.len(), 1, format_args!("the winners of {racers} racers"))?;
        for winner in winners {
            ctx.holds(&file, format!("racer {winner}").as_bytes()).await?;
        }
    }
    Ok(())
}

async fn content_survives_reopen(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 100_000);
    ctx.put("/dir/put", content.clone()).await?;
    ctx.create("/dir/created", content.clone()).await?;
    ctx.upload("/staged", "/dir/committed", &content, 30_000).await?;
    ctx.put("/dir/old", content.clone()).await?;
    ctx.rename("/dir/old", "/dir/renamed").await?;
    ctx.put_transient("/dir/transient", content.clone()).await?;
    ctx.put("/dir/gone", content.clone()).await?;
    ctx.delete("/dir/gone").await?;
    let again = ctx.restart().await?;
    for file in ["/dir/put", "/dir/created", "/dir/committed", "/dir/renamed", "/dir/transient"] {
        again.holds(file, &content).await?;
    }
    again.lacks("/dir/old").await?;
    again.lacks("/dir/gone").await
}

/// Waits for all tasks; the first failure is the result.
pub(super) async fn join(mut tasks: JoinSet<Result<(), Failed>>) -> Result<(), Failed> {
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}

pub(crate) const CLAUSES: &[Clause] = table! { "driver::content":
    every_size_comes_back,
    bytes_need_not_be_text,
    empty_content_is_a_file,
    missing_is_not_found,
    overwrite_leaves_nothing_of_the_old,
    overwrite_is_never_torn,
    transient_content_is_content,
    create_makes_a_new_file,
    create_leaves_the_existing_alone,
    create_is_possible_again_after_delete,
    create_has_one_winner,
    content_survives_reopen if Durable,
};
