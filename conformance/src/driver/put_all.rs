//! Small files that belong together, published in one call.

use bytes::Bytes;
use sampan_driver::{DriverPath, Operation};

use super::watch::change_while_watched;
use crate::check::{ensure, equal};
use crate::data::{bytes, path};
use crate::{Clause, Context, Failed, clause::table};

/// C20.
async fn publishes_every_file(ctx: Context) -> Result<(), Failed> {
    ctx.put("/dir/old", "what was there").await?;
    let files = [
        ("/blobs/data", bytes(1, 50_000)),
        ("/dir/old", "new".into()),
        ("/dir/new", "link".into()),
        ("/dir/empty", Bytes::new()),
        ("/other/dir/link", "link".into()),
    ];
    ctx.put_all(&files).await?;
    for (at, content) in &files {
        ctx.holds(at, content).await?;
    }
    let expected = ["/blobs/data", "/dir/empty", "/dir/new", "/dir/old", "/other/dir/link"];
    equal(ctx.walk("/", None).await?, expected, "the walk")
}

async fn of_nothing_is_nothing(ctx: Context) -> Result<(), Failed> {
    ctx.put_all(&[]).await?;
    equal(ctx.walk("/", None).await?, [""; 0], "the walk")
}

async fn of_two_contents_the_later_one_stays(ctx: Context) -> Result<(), Failed> {
    ctx.put_all(&[("/file", "a longer first".into()), ("/other", "other".into()), ("/file", "last".into())])
        .await?;
    ctx.holds("/file", b"last").await?;
    ctx.holds("/other", b"other").await
}

/// C20. Readers read the last file first, so each file that they read later is at least as new.
async fn no_file_appears_before_an_earlier_one(ctx: Context) -> Result<(), Failed> {
    const FILES: [&str; 3] = ["/blobs/data", "/revisions/link", "/tags/link"];
    let files = |round: usize| FILES.map(|file| (file, Bytes::from(round.to_string())));
    ctx.put_all(&files(0)).await?;
    let look = |ctx: Context, _| async move {
        let mut newest = 0;
        for file in FILES.iter().rev() {
            let content = ctx.get(file).await?;
            let round = std::str::from_utf8(&content)?.parse::<usize>()?;
            ensure(
                round >= newest,
                format_args!("{file} is of call {round}, but a later file was seen to be of call {newest}"),
            )?;
            newest = round;
        }
        Ok(())
    };
    let change = |ctx: Context, round: usize| async move { ctx.put_all(&files(round)).await };
    change_while_watched(&ctx, look, change).await
}

/// C20. No store can publish the root.
async fn a_failure_leaves_a_beginning(ctx: Context) -> Result<(), Failed> {
    ctx.put("/replaced", "old").await?;
    let files = [
        (path("/first"), Bytes::from("first")),
        (DriverPath::root(), Bytes::from("none")),
        (path("/replaced"), Bytes::from("new")),
        (path("/last"), Bytes::from("last")),
    ];
    let Err(error) = ctx.driver().put_all(&files).await else {
        return Err(Failed::new("put_all with / among its files succeeded, but / cannot be a file"));
    };
    equal(error.path(), &DriverPath::root(), format_args!("the path of `{error}`"))?;
    equal(error.driver(), ctx.driver().name(), format_args!("the driver of `{error}`"))?;
    let operation = error.operation();
    ensure(
        matches!(operation, Operation::PutAll | Operation::PutContent),
        format_args!("the operation of `{error}` is `{operation}`, expected `put_all`"),
    )?;
    ctx.holds("/replaced", b"old").await?;
    ctx.lacks("/last").await?;
    match ctx.walk("/", None).await?.as_slice() {
        [replaced] if replaced == "/replaced" => Ok(()),
        [first, replaced] if first == "/first" && replaced == "/replaced" => {
            ctx.holds("/first", b"first").await
        }
        walked => Err(Failed::new(format_args!(
            "the walk yields {walked:?}, expected /first or not, and /replaced"
        ))),
    }
}

pub(crate) const CLAUSES: &[Clause] = table! { "driver::put_all":
    publishes_every_file,
    of_nothing_is_nothing,
    of_two_contents_the_later_one_stays,
    no_file_appears_before_an_earlier_one,
    a_failure_leaves_a_beginning,
};
