//! Size and time of a file.

use std::time::{Duration, SystemTime};

use sampan_driver::{Condition, ErrorKind};

use crate::check::{ensure, equal, fails_with};
use crate::data::{bytes, path};
use crate::{Clause, Context, Failed, clause::table};

async fn tells_path_and_size(ctx: Context) -> Result<(), Failed> {
    for size in [0, 1, 32, 70_000] {
        let file = format!("/dir/{size}");
        ctx.put(&file, bytes(1, size)).await?;
        let info = ctx.stat(&file).await?;
        equal(info.path, path(&file), "the path")?;
        equal(info.size_bytes, size as u64, "the size")?;
    }
    ctx.put("/dir/70000", "short").await?;
    equal(ctx.stat("/dir/70000").await?.size_bytes, 5, "the size after overwriting")
}

async fn missing_is_not_found(ctx: Context) -> Result<(), Failed> {
    ctx.put("/dir/file", "content").await?;
    for missing in ["/missing", "/dir/missing", "/dir/file/below", "/dir/fil", "/dir/file2"] {
        let stat = ctx.driver().stat(&path(missing)).await;
        fails_with(stat, ErrorKind::NotFound, format_args!("stat of {missing}"))?;
    }
    Ok(())
}

/// C7.
async fn prefix_is_not_found(ctx: Context) -> Result<(), Failed> {
    ctx.put("/top/dir/file", "content").await?;
    for prefix in ["/", "/top", "/top/dir"] {
        ctx.lacks(prefix).await?;
    }
    ctx.delete("/top/dir/file").await?;
    for prefix in ["/", "/top", "/top/dir"] {
        ctx.lacks(prefix).await?;
    }
    Ok(())
}

/// C13, by the store's own times: they may be coarse and its clock may be wrong, but they must not go back.
///
/// The clause first creates an old file, then others until their times show that time has passed; a file published now must
/// not have an earlier time.
async fn publishing_is_a_birth(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 1_000);
    ctx.put("/old", content.clone()).await?;
    ctx.put("/overwritten", content.clone()).await?;
    ctx.put("/overwritten-together", content.clone()).await?;
    ctx.stage("/staged/data", content.clone()).await?;
    let mut open = ctx.writer("/open/data").await?;
    open.write(content.clone()).await?;

    let begun = ctx.stat("/old").await?.modified;
    let before = SystemTime::now();
    let now = loop {
        ctx.put("/clock", "tick").await?;
        let now = ctx.stat("/clock").await?.modified;
        if now.duration_since(begun).is_ok_and(|passed| passed >= 2 * TICK) {
            break now;
        }
        if before.elapsed().is_ok_and(|elapsed| elapsed > ANSWER_TIMEOUT) {
            return Err(Failed::new("files that were published for seconds all have the same `modified`"));
        }
    };

    ctx.put("/overwritten", content.clone()).await?;
    ctx.put("/created", content.clone()).await?;
    ctx.put_all(&[("/created-together", content.clone()), ("/overwritten-together", content.clone())])
        .await?;
    ctx.rename("/old", "/renamed").await?;
    ctx.appender("/staged/data").await?.commit(&path("/committed")).await?;
    open.commit(&path("/committed-too")).await?;
    ctx.upload("/in-place", "/in-place", &content, 300).await?;
    for file in [
        "/overwritten",
        "/created",
        "/created-together",
        "/overwritten-together",
        "/renamed",
        "/committed",
        "/committed-too",
        "/in-place",
    ] {
        let modified = ctx.stat(file).await?.modified;
        ensure(
            modified + TICK >= now,
            format_args!(
                "the time of {file} is {:?} before the call that published it, expected that of the call or later (C13)",
                now.duration_since(modified).unwrap_or_default()
            ),
        )?;
    }
    Ok(())
}

/// A wrong time zone or unit makes files look days or decades old. Clocks may differ a little.
async fn modified_is_about_now(ctx: Context) -> Result<(), Failed> {
    let before = SystemTime::now();
    ctx.put("/file", "content").await?;
    let modified = ctx.stat("/file").await?.modified;
    let (earliest, latest) = (before - SKEW, SystemTime::now() + SKEW);
    ensure(
        (earliest..=latest).contains(&modified),
        format_args!("a file published just now is dated {modified:?}, while the clock here says {before:?}"),
    )
}

async fn a_store_that_takes_writes_says_so(ctx: Context) -> Result<(), Failed> {
    for _ in 0..2 {
        equal(
            ctx.driver().check().await?,
            Condition::Writable,
            "what an empty store or one with a file says",
        )?;
        ctx.put("/file", "content").await?;
    }
    Ok(())
}

/// Times may come from a clock that the kernel advances some hundred times a second, others from an exact one.
const TICK: Duration = Duration::from_millis(20);

/// A store with times in whole seconds needs one or two.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How much the clocks of a store and its users may differ before timeouts of hours become unreliable.
const SKEW: Duration = Duration::from_secs(120);

pub(crate) const CLAUSES: &[Clause] = table! { "driver::stat":
    tells_path_and_size,
    missing_is_not_found,
    prefix_is_not_found,
    publishing_is_a_birth,
    modified_is_about_now,
    a_store_that_takes_writes_says_so,
};
