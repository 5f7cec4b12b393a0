//! Removing one file, many, or a tree.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::StreamExt;
use sampan_driver::{Deadline, DriverPath, ErrorKind};

use crate::check::{ensure, equal, fails_with};
use crate::data::{bytes, path};
use crate::{Clause, Context, Failed, clause::table};

async fn removes_the_file(ctx: Context) -> Result<(), Failed> {
    ctx.fill(&["/dir/one", "/dir/two", "/dir/three"]).await?;
    ctx.delete("/dir/two").await?;
    ctx.lacks("/dir/two").await?;
    equal(ctx.names("/dir", None).await?, ["one", "three"], "the listing")?;
    ctx.delete("/dir/one").await?;
    ctx.delete("/dir/three").await?;
    for file in ["/dir/one", "/dir/two", "/dir/three"] {
        ctx.lacks(file).await?;
    }
    equal(ctx.walk("/", None).await?, [""; 0], "the walk")
}

/// C8.
async fn is_idempotent(ctx: Context) -> Result<(), Failed> {
    ctx.delete("/missing").await?;
    ctx.delete_tree("/missing").await?;
    ctx.delete_tree("/").await?;
    ctx.put("/dir/file", "content").await?;
    for _ in 0..2 {
        ctx.delete("/dir/missing").await?;
        ctx.delete_tree("/dir/missing").await?;
        ctx.delete("/dir/file/below").await?;
        ctx.delete_tree("/dir/file/below").await?;
    }
    ctx.holds("/dir/file", b"content").await?;
    for _ in 0..2 {
        ctx.delete("/dir/file").await?;
        ctx.delete_tree("/dir").await?;
    }
    ctx.lacks("/dir/file").await
}

async fn keeps_neighbours(ctx: Context) -> Result<(), Failed> {
    let neighbours = ["/d/f-", "/d/f.a", "/d/f0", "/d/fsuffix", "/d/F", "/df"];
    ctx.fill(&neighbours).await?;
    ctx.put("/d/f", "content").await?;
    ctx.delete("/d/f").await?;
    ctx.lacks("/d/f").await?;
    for file in neighbours {
        ctx.holds(file, file.as_bytes()).await?;
    }
    Ok(())
}

async fn of_a_prefix_keeps_what_is_below(ctx: Context) -> Result<(), Failed> {
    ctx.put("/d/e/file", "content").await?;
    for prefix in ["/d", "/d/e"] {
        // A directory is not a file, so there is nothing to delete; a driver may also return an error.
        let _ = ctx.driver().delete(&path(prefix)).await;
        ctx.holds("/d/e/file", b"content").await?;
    }
    Ok(())
}

/// C9.
async fn tree_stops_at_component(ctx: Context) -> Result<(), Failed> {
    let inside = ["/d/d/one", "/d/d/deep/er/two", "/d/d/d"];
    let outside = ["/d/dsuffix/file", "/d/d-/file", "/d/d.a", "/d/d0", "/d/e", "/dd/file"];
    ctx.fill(&inside).await?;
    ctx.fill(&outside).await?;
    ctx.stage("/d/d/staged/data", "inside").await?;
    ctx.stage("/d/d-staged/data", "outside").await?;
    ctx.delete_tree("/d/d").await?;
    for file in inside {
        ctx.lacks(file).await?;
    }
    for file in outside {
        ctx.holds(file, file.as_bytes()).await?;
    }
    ctx.lacks_staged("/d/d/staged/data").await?;
    equal(ctx.appender("/d/d-staged/data").await?.size(), 7, "the size of the staged file outside")
}

async fn tree_removes_staged_files(ctx: Context) -> Result<(), Failed> {
    ctx.stage("/uploads/one/data", bytes(1, 100)).await?;
    ctx.stage("/uploads/two/data", bytes(2, 6 << 20)).await?;
    ctx.delete_tree("/uploads/one").await?;
    ctx.lacks("/uploads/one/data").await?;
    ctx.lacks_staged("/uploads/one/data").await?;
    let ctx = ctx.restart().await?;
    ctx.lacks_staged("/uploads/one/data").await?;
    equal(ctx.appender("/uploads/two/data").await?.size(), 6 << 20, "the size of the other upload")?;
    ctx.delete_tree("/uploads/two/data").await?;
    ctx.lacks_staged("/uploads/two/data").await
}

async fn tree_takes_a_file_at_its_top(ctx: Context) -> Result<(), Failed> {
    ctx.fill(&["/d/file", "/d/file2"]).await?;
    ctx.delete_tree("/d/file").await?;
    ctx.lacks("/d/file").await?;
    ctx.holds("/d/file2", b"/d/file2").await
}

async fn tree_of_the_root_is_everything(ctx: Context) -> Result<(), Failed> {
    ctx.fill(&["/a", "/b/c", "/b/d/e"]).await?;
    ctx.stage("/staged/data", "content").await?;
    ctx.delete_tree("/").await?;
    equal(ctx.walk("/", None).await?, [""; 0], "the walk")?;
    ctx.lacks_staged("/staged/data").await?;
    ctx.put("/a", "again").await?;
    ctx.holds("/a", b"again").await
}

async fn all_answers_for_each(ctx: Context) -> Result<(), Failed> {
    let doomed: Vec<String> = (0..1_200).map(|index| format!("/d/{}/{index}", index % 7)).collect();
    let spared: Vec<String> = (0..20).map(|index| format!("/d/{}/{index}x", index % 7)).collect();
    // Every third path never existed, which is not an error.
    ctx.fill(
        &doomed.iter().enumerate().filter(|(i, _)| i % 3 != 0).map(|(_, file)| file).collect::<Vec<_>>(),
    )
    .await?;
    ctx.fill(&spared).await?;
    let paths: Vec<DriverPath> = doomed.iter().map(|file| path(file)).collect();
    let mut answers = ctx.driver().delete_all(futures::stream::iter(paths.clone()).boxed(), Deadline::NONE);
    let mut answered: BTreeMap<DriverPath, u32> = BTreeMap::new();
    while let Some((path, result)) = answers.next().await {
        result?;
        *answered.entry(path).or_default() += 1;
    }
    for path in &paths {
        equal(answered.remove(path), Some(1), format_args!("the number of answers for {path}"))?;
    }
    ensure(answered.is_empty(), "there are answers for paths that were not given")?;
    let mut spared = spared;
    spared.sort_unstable();
    equal(ctx.walk("/", None).await?, spared, "what is left")
}

async fn all_of_nothing_is_nothing(ctx: Context) -> Result<(), Failed> {
    ctx.put("/file", "content").await?;
    let answers = ctx.driver().delete_all(futures::stream::empty().boxed(), Deadline::NONE).count().await;
    equal(answers, 0, "the number of answers for no paths")?;
    ctx.holds("/file", b"content").await
}

/// C17, as far as a test without a power failure can see: of existing, deleted and never created files.
async fn syncing_deletions_deletes_nothing(ctx: Context) -> Result<(), Failed> {
    ctx.fill(&["/dir/a/file", "/dir/b/file", "/other/file"]).await?;
    ctx.driver().sync_deletions(&[]).await?;
    let gone = ["/dir/a/file", "/none/of/it"].map(path);
    for (_, result) in ctx
        .driver()
        .delete_all(futures::stream::iter(gone.clone()).boxed(), Deadline::NONE)
        .collect::<Vec<_>>()
        .await
    {
        result?;
    }
    for _ in 0..2 {
        ctx.driver().sync_deletions(&gone).await?;
        ctx.driver().sync_deletions(&[path("/other/file"), DriverPath::root()]).await?;
    }
    equal(ctx.walk("/", None).await?, ["/dir/b/file", "/other/file"], "what is left")
}

/// C18.
async fn all_begins_nothing_too_late(ctx: Context) -> Result<(), Failed> {
    let files = ["/d/one", "/d/two", "/e/three"];
    ctx.fill(&files).await?;
    let paths = futures::stream::iter(files.map(path)).boxed();
    let answers: Vec<_> = ctx.driver().delete_all(paths, Deadline::new(|| Duration::ZERO)).collect().await;
    equal(answers.len(), files.len(), "the number of answers")?;
    for (path, result) in answers {
        fails_with(result, ErrorKind::TooLate, format_args!("the deletion of {path} after its deadline"))?;
    }
    for file in files {
        ctx.holds(file, file.as_bytes()).await?;
    }
    Ok(())
}

/// C18. More files than any store takes in one request, and a deadline that passes after the first check.
async fn all_asks_for_the_deadline_again(ctx: Context) -> Result<(), Failed> {
    let files: Vec<String> = (0..2_400).map(|index| format!("/d/{}/{index}", index % 7)).collect();
    ctx.fill(&files).await?;
    let asked = Arc::new(AtomicU32::new(0));
    let until = Deadline::new(move || match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Duration::from_secs(60),
        _ => Duration::ZERO,
    });
    let paths: Vec<DriverPath> = files.iter().map(|file| path(file)).collect();
    let answers: Vec<_> =
        ctx.driver().delete_all(futures::stream::iter(paths).boxed(), until).collect().await;
    equal(answers.len(), files.len(), "the number of answers")?;
    let mut left = Vec::new();
    for (path, result) in answers {
        if result.is_err() {
            fails_with(result, ErrorKind::TooLate, format_args!("the deletion of {path}"))?;
            left.push(path.to_string());
        }
    }
    ensure(!left.is_empty(), "everything was deleted, although the deadline passed meanwhile")?;
    left.sort_unstable();
    equal(ctx.walk("/", None).await?, left, "what is left: that for which it was too late")
}

/// Every later reader, including a reopened driver, sees that the file is gone, and can create it again.
async fn is_seen_at_once(ctx: Context) -> Result<(), Failed> {
    let reopened = ctx.reopen().await?;
    for round in ["first", "second", "third"] {
        ctx.put("/dir/file", round).await?;
        reopened.holds("/dir/file", round.as_bytes()).await?;
        ctx.delete("/dir/file").await?;
        ctx.lacks("/dir/file").await?;
        reopened.lacks("/dir/file").await?;
    }
    Ok(())
}

async fn nothing_stays_of_a_directory(ctx: Context) -> Result<(), Failed> {
    ctx.fill(&["/dir/a/file", "/dir/b/deep/file", "/other/file"]).await?;
    ctx.delete("/dir/a/file").await?;
    equal(ctx.names("/dir", None).await?, ["b/"], "the listing after the last file of `a` was deleted")?;
    let paths = futures::stream::iter([path("/dir/b/deep/file")]).boxed();
    for (_, result) in ctx.driver().delete_all(paths, Deadline::NONE).collect::<Vec<_>>().await {
        result?;
    }
    equal(ctx.names("/", None).await?, ["other/"], "the listing after the last file of `dir` was deleted")
}

pub(crate) const CLAUSES: &[Clause] = table! { "driver::delete":
    removes_the_file,
    is_idempotent,
    keeps_neighbours,
    of_a_prefix_keeps_what_is_below,
    tree_stops_at_component,
    tree_removes_staged_files,
    tree_takes_a_file_at_its_top,
    tree_of_the_root_is_everything,
    all_answers_for_each,
    all_of_nothing_is_nothing,
    syncing_deletions_deletes_nothing,
    all_begins_nothing_too_late,
    all_asks_for_the_deadline_again,
    is_seen_at_once,
    nothing_stays_of_a_directory if Flat,
};
