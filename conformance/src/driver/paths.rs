//! Valid paths, and which of them differ.

use sampan_driver::{DriverPath, PutMode};

use crate::check::{equal, same_bytes};
use crate::{Clause, Context, Failed, clause::table};

async fn valid_paths_are_kept(ctx: Context) -> Result<(), Failed> {
    for path in VALID {
        ctx.put(path, *path).await?;
        ctx.holds(path, path.as_bytes()).await?;
        ctx.delete(path).await?;
        ctx.lacks(path).await?;
    }
    Ok(())
}

async fn case_matters(ctx: Context) -> Result<(), Failed> {
    let paths = ["/Top/file", "/top/file", "/top/File", "/TOP/FILE"];
    ctx.fill(&paths).await?;
    for path in paths {
        ctx.holds(path, path.as_bytes()).await?;
    }
    equal(ctx.names("/top", None).await?, ["File", "file"], "the listing of /top")
}

async fn neighbours_do_not_mix(ctx: Context) -> Result<(), Failed> {
    let paths = ["/n/a-b", "/n/a.b", "/n/a/b", "/n/a0", "/n/ab", "/n/a_b", "/n/a..b", "/n/.a", "/n/a."];
    ctx.fill(&paths).await?;
    for path in paths {
        ctx.holds(path, path.as_bytes()).await?;
    }
    ctx.delete("/n/a/b").await?;
    for path in paths.iter().filter(|path| **path != "/n/a/b") {
        ctx.holds(path, path.as_bytes()).await?;
    }
    Ok(())
}

/// A repository name may have 255 characters, in one component or in 128; a tag has up to 128.
async fn long_names_are_kept_apart(ctx: Context) -> Result<(), Failed> {
    let wide = format!("/{}/{}", "w".repeat(255), "t".repeat(128));
    let wide_too = format!("/{}/{}u", "w".repeat(255), "t".repeat(127));
    let deep = format!("{}/file", "/d".repeat(128));
    let paths = [wide.as_str(), &wide_too, &deep];
    ctx.fill(&paths).await?;
    for path in paths {
        ctx.holds(path, path.as_bytes()).await?;
        ctx.upload(&format!("{path}-staged"), path, &b"again".as_slice().into(), 3).await?;
        ctx.holds(path, b"again").await?;
    }
    equal(ctx.walk("/", None).await?, [deep.as_str(), &wide, &wide_too], "the walk")
}

async fn root_is_no_file(ctx: Context) -> Result<(), Failed> {
    ctx.lacks("/").await?;
    ctx.put("/file", "content").await?;
    ctx.lacks("/").await?;
    let put = ctx.driver().put_content(&DriverPath::root(), "root".into(), PutMode::Overwrite).await;
    if put.is_ok() {
        return Err(Failed::new("put_content made a file of /"));
    }
    ctx.holds("/file", b"content").await
}

/// A driver may refuse to make a path both a file and a prefix of files; if it does not, both must stay whole.
async fn a_file_among_the_parents_is_not_harmed(ctx: Context) -> Result<(), Failed> {
    ctx.put("/file", "above").await?;
    match ctx.put("/file/below", "below").await {
        Ok(()) => ctx.holds("/file/below", b"below").await?,
        Err(_) => ctx.lacks("/file/below").await?,
    }
    ctx.holds("/file", b"above").await?;
    ctx.put("/tree/file", "below").await?;
    match ctx.put("/tree", "above").await {
        Ok(()) => ctx.holds("/tree", b"above").await?,
        Err(_) => ctx.lacks("/tree").await?,
    }
    same_bytes(&ctx.get("/tree/file").await?, b"below", "the file below the path that was written")
}

const VALID: &[&str] = &[
    "/a",
    "/2",
    "/aa",
    "/a.a",
    "/0-9/abcdefg",
    "/abcdefg/z.75",
    "/abc/1.2.3.4.5-6_zyx/123.z/4",
    "/docker/docker-registry",
    "/123.abc",
    "/abc./abc",
    "/.abc",
    "/a--b",
    "/a-.b",
    "/_.abc",
    "/Docker/docker-registry",
    "/Abc/Cba",
    "/...",
    "/-",
    "/a/...b/..c",
];

pub(crate) const CLAUSES: &[Clause] = table! { "driver::paths":
    valid_paths_are_kept,
    case_matters,
    neighbours_do_not_mix,
    long_names_are_kept_apart,
    root_is_no_file,
    a_file_among_the_parents_is_not_harmed,
};
