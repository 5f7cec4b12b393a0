//! A collection that dies at its first, second, third … operation: what lives is whole, and the next one finishes the job.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sampan_driver::StorageDriver;
use sampan_engine::gc::{self, LEASE};

use super::collector::{collect_at, expect_gone, options, paths, whole_manifests};
use super::seed::{Seed, index};
use crate::check::{ensure, equal};
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
    for fails_at in ctx.moments(fault) {
        write(driver).await?;
        let (before, whole) = (paths(driver).await?, whole_manifests(driver).await?);
        let (faulty, now) = (Faulty::new(driver.clone(), fault, fails_at), SystemTime::now() + MONTH);
        let as_driver: Arc<dyn StorageDriver> = Arc::new(faulty.clone());
        // One item at a time: as many different moments as there can be.
        let options = gc::Options { batch: 1, ..options(true) };
        let result = collect_at(&as_driver, &options, now).await;
        if !faulty.has_failed() {
            result?;
            driver.delete_tree(&path("/docker")).await?;
            return ensure(fails_at > 20, "hardly anything was done");
        }
        let at = |failed: Failed| Failed::new(format_args!("{fault:?} at operation {fails_at}: {failed}"));
        let left = whole_manifests(driver).await?;
        for (name, digest) in whole {
            let link = sampan_engine::layout::Entry::RevisionLink(name.clone(), digest.clone()).path();
            let is_there = paths(driver).await?.contains(&link);
            let is_whole = left.contains(&(name.clone(), digest.clone()));
            ensure(!is_there || is_whole, format_args!("{digest} of {name} is linked but not whole"))
                .map_err(at)?;
        }
        collect_at(driver, &options, now + LEASE).await?;
        let reference = expected(driver).await?;
        let gone = before.difference(&reference).cloned().collect();
        expect_gone(driver, &before, &gone).await.map_err(at)?;
        equal(paths(driver).await?, reference, "what is left in the end").map_err(at)?;
        driver.delete_tree(&path("/docker")).await?;
    }
    Ok(())
}

/// A tagged index of two images, an untagged one of two others, and what is attached to it.
async fn write(driver: &Arc<dyn StorageDriver>) -> Result<(), Failed> {
    let seed = Seed::new(driver);
    for (number, tag) in [(1, Some("latest")), (3, None)] {
        let children = [seed.image("a", number).await?, seed.image("a", number + 1).await?];
        let index = seed.manifest("a", &index(&children.map(|child| child.manifest))).await?;
        match tag {
            Some(tag) => seed.tag("a", tag, &index).await?,
            None => drop(seed.history("a", "latest", &index).await?),
        }
    }
    seed.image("b", 3).await?;
    Ok(())
}

/// What must be left of it: that which is not the untagged index, nor below it, nor `b`.
async fn expected(
    driver: &Arc<dyn StorageDriver>,
) -> Result<std::collections::BTreeSet<sampan_driver::DriverPath>, Failed> {
    // Whatever the collector has left is compared with a store that has only ever held the live part.
    let live = paths(driver).await?;
    let seed = Seed::new(driver);
    let children = [seed.image("a", 1).await?, seed.image("a", 2).await?];
    let index = seed.manifest("a", &index(&children.clone().map(|child| child.manifest))).await?;
    seed.tag("a", "latest", &index).await?;
    let with_live = paths(driver).await?;
    equal(&live, &with_live, "writing what lives once more")?;
    let mut expected: std::collections::BTreeSet<_> =
        children.iter().flat_map(|child| child.files("a")).collect();
    let name = super::seed::name("a");
    let tag = super::seed::tag("latest");
    for entry in [
        sampan_engine::layout::Entry::Blob(index.clone()),
        sampan_engine::layout::Entry::RevisionLink(name.clone(), index.clone()),
        sampan_engine::layout::Entry::TagIndex(name.clone(), tag.clone(), index.clone()),
        sampan_engine::layout::Entry::TagCurrent(name, tag),
    ] {
        expected.insert(entry.path());
    }
    Ok(expected)
}

const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub(crate) const CLAUSES: &[Clause] =
    table!["gc::crash": leaves_nothing_that_is_not_whole, a_failure_of_the_store_is_survived];
