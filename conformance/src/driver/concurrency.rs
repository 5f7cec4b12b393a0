//! Many operations at once on one store.

use std::future::Future;
use std::sync::Arc;

use sampan_driver::{ByteRange, allow_blocking};
use tokio::runtime::Handle;
use tokio::sync::Barrier;
use tokio::task::{JoinSet, spawn_blocking};

use super::content::join;
use crate::check::{ensure, equal};
use crate::data::{bytes, path};
use crate::{Clause, Context, Failed, clause::table};

async fn streams_do_not_mix(ctx: Context) -> Result<(), Failed> {
    let (files, size) = ctx.scale((8, 4 << 20), (32, 32 << 20));
    // All files are open before any task continues, regardless of how the driver waits.
    let all_open = Arc::new(Barrier::new(files as usize));
    together(&ctx, files, move |ctx, file| {
        let all_open = all_open.clone();
        async move {
            let (content, target) = (bytes(file, size), format!("/blobs/{file}/data"));
            let mut writer = ctx.writer(&format!("/staged/{file}/data")).await?;
            writer.write(content.slice(..1000)).await?;
            all_open.wait().await;
            let mut rest = content.slice(1000..);
            while !rest.is_empty() {
                writer.write(rest.split_to(rest.len().min(300_000))).await?;
                tokio::task::yield_now().await;
            }
            writer.commit(&path(&target)).await?;
            ctx.holds(&target, &content).await
        }
    })
    .await
}

async fn overwriting_one_file_leaves_one_whole(ctx: Context) -> Result<(), Failed> {
    let writers = 8;
    for _ in 0..5 {
        together(
            &ctx,
            writers,
            |ctx, writer| async move { ctx.put("/dir/file", bytes(writer, 50_000)).await },
        )
        .await?;
        let left = ctx.get("/dir/file").await?;
        ensure((0..writers).any(|writer| left == bytes(writer, 50_000)), "no writer wrote what is left")?;
        equal(ctx.walk("/", None).await?, ["/dir/file"], "the walk")?;
    }
    Ok(())
}

/// Two clients push the same layer.
async fn commits_to_one_target_all_succeed(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 100_000);
    for round in 0..5 {
        let (target, content) = (format!("/blobs/{round}/data"), content.clone());
        let (to, expected) = (target.clone(), content.clone());
        together(&ctx, 8, move |ctx, writer| {
            let (to, content) = (to.clone(), content.clone());
            async move { ctx.upload(&format!("/staged/{writer}/data"), &to, &content, 40_000).await }
        })
        .await?;
        ctx.holds(&target, &expected).await?;
    }
    Ok(())
}

async fn new_directories_are_shared(ctx: Context) -> Result<(), Failed> {
    for round in 0..10 {
        together(&ctx, 8, move |ctx, file| async move {
            let file = format!("/{round}/a/b/c/d/{}/{file}", file % 2);
            ctx.put(&file, file.clone()).await?;
            ctx.holds(&file, file.as_bytes()).await
        })
        .await?;
    }
    equal(ctx.walk("/", None).await?.len(), 80, "the number of files")
}

/// A driver that removes a directory with its last file must not do so while another task is about to use it.
async fn deleting_never_breaks_a_neighbours_write(ctx: Context) -> Result<(), Failed> {
    together(&ctx, 6, |ctx, task| async move {
        for round in 0..30 {
            let file = format!("/shared/dir/{task}/file");
            ctx.put(&file, "content").await?;
            ctx.holds(&file, b"content").await?;
            match round % 2 {
                0 => ctx.delete(&file).await?,
                _ => ctx.delete_tree(&format!("/shared/dir/{task}")).await?,
            }
            ctx.lacks(&file).await?;
        }
        Ok(())
    })
    .await
}

async fn deletions_race_peacefully(ctx: Context) -> Result<(), Failed> {
    for round in 0..10 {
        ctx.fill(&(0..10).map(|file| format!("/tree/{}/{file}", file % 3)).collect::<Vec<_>>()).await?;
        together(&ctx, 6, move |ctx, task| async move {
            match (task + round) % 3 {
                0 => ctx.delete("/tree/0/3").await,
                1 => ctx.delete_tree("/tree/0").await,
                _ => ctx.delete_tree("/tree").await,
            }
        })
        .await?;
        equal(ctx.walk("/", None).await?, [""; 0], "the walk")?;
    }
    Ok(())
}

async fn a_patient_thread_is_told_the_same(ctx: Context) -> Result<(), Failed> {
    ctx.fill(&["/a/b/x", "/a/c", "/d"]).await?;
    let (patient, runtime) = (ctx.clone(), Handle::current());
    let seen = spawn_blocking(move || allow_blocking(|| runtime.block_on(looks(patient)))).await?;
    equal(seen?, looks(ctx).await?, "what a thread that may wait has seen")
}

/// Makes a small change and reads everything.
async fn looks(ctx: Context) -> Result<(Vec<String>, Vec<String>, Vec<u8>), Failed> {
    ctx.upload("/staged", "/a/e", &bytes(1, 300_000), 100_000).await?;
    ctx.delete("/d").await?;
    ctx.holds("/a/c", b"/a/c").await?;
    Ok((ctx.names("/a", None).await?, ctx.walk("/", None).await?, ctx.read("/a/e", ByteRange::ALL).await?))
}

/// Runs `task` this many times, all beginning together.
async fn together<F>(
    ctx: &Context,
    tasks: u64,
    task: impl Fn(Context, u64) -> F + Clone + Send + 'static,
) -> Result<(), Failed>
where
    F: Future<Output = Result<(), Failed>> + Send,
{
    let start = Arc::new(Barrier::new(tasks as usize));
    let mut running = JoinSet::new();
    for index in 0..tasks {
        let (ctx, task, start) = (ctx.clone(), task.clone(), start.clone());
        running.spawn(async move {
            start.wait().await;
            task(ctx, index).await
        });
    }
    join(running).await
}

pub(crate) const CLAUSES: &[Clause] = table! { "driver::concurrency":
    streams_do_not_mix,
    overwriting_one_file_leaves_one_whole,
    commits_to_one_target_all_succeed,
    new_directories_are_shared,
    deleting_never_breaks_a_neighbours_write,
    deletions_race_peacefully,
    a_patient_thread_is_told_the_same,
};
