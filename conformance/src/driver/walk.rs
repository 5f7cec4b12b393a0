//! Everything below a path, as a sorted stream.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt};
use rand::Rng;
use sampan_driver::FileInfo;

use crate::check::{ensure, equal};
use crate::data::{bytes, path, rng, tree};
use crate::{Clause, Context, Failed, clause::table};

/// C6: `/a-b` and `/a.b/x` before `/a/x`, as the bytes of the whole paths sort.
async fn order_is_that_of_whole_paths(ctx: Context) -> Result<(), Failed> {
    let paths = ["/t/a-b", "/t/a.b/x", "/t/a/x", "/t/a/x-y", "/t/a/z/w", "/t/a0", "/t/ab/c"];
    ctx.fill(&paths).await?;
    equal(ctx.walk("/t", None).await?, paths, "the walk of /t")?;
    for seed in 0..6 {
        let top = format!("/random{seed}");
        let mut paths = tree(seed, &top, 60);
        ctx.fill(&paths).await?;
        paths.sort_unstable();
        equal(ctx.walk(&top, None).await?, paths, format_args!("the walk of {top}"))?;
    }
    Ok(())
}

async fn missing_is_empty(ctx: Context) -> Result<(), Failed> {
    equal(ctx.walk("/", None).await?, [""; 0], "the walk of an empty store")?;
    ctx.put("/dir/file", "content").await?;
    for missing in ["/missing", "/dir/missing", "/dir/file/below", "/di", "/dir2"] {
        equal(ctx.walk(missing, None).await?, [""; 0], format_args!("the walk of {missing}"))?;
    }
    Ok(())
}

async fn of_a_file_is_empty(ctx: Context) -> Result<(), Failed> {
    ctx.put("/dir/file", "content").await?;
    equal(ctx.walk("/dir/file", None).await?, [""; 0], "the walk of a file")
}

async fn stops_at_component(ctx: Context) -> Result<(), Failed> {
    ctx.fill(&["/a/x", "/ab/y", "/a-b/z", "/a.b", "/a0/w"]).await?;
    equal(ctx.walk("/a", None).await?, ["/a/x"], "the walk of /a")
}

/// C12.
async fn sees_own_writes(ctx: Context) -> Result<(), Failed> {
    let mut expected = BTreeSet::new();
    for round in 0..20 {
        let dir = format!("/dir{}", round % 3);
        let (put, committed, old, renamed) = (
            format!("{dir}/{round}-put"),
            format!("{dir}/{round}-committed"),
            format!("{dir}/{round}-old"),
            format!("{dir}/{round}-renamed"),
        );
        ctx.put(&put, "put").await?;
        expected.insert(put.clone());
        equal(ctx.walk("/", None).await?, Vec::from_iter(expected.clone()), "the walk after put_content")?;
        ctx.upload("/staged/data", &committed, &bytes(round, 1000), 400).await?;
        expected.insert(committed.clone());
        equal(ctx.walk("/", None).await?, Vec::from_iter(expected.clone()), "the walk after commit")?;
        ctx.put(&old, "moved").await?;
        ctx.rename(&old, &renamed).await?;
        expected.insert(renamed.clone());
        equal(ctx.walk("/", None).await?, Vec::from_iter(expected.clone()), "the walk after rename")?;
        let names = ctx.names(&dir, None).await?;
        for (file, content) in [(&put, &b"put"[..]), (&committed, &bytes(round, 1000)), (&renamed, b"moved")]
        {
            ctx.holds(file, content).await?;
            let name = path(file).name().unwrap_or_default().to_owned();
            ensure(names.contains(&name), format_args!("{file} is not listed after it was written"))?;
        }
    }
    Ok(())
}

async fn tells_what_stat_tells(ctx: Context) -> Result<(), Failed> {
    for size in [0, 1, 100, 70_000] {
        ctx.put(&format!("/dir/put/{size}"), bytes(1, size)).await?;
        ctx.upload("/staged/data", &format!("/dir/committed/{size}"), &bytes(2, size), 30_000).await?;
    }
    let walked: Vec<FileInfo> = ctx.driver().walk(&path("/dir"), None).try_collect().await?;
    equal(walked.len(), 8, "the number of files")?;
    for info in walked {
        equal(&info, &ctx.stat(info.path.as_str()).await?, "the walk against stat")?;
    }
    Ok(())
}

async fn after_is_exclusive(ctx: Context) -> Result<(), Failed> {
    let paths = ["/t/a-b", "/t/a.b/x", "/t/a/x", "/t/a/y", "/t/b"];
    ctx.fill(&paths).await?;
    for (index, after) in paths.iter().enumerate() {
        equal(
            ctx.walk("/t", Some(after)).await?,
            &paths[index + 1..],
            format_args!("the walk after {after}"),
        )?;
    }
    Ok(())
}

async fn after_need_not_exist(ctx: Context) -> Result<(), Failed> {
    let paths = ["/t/a-b", "/t/a.b/x", "/t/a/x", "/t/a/y", "/t/b"];
    ctx.fill(&paths).await?;
    ctx.fill(&["/s", "/t-", "/u"]).await?;
    for (after, rest) in [
        ("/", 0),
        ("/s", 0),
        ("/t", 0),
        ("/t-", 0),
        ("/t/a", 0),
        ("/t/a-a", 0),
        ("/t/a.", 1),
        ("/t/a.b", 1),
        ("/t/a.b/y", 2),
        ("/t/a/x/below", 3),
        ("/t/a0", 4),
        ("/t/zzz", 5),
        ("/t0", 5),
        ("/u", 5),
    ] {
        equal(
            ctx.walk("/t", Some(after)).await?,
            &paths[rest..],
            format_args!("the walk of /t after {after}"),
        )?;
    }
    Ok(())
}

/// Random trees, walked page by page with random page lengths.
async fn pages_join(ctx: Context) -> Result<(), Failed> {
    for seed in 0..6 {
        let top = format!("/top{seed}");
        let mut paths = tree(seed, &top, 60);
        ctx.fill(&paths).await?;
        paths.sort_unstable();
        let (mut rng, mut joined) = (rng(seed), Vec::<String>::new());
        loop {
            let after = joined.last().map(|after| path(after));
            let page = ctx.driver().walk(&path(&top), after.as_ref()).take(rng.random_range(1..12));
            let page: Vec<FileInfo> = page.try_collect().await?;
            if page.is_empty() {
                break;
            }
            joined.extend(page.into_iter().map(|info| info.path.to_string()));
            ensure(joined.len() <= paths.len(), "the pages do not end")?;
        }
        equal(joined, paths, "the joined pages")?;
    }
    Ok(())
}

/// Files vanish before and behind a running walk; the walk returns every remaining file once, in order.
async fn goes_on_while_files_vanish(ctx: Context) -> Result<(), Failed> {
    for seed in 0..3 {
        let top = format!("/top{seed}");
        let mut paths = tree(seed, &top, 60);
        ctx.fill(&paths).await?;
        paths.sort_unstable();
        let mut walk = ctx.driver().walk(&path(&top), None);
        let mut seen = Vec::new();
        for _ in 0..5 {
            seen.extend(walk.try_next().await?.map(|info| info.path.to_string()));
        }
        for (index, file) in paths.iter().enumerate() {
            match index % 3 {
                0 => ctx.delete(file).await?,
                1 => ctx.delete_tree(file).await?,
                _ => {}
            }
        }
        while let Some(info) = walk.try_next().await? {
            seen.push(info.path.to_string());
        }
        ensure(seen.is_sorted_by(|a, b| a < b), "the walk is out of order or repeats itself")?;
        ensure(seen.iter().all(|file| paths.contains(file)), "the walk yields what never was")?;
        let stayed = paths.iter().enumerate().filter(|(index, _)| index % 3 == 2).map(|(_, file)| file);
        for file in stayed {
            ensure(
                seen.contains(file),
                format_args!("the walk misses {file}, which was there all the time"),
            )?;
        }
    }
    Ok(())
}

pub(crate) const CLAUSES: &[Clause] = table! { "driver::walk":
    order_is_that_of_whole_paths,
    missing_is_empty,
    of_a_file_is_empty,
    stops_at_component,
    sees_own_writes,
    tells_what_stat_tells,
    after_is_exclusive,
    after_need_not_exist,
    pages_join,
    goes_on_while_files_vanish,
};
