//! Acknowledged changes outlive the process that acknowledged them.
//!
//! Each act happens in another process, which dies by `abort` right after the acknowledgement: nothing is dropped and nothing
//! is flushed at its end. No test of this kind can see the effect of a power failure.

use bytes::Bytes;
use sampan_driver::PutMode;

use crate::data::{bytes, path};
use crate::{Clause, Context, Failed, clause::table};

/// Does the act `name`, in the process that will die. The clause tests the last operation.
pub(crate) async fn act(name: &str, ctx: &Context) -> Result<(), Failed> {
    match name {
        "put" => ctx.put("/dir/file", bytes(1, 50_000)).await,
        "put again" => {
            ctx.put("/dir/file", "old").await?;
            ctx.put("/dir/file", bytes(1, 50_000)).await
        }
        "put together" => {
            ctx.put("/dir/file", "old").await?;
            ctx.put_all(&[("/dir/other", "other".into()), ("/dir/file", bytes(1, 50_000))]).await
        }
        "create" => Ok(ctx.create("/dir/file", bytes(1, 50_000)).await?),
        "put for a while" => {
            let (file, content) = (path("/dir/file"), bytes(1, 50_000));
            Ok(ctx.driver().put_content(&file, content, PutMode::Transient).await?)
        }
        "commit" => ctx.upload("/staged/data", "/dir/file", &bytes(1, 300_000), 100_000).await,
        "commit much" => ctx.upload("/staged/data", "/dir/file", &bytes(1, 12 << 20), 1 << 20).await,
        "close" => ctx.stage("/staged/data", bytes(1, 300_000)).await.map(drop),
        "close much" => ctx.stage("/staged/data", bytes(1, 12 << 20)).await.map(drop),
        "close again" => {
            ctx.stage("/staged/data", bytes(1, 300_000).slice(..1000)).await?;
            let mut writer = ctx.appender("/staged/data").await?;
            writer.write(bytes(1, 300_000).slice(1000..)).await?;
            writer.close(Bytes::new()).await?;
            Ok(())
        }
        "rename" => {
            ctx.put("/dir/old", bytes(1, 50_000)).await?;
            ctx.put("/dir/file", "what was there").await?;
            ctx.rename("/dir/old", "/dir/file").await
        }
        "delete" => {
            ctx.put("/dir/file", "content").await?;
            ctx.put("/dir/other", "other").await?;
            ctx.delete("/dir/file").await
        }
        "delete a tree" => {
            ctx.put("/dir/file", "content").await?;
            ctx.put("/other", "other").await?;
            ctx.stage("/dir/staged", "staged").await?;
            ctx.delete_tree("/dir").await
        }
        _ => Err(Failed::new(format_args!("there is no act `{name}`"))),
    }
}

async fn what_is_put_outlives_the_process(ctx: Context) -> Result<(), Failed> {
    let mut ctx = ctx;
    for how in ["put", "put again", "put together", "create", "put for a while"] {
        ctx = ctx.after(how).await?;
        outlives(how, ctx.holds("/dir/file", &bytes(1, 50_000)).await)?;
        if how == "put together" {
            outlives(how, ctx.holds("/dir/other", b"other").await)?;
        }
        ctx.delete_tree("/").await?;
    }
    Ok(())
}

async fn what_is_committed_outlives_the_process(ctx: Context) -> Result<(), Failed> {
    let mut ctx = ctx;
    for (how, size) in [("commit", 300_000), ("commit much", 12 << 20)] {
        ctx = ctx.after(how).await?;
        outlives(how, ctx.holds("/dir/file", &bytes(1, size)).await)?;
        outlives(how, ctx.lacks_staged("/staged/data").await)?;
        ctx.delete_tree("/").await?;
    }
    Ok(())
}

async fn what_is_closed_outlives_the_process(ctx: Context) -> Result<(), Failed> {
    let mut ctx = ctx;
    for (how, size) in [("close", 300_000), ("close much", 12 << 20), ("close again", 300_000)] {
        ctx = ctx.after(how).await?;
        let mut content = bytes(1, size).to_vec();
        let appended = async {
            let mut writer = ctx.appender("/staged/data").await?;
            crate::check::equal(writer.size(), size as u64, "the size of the staged file")?;
            writer.write("more".into()).await?;
            writer.commit(&path("/dir/file")).await?;
            content.extend_from_slice(b"more");
            ctx.holds("/dir/file", &content).await
        };
        outlives(how, appended.await)?;
        ctx.delete_tree("/").await?;
    }
    Ok(())
}

async fn a_renamed_file_outlives_the_process(ctx: Context) -> Result<(), Failed> {
    let ctx = ctx.after("rename").await?;
    outlives("rename", ctx.holds("/dir/file", &bytes(1, 50_000)).await)?;
    outlives("rename", ctx.lacks("/dir/old").await)
}

async fn what_is_deleted_stays_so_after_the_process(ctx: Context) -> Result<(), Failed> {
    let ctx = ctx.after("delete").await?;
    outlives("delete", ctx.lacks("/dir/file").await)?;
    outlives("delete", ctx.holds("/dir/other", b"other").await)?;
    ctx.delete_tree("/").await?;
    let ctx = ctx.after("delete a tree").await?;
    outlives("delete a tree", ctx.lacks("/dir/file").await)?;
    outlives("delete a tree", ctx.lacks_staged("/dir/staged").await)?;
    outlives("delete a tree", ctx.holds("/other", b"other").await)
}

/// Marks a failure as one of durability.
fn outlives(how: &str, outcome: Result<(), Failed>) -> Result<(), Failed> {
    outcome.map_err(|failed| {
        failed.within(format_args!("a process did `{how}`, got the acknowledgement, and died; then"))
    })
}

pub(crate) const CLAUSES: &[Clause] = table! { "driver::durability":
    what_is_put_outlives_the_process if Process,
    what_is_committed_outlives_the_process if Process,
    what_is_closed_outlives_the_process if Process,
    a_renamed_file_outlives_the_process if Process,
    what_is_deleted_stays_so_after_the_process if Process,
};
