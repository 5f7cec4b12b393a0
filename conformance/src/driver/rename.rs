//! Moving one file.

use sampan_driver::ErrorKind;

use super::watch::change_while_watched;
use crate::check::{ensure, equal, fails_with};
use crate::data::{bytes, path};
use crate::{Clause, Context, Failed, clause::table};

async fn moves_the_file(ctx: Context) -> Result<(), Failed> {
    for (seed, size) in [0, 32, 6 << 20].into_iter().enumerate() {
        let content = bytes(seed as u64, size);
        ctx.put("/dir/from", content.clone()).await?;
        ctx.rename("/dir/from", "/some/other/deep/to").await?;
        ctx.lacks("/dir/from").await?;
        ctx.holds("/some/other/deep/to", &content).await?;
        equal(ctx.walk("/", None).await?, ["/some/other/deep/to"], "the walk")?;
    }
    Ok(())
}

/// C11.
async fn replaces_target(ctx: Context) -> Result<(), Failed> {
    let (source, target) = (bytes(1, 32), bytes(2, 64));
    ctx.put("/dir/from", source.clone()).await?;
    ctx.put("/dir/to", target).await?;
    ctx.rename("/dir/from", "/dir/to").await?;
    ctx.lacks("/dir/from").await?;
    ctx.holds("/dir/to", &source).await?;
    let renamed = ctx.driver().rename(&path("/dir/from"), &path("/dir/to")).await;
    fails_with(renamed, ErrorKind::NotFound, "renaming what was renamed already")?;
    ctx.holds("/dir/to", &source).await
}

async fn a_missing_source_leaves_the_target_alone(ctx: Context) -> Result<(), Failed> {
    ctx.put("/dir/to", "target").await?;
    for missing in ["/dir/from", "/dir", "/missing", "/dir/to/below"] {
        let renamed = ctx.driver().rename(&path(missing), &path("/dir/to")).await;
        fails_with(renamed, ErrorKind::NotFound, format_args!("renaming {missing}"))?;
        ctx.holds("/dir/to", b"target").await?;
    }
    let renamed = ctx.driver().rename(&path("/missing"), &path("/new")).await;
    fails_with(renamed, ErrorKind::NotFound, "renaming nothing to nothing")?;
    ctx.lacks("/new").await
}

async fn onto_itself_loses_nothing(ctx: Context) -> Result<(), Failed> {
    ctx.put("/dir/file", "content").await?;
    // The driver may succeed or fail here.
    let _ = ctx.driver().rename(&path("/dir/file"), &path("/dir/file")).await;
    ctx.holds("/dir/file", b"content").await
}

async fn neighbours_stay(ctx: Context) -> Result<(), Failed> {
    let neighbours = ["/dir/from-", "/dir/from.a", "/dir/from2", "/dir/to-", "/dir/to2"];
    ctx.fill(&neighbours).await?;
    ctx.put("/dir/from", "content").await?;
    ctx.rename("/dir/from", "/dir/to").await?;
    for file in neighbours {
        ctx.holds(file, file.as_bytes()).await?;
    }
    ctx.holds("/dir/to", b"content").await
}

/// A driver may refuse to put a file below a file; if it does not, both must stay whole.
async fn below_a_file_loses_nothing(ctx: Context) -> Result<(), Failed> {
    ctx.put("/dir/from", "source").await?;
    ctx.put("/file", "above").await?;
    match ctx.rename("/dir/from", "/file/below").await {
        Ok(()) => ctx.holds("/file/below", b"source").await?,
        Err(_) => ctx.holds("/dir/from", b"source").await?,
    }
    ctx.holds("/file", b"above").await
}

/// While files are renamed onto an existing one, every reader sees one of them whole.
async fn is_one_step(ctx: Context) -> Result<(), Failed> {
    ctx.put("/to", bytes(0, 10_000)).await?;
    let look = |ctx: Context, _| async move {
        let seen = ctx.get("/to").await?;
        ensure(seen.len() == 10_000, format_args!("a reader saw {} bytes of 10000", seen.len()))
    };
    let change = |ctx: Context, round| async move {
        ctx.put("/from", bytes(round as u64, 10_000)).await?;
        ctx.rename("/from", "/to").await
    };
    change_while_watched(&ctx, look, change).await
}

pub(crate) const CLAUSES: &[Clause] = table! { "driver::rename":
    moves_the_file,
    replaces_target,
    a_missing_source_leaves_the_target_alone,
    onto_itself_loses_nothing,
    neighbours_stay,
    below_a_file_loses_nothing,
    is_one_step if AtomicRename,
};
