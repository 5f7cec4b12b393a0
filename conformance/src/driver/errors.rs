//! The content of errors.

use std::error::Error;

use sampan_driver::{ByteRange, ErrorKind, Operation, PutMode, WriteMode};

use crate::check::{ensure, equal, fails_with};
use crate::data::path;
use crate::{Clause, Context, Failed, clause::table};

/// C14.
async fn carry_context(ctx: Context) -> Result<(), Failed> {
    let (driver, missing, existing) = (ctx.driver(), path("/some/missing"), path("/some/file"));
    ctx.put("/some/file", "content").await?;
    let cases = [
        (driver.get_content(&missing).await.err(), ErrorKind::NotFound, Operation::GetContent, &missing),
        (driver.stat(&missing).await.err(), ErrorKind::NotFound, Operation::Stat, &missing),
        (
            driver.reader(&missing, ByteRange::ALL).await.err(),
            ErrorKind::NotFound,
            Operation::Reader,
            &missing,
        ),
        (
            driver.writer(&missing, WriteMode::Append).await.err(),
            ErrorKind::NotFound,
            Operation::Writer,
            &missing,
        ),
        (driver.rename(&missing, &existing).await.err(), ErrorKind::NotFound, Operation::Rename, &missing),
        (
            driver.reader(&existing, ByteRange::from(100)).await.err(),
            ErrorKind::RangeInvalid,
            Operation::Reader,
            &existing,
        ),
        (
            driver.put_content(&existing, "new".into(), PutMode::Create).await.err(),
            ErrorKind::AlreadyExists,
            Operation::PutContent,
            &existing,
        ),
    ];
    for (error, kind, operation, path) in cases {
        let Some(error) = error else {
            return Err(Failed::new(format_args!(
                "{operation} of {path} succeeded, expected an error of kind `{kind}`"
            )));
        };
        equal(error.kind(), kind, format_args!("the kind of `{error}`"))?;
        equal(error.driver(), driver.name(), format_args!("the driver of `{error}`"))?;
        equal(error.operation(), operation, format_args!("the operation of `{error}`"))?;
        equal(error.path(), path, format_args!("the path of `{error}`"))?;
        if let Some(source) = error.source() {
            ensure(!source.to_string().is_empty(), format_args!("the source of `{error}` says nothing"))?;
        }
    }
    Ok(())
}

/// The engine branches on the kind, so a miss must not look like a broken store, nor the other way round.
async fn a_miss_is_no_failure_of_the_store(ctx: Context) -> Result<(), Failed> {
    let missing = path("/a/b/c/d");
    fails_with(
        ctx.driver().get_content(&missing).await,
        ErrorKind::NotFound,
        "get_content in an empty store",
    )?;
    fails_with(ctx.driver().stat(&missing).await, ErrorKind::NotFound, "stat in an empty store")?;
    let rename = ctx.driver().rename(&missing, &path("/e/f")).await;
    fails_with(rename, ErrorKind::NotFound, "rename in an empty store")?;
    ctx.delete("/a/b/c/d").await
}

pub(crate) const CLAUSES: &[Clause] = table! { "driver::errors":
    carry_context,
    a_miss_is_no_failure_of_the_store,
};
