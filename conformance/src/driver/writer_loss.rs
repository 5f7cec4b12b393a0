//! Writers without a commit: cancelled, dropped, or appending to nothing.

use sampan_driver::{ErrorKind, WriteHint, WriteMode};

use crate::check::{ensure, equal, fails_with, same_bytes};
use crate::data::{bytes, path};
use crate::{Clause, Context, Failed, clause::table};

async fn append_to_nothing_is_not_found(ctx: Context) -> Result<(), Failed> {
    for missing in ["/staged/data", "/data"] {
        let appended = ctx.driver().writer(&path(missing), WriteMode::Append).await;
        fails_with(appended, ErrorKind::NotFound, format_args!("append to {missing}"))?;
        ctx.lacks(missing).await?;
    }
    ctx.stage("/staged/data", "content").await?;
    for missing in ["/staged/dat", "/staged/data2", "/staged"] {
        ctx.lacks_staged(missing).await?;
    }
    Ok(())
}

/// C5. A writer that dies between two closes may lose the bytes since the first, and must then not count them.
async fn append_reports_true_size(ctx: Context) -> Result<(), Failed> {
    let mut ctx = ctx;
    for (seed, (size, restarts)) in
        [(100, false), (100, true), (6 << 20, false), (6 << 20, true)].into_iter().enumerate()
    {
        let content = bytes(seed as u64, 3 * size);
        ctx.stage("/staged/data", content.slice(..size)).await?;
        let mut dying = ctx.appender("/staged/data").await?;
        equal(dying.size(), size as u64, "the size of a writer that appends")?;
        dying.write(content.slice(size..2 * size)).await?;
        equal(dying.size(), 2 * size as u64, "the size after a write")?;
        drop(dying);
        if restarts {
            ctx = ctx.restart().await?;
        }
        let mut writer = ctx.appender("/staged/data").await?;
        let kept = writer.size() as usize;
        ensure(
            (size..=2 * size).contains(&kept),
            format_args!("{kept} bytes after {size} were closed and as many more dropped"),
        )?;
        writer.write(content.slice(2 * size..)).await?;
        writer.commit(&path("/blobs/data")).await?;
        let expected = [&content[..kept], &content[2 * size..]].concat();
        ctx.holds("/blobs/data", &expected).await?;
    }
    Ok(())
}

async fn dropping_keeps_what_was_closed(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 100_000);
    ctx.stage("/staged/data", content.clone()).await?;
    for _ in 0..3 {
        drop(ctx.appender("/staged/data").await?);
    }
    let writer = ctx.appender("/staged/data").await?;
    equal(writer.size(), 100_000, "the size after three writers did nothing")?;
    writer.commit(&path("/blobs/data")).await?;
    ctx.holds("/blobs/data", &content).await
}

async fn dropping_publishes_nothing(ctx: Context) -> Result<(), Failed> {
    let mut ctx = ctx;
    ctx.put("/blobs/existing", "old").await?;
    for target in ["/blobs/existing", "/blobs/new"] {
        let hint = WriteHint { len: Some(100_000), target: Some(path(target)) };
        let mut writer = ctx.driver().writer(&path("/staged/data"), WriteMode::Create(hint)).await?;
        writer.write(bytes(1, 100_000)).await?;
        drop(writer);
        ctx = ctx.restart().await?;
        ctx.lacks("/blobs/new").await?;
        ctx.holds("/blobs/existing", b"old").await?;
        equal(ctx.walk("/blobs", None).await?, ["/blobs/existing"], "the walk")?;
    }
    Ok(())
}

async fn dropping_does_not_block_the_next(ctx: Context) -> Result<(), Failed> {
    for _ in 0..3 {
        let mut writer = ctx.writer("/staged/data").await?;
        writer.write(bytes(1, 100_000)).await?;
        drop(writer);
    }
    let content = bytes(2, 1_000);
    ctx.upload("/staged/data", "/blobs/data", &content, 300).await?;
    ctx.holds("/blobs/data", &content).await
}

async fn cancel_leaves_nothing(ctx: Context) -> Result<(), Failed> {
    let mut writer = ctx.writer("/staged/data").await?;
    writer.write(bytes(1, 100_000)).await?;
    writer.cancel().await?;
    ctx.lacks("/staged/data").await?;
    ctx.lacks_staged("/staged/data").await?;
    ctx.stage("/staged/data", bytes(1, 6 << 20)).await?;
    let mut writer = ctx.appender("/staged/data").await?;
    writer.write(bytes(2, 10)).await?;
    writer.cancel().await?;
    ctx.lacks("/staged/data").await?;
    ctx.lacks_staged("/staged/data").await?;
    ctx.writer("/staged/data").await?.cancel().await?;
    ctx.lacks_staged("/staged/data").await?;
    equal(ctx.walk("/", None).await?, [""; 0], "the walk")
}

async fn cancel_spares_what_is_published(ctx: Context) -> Result<(), Failed> {
    ctx.put("/blobs/data", "old").await?;
    let hint = WriteHint { len: Some(3), target: Some(path("/blobs/data")) };
    let mut writer = ctx.driver().writer(&path("/staged/data"), WriteMode::Create(hint)).await?;
    writer.write("new".into()).await?;
    writer.cancel().await?;
    same_bytes(&ctx.get("/blobs/data").await?, b"old", "the file that a cancelled writer was to replace")
}

pub(crate) const CLAUSES: &[Clause] = table! { "driver::writer":
    append_to_nothing_is_not_found,
    append_reports_true_size,
    dropping_keeps_what_was_closed,
    dropping_publishes_nothing,
    dropping_does_not_block_the_next,
    cancel_leaves_nothing,
    cancel_spares_what_is_published,
};
