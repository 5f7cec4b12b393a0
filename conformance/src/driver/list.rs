//! One level of the tree, as a sorted stream.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt};
use rand::Rng;
use sampan_driver::DirEntry;

use crate::check::{ensure, equal};
use crate::data::{NAMES, path, rng, tree};
use crate::{Clause, Context, Failed, clause::table};

/// C6.
async fn missing_is_empty(ctx: Context) -> Result<(), Failed> {
    equal(ctx.names("/", None).await?, [""; 0], "the listing of an empty store")?;
    equal(ctx.names("/missing", None).await?, [""; 0], "the listing of nothing")?;
    ctx.put("/dir/file", "content").await?;
    for missing in ["/missing", "/dir/missing", "/dir/file/below", "/di", "/dir2"] {
        equal(ctx.names(missing, None).await?, [""; 0], format_args!("the listing of {missing}"))?;
        equal(
            ctx.names(missing, Some("a")).await?,
            [""; 0],
            format_args!("the listing of {missing} after a"),
        )?;
    }
    Ok(())
}

async fn of_a_file_is_empty(ctx: Context) -> Result<(), Failed> {
    ctx.put("/dir/file", "content").await?;
    equal(ctx.names("/dir/file", None).await?, [""; 0], "the listing of a file")
}

async fn shows_one_level(ctx: Context) -> Result<(), Failed> {
    ctx.fill(&["/top/dir/deep/file", "/top/dir/file", "/top/file", "/top/other/file", "/elsewhere"]).await?;
    equal(ctx.names("/", None).await?, ["elsewhere", "top/"], "the listing of /")?;
    equal(ctx.names("/top", None).await?, ["dir/", "file", "other/"], "the listing of /top")?;
    equal(ctx.names("/top/dir", None).await?, ["deep/", "file"], "the listing of /top/dir")?;
    equal(ctx.names("/top/dir/deep", None).await?, ["file"], "the listing of /top/dir/deep")
}

async fn stops_at_component(ctx: Context) -> Result<(), Failed> {
    ctx.fill(&["/a/x", "/ab/y", "/a-b/z", "/a.b", "/a0/w"]).await?;
    equal(ctx.names("/a", None).await?, ["x"], "the listing of /a")?;
    equal(ctx.names("/a", Some("a")).await?, ["x"], "the listing of /a after a")
}

/// A prefix sorts by its name alone: `a`, then `a-b`, though `a/x` sorts after `a-b`.
async fn names_are_in_byte_order(ctx: Context) -> Result<(), Failed> {
    let paths: Vec<String> = NAMES
        .iter()
        .enumerate()
        .map(|(index, name)| match index % 2 {
            0 => format!("/top/{name}/below"),
            _ => format!("/top/{name}"),
        })
        .collect();
    ctx.fill(&paths).await?;
    let mut expected = NAMES.to_vec();
    expected.sort_unstable();
    let listed = ctx.list("/top", None).await?;
    equal(listed.iter().map(DirEntry::name).collect::<Vec<_>>(), expected, "the names of the listing")
}

async fn after_is_exclusive(ctx: Context) -> Result<(), Failed> {
    ctx.fill(&["/t/a/x", "/t/a-b", "/t/b", "/t/c/y", "/t/d"]).await?;
    for (after, expected) in [
        ("a", &["a-b", "b", "c/", "d"][..]),
        ("a-b", &["b", "c/", "d"]),
        ("b", &["c/", "d"]),
        ("c", &["d"]),
        ("d", &[]),
    ] {
        equal(ctx.names("/t", Some(after)).await?, expected, format_args!("the listing after {after}"))?;
    }
    Ok(())
}

async fn after_need_not_exist(ctx: Context) -> Result<(), Failed> {
    ctx.fill(&["/t/a/x", "/t/a-b/x", "/t/c", "/t/e"]).await?;
    for (after, expected) in [
        ("", &["a/", "a-b/", "c", "e"][..]),
        ("A", &["a/", "a-b/", "c", "e"]),
        ("a-", &["a-b/", "c", "e"]),
        ("a-a", &["a-b/", "c", "e"]),
        ("a0", &["c", "e"]),
        ("d", &["e"]),
        ("zzz", &[]),
    ] {
        equal(ctx.names("/t", Some(after)).await?, expected, format_args!("the listing after {after:?}"))?;
    }
    Ok(())
}

/// Random trees, listed page by page with random page lengths, at every directory.
async fn pages_join(ctx: Context) -> Result<(), Failed> {
    for seed in 0..4 {
        let top = format!("/top{seed}");
        let paths = tree(seed, &top, 50);
        ctx.fill(&paths).await?;
        for (directory, expected) in levels(&paths) {
            equal(
                ctx.list(&directory, None).await?,
                &expected[..],
                format_args!("the listing of {directory}"),
            )?;
            let (mut rng, mut joined) = (rng(seed), Vec::<DirEntry>::new());
            loop {
                let after = joined.last().map(DirEntry::name);
                let page = ctx.driver().list(&path(&directory), after).take(rng.random_range(1..5));
                let page: Vec<DirEntry> = page.try_collect().await?;
                if page.is_empty() {
                    break;
                }
                joined.extend(page);
                ensure(joined.len() <= expected.len(), format_args!("the pages of {directory} do not end"))?;
            }
            equal(joined, expected, format_args!("the joined pages of {directory}"))?;
        }
    }
    Ok(())
}

/// More entries than the thousand that object stores return at once.
async fn a_long_listing_is_whole(ctx: Context) -> Result<(), Failed> {
    let count = ctx.scale(2_500, 100_000);
    let names: Vec<String> = (0..count).map(|index| format!("child-{index:06}")).collect();
    ctx.fill(&names.iter().map(|name| format!("/top/{name}")).collect::<Vec<_>>()).await?;
    ensure(
        ctx.names("/top", None).await? == names,
        format_args!("the listing is not that of {count} children"),
    )?;
    let page = ctx.driver().list(&path("/top"), Some("child-001998")).take(3);
    let page: Vec<DirEntry> = page.try_collect().await?;
    let names: Vec<_> = page.iter().map(DirEntry::name).collect();
    equal(names, ["child-001999", "child-002000", "child-002001"], "a page from the midst")
}

/// C19.
async fn holding_lists_those_with_the_file(ctx: Context) -> Result<(), Failed> {
    ctx.fill(&["/top/b/in/file", "/top/a/in/file", "/top/a/other", "/top/c/in/file"]).await?;
    equal(holding(&ctx, None).await?, ["a", "b", "c"], "the directories that hold the file")?;
    equal(holding(&ctx, Some("a")).await?, ["b", "c"], "those after a")
}

/// C19. A store with real directories keeps one that has lost its file.
async fn holding_leaves_out_empty_directories(ctx: Context) -> Result<(), Failed> {
    ctx.fill(&["/top/a/in/file", "/top/b/in/file", "/top/c/in/file"]).await?;
    for _ in 0..3 {
        // A driver may cache listings.
        equal(holding(&ctx, None).await?, ["a", "b", "c"], "the directories that hold the file")?;
        ctx.driver().delete(&path("/top/b/in/file")).await?;
        equal(holding(&ctx, None).await?, ["a", "c"], "without the one that lost its file")?;
        ctx.put("/top/b/in/file", "again").await?;
    }
    Ok(())
}

async fn holding(ctx: &Context, after: Option<&str>) -> Result<Vec<String>, Failed> {
    let listed = ctx.driver().list_holding(&path("/top"), after, "in/file");
    let listed: Vec<DirEntry> = listed.try_collect().await?;
    Ok(listed.iter().map(|entry| entry.name().to_owned()).collect())
}

/// The expected listing of every directory.
fn levels(paths: &[String]) -> BTreeMap<String, Vec<DirEntry>> {
    let mut levels: BTreeMap<String, BTreeMap<String, DirEntry>> = BTreeMap::new();
    for file in paths {
        let mut child = path(file);
        let mut entry: fn(String) -> DirEntry = DirEntry::File;
        while let (Some(parent), Some(name)) = (child.parent(), child.name()) {
            if !parent.is_root() {
                let level = levels.entry(parent.to_string()).or_default();
                level.insert(name.to_owned(), entry(name.to_owned()));
            }
            entry = DirEntry::Directory;
            child = parent;
        }
    }
    levels.into_iter().map(|(directory, entries)| (directory, entries.into_values().collect())).collect()
}

pub(crate) const CLAUSES: &[Clause] = table! { "driver::list":
    missing_is_empty,
    of_a_file_is_empty,
    shows_one_level,
    stops_at_component,
    names_are_in_byte_order,
    after_is_exclusive,
    after_need_not_exist,
    pages_join,
    a_long_listing_is_whole,
    holding_lists_those_with_the_file,
    holding_leaves_out_empty_directories,
};
