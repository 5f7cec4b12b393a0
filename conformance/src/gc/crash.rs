//! A collection that dies at its first, second, third … operation: live content stays whole, and the next collection finishes
//! the job.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::{try_join, try_join3};
use sampan_driver::StorageDriver;
use sampan_engine::gc::{self, LOCK_TIMEOUT};
use sampan_engine::layout::{self, Entry};

use super::collector::{collect_at, expect_gone, options, paths, whole_manifests};
use super::seed::{Seed, index};
use crate::check::ensure;
use crate::data::path;
use crate::faulty::{Fault, Faulty};
use crate::{Clause, Context, Failed, clause::table};

async fn leaves_nothing_that_is_not_whole(ctx: Context) -> Result<(), Failed> {
    for fault in [Fault::CrashBefore, Fault::CrashAfter] {
        everywhere(&ctx, fault).await?;
    }
    Ok(())
}

async fn a_failure_of_the_store_is_survived(ctx: Context) -> Result<(), Failed> {
    for fault in [Fault::Once, Fault::OnceAfter] {
        everywhere(&ctx, fault).await?;
    }
    Ok(())
}

async fn everywhere(ctx: &Context, fault: Fault) -> Result<(), Failed> {
    let driver = ctx.driver();
    write_live(driver).await?;
    let live = paths(driver).await?;
    for fails_at in ctx.moments(fault) {
        write_dead(driver).await?;
        // A collection that keeps them, so that the store remembers the repositories that the next ones empty.
        collect_at(driver, &options(false), SystemTime::now() + MONTH).await?;
        let (before, whole) = (paths(driver).await?, whole_manifests(driver).await?);
        let (faulty, now) = (Faulty::new(driver.clone(), fault, fails_at), SystemTime::now() + MONTH);
        let as_driver: Arc<dyn StorageDriver> = Arc::new(faulty.clone());
        // One item at a time gives as many crash points as possible.
        let options = gc::Options { batch: 1, ..options(true) };
        let result = collect_at(&as_driver, &options, now).await;
        if !faulty.has_failed() {
            result?;
            driver.delete_tree(&path("/docker")).await?;
            return ensure(fails_at > 20, "hardly anything was done");
        }
        let at = |failed: Failed| failed.within(format_args!("{fault:?} at operation {fails_at}"));
        let (left, left_whole) = (paths(driver).await?, whole_manifests(driver).await?);
        for (name, digest) in whole {
            let link = Entry::RevisionLink(name.clone(), digest.clone()).path();
            let is_whole = left_whole.contains(&(name.clone(), digest.clone()));
            ensure(
                !left.contains(&link) || is_whole,
                format_args!("{digest} of {name} is linked but not whole"),
            )
            .map_err(at)?;
        }
        // A dead run has no effect once its lock has expired.
        driver.delete_tree(&layout::collection_root()).await?;
        // The next crash point begins with the result of this one, so the test rewrites only what is gone.
        collect_at(driver, &options, now + LOCK_TIMEOUT).await?;
        let gone = before.difference(&live).cloned().collect();
        expect_gone(driver, &before, &gone).await.map_err(at)?;
    }
    Ok(())
}

/// A tagged index of two images.
async fn write_live(driver: &Arc<dyn StorageDriver>) -> Result<(), Failed> {
    let seed = Seed::new(driver);
    let children = try_join(seed.image("a", 1), seed.image("a", 2)).await?;
    let index = seed.manifest("a", &index(&[children.0.manifest, children.1.manifest])).await?;
    seed.tag("a", "latest", &index).await
}

/// An untagged index of two other images, to which the tag once pointed, and an untagged image that shares their layers.
async fn write_dead(driver: &Arc<dyn StorageDriver>) -> Result<(), Failed> {
    let seed = Seed::new(driver);
    let images = try_join3(seed.image("a", 3), seed.image("a", 4), seed.image("b", 3)).await?;
    let index = seed.manifest("a", &index(&[images.0.manifest, images.1.manifest])).await?;
    seed.history("a", "latest", &index).await?;
    Ok(())
}

const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub(crate) const CLAUSES: &[Clause] =
    table!["gc::crash": leaves_nothing_that_is_not_whole, a_failure_of_the_store_is_survived];
