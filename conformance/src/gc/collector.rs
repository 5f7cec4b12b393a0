//! Short ways of collecting, and of seeing what it has done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use sampan_driver::{DriverPath, StorageDriver, StorageDriverExt};
use sampan_engine::gc::{self, Options, Report, collect};
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Digest, Manifest, RepositoryName};
use sampan_engine::{Clock, Registry};

use crate::Failed;
use crate::check::ensure;

/// How a store is collected of which everything is old.
pub(super) fn options(delete_untagged: bool) -> Options {
    // Without a grace nobody is waited for, and the clock alone says what is young.
    Options { delete_untagged, grace: Duration::ZERO, ..Options::default() }
}

/// Collects as if a month had passed since the store was written.
pub(super) async fn collect_later(
    driver: &Arc<dyn StorageDriver>,
    options: &Options,
) -> Result<Report, gc::Error> {
    collect_at(driver, options, SystemTime::now() + Duration::from_secs(30 * 24 * 60 * 60)).await
}

/// Collects as if it were `now`.
pub(super) async fn collect_at(
    driver: &Arc<dyn StorageDriver>,
    options: &Options,
    now: SystemTime,
) -> Result<Report, gc::Error> {
    let registry = Registry::builder(driver.clone()).clock(Clock::new(move || now)).build();
    collect(&registry, options).await
}

/// Every path of the store, but for the collector's own note that it has collected.
pub(super) async fn paths(driver: &Arc<dyn StorageDriver>) -> Result<BTreeSet<DriverPath>, Failed> {
    let mut paths: BTreeSet<DriverPath> =
        driver.walk(&DriverPath::root(), None).map_ok(|info| info.path).try_collect().await?;
    paths.remove(&Entry::CollectionLast.path());
    Ok(paths)
}

/// Sees whether exactly `gone` is missing from what was there `before`.
pub(super) async fn expect_gone(
    driver: &Arc<dyn StorageDriver>,
    before: &BTreeSet<DriverPath>,
    gone: &BTreeSet<DriverPath>,
) -> Result<(), Failed> {
    let after = paths(driver).await?;
    let lost: Vec<_> = before.iter().filter(|path| !after.contains(path) && !gone.contains(path)).collect();
    ensure(lost.is_empty(), format_args!("the collector deleted what lives: {lost:#?}"))?;
    let left: Vec<_> = gone.iter().filter(|path| after.contains(path)).collect();
    ensure(left.is_empty(), format_args!("the collector left garbage: {left:#?}"))?;
    let new: Vec<_> = after.iter().filter(|path| !before.contains(path)).collect();
    ensure(new.is_empty(), format_args!("the collector left files of its own: {new:#?}"))
}

/// The manifests that can be pulled whole: link, data, and everything that they refer to.
pub(super) async fn whole_manifests(
    driver: &Arc<dyn StorageDriver>,
) -> Result<BTreeSet<(RepositoryName, Digest)>, Failed> {
    let mut whole = BTreeSet::new();
    for path in paths(driver).await? {
        let Some(Entry::RevisionLink(name, digest)) = Entry::parse(&path) else { continue };
        if lacking(driver, &name, &digest).await?.is_none() {
            whole.insert((name, digest));
        }
    }
    Ok(whole)
}

/// What a linked manifest lacks, if anything.
pub(super) async fn lacking(
    driver: &Arc<dyn StorageDriver>,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Option<DriverPath>, Failed> {
    let data = Entry::Blob(digest.clone()).path();
    let Some(bytes) = driver.get_content_if_any(&data).await? else { return Ok(Some(data)) };
    let Ok(manifest) = Manifest::parse(&bytes, None) else { return Ok(None) };
    for reference in manifest.references() {
        let link = match manifest.kind.is_index() {
            true => Entry::RevisionLink(name.clone(), reference.clone()).path(),
            false => Entry::LayerLink(name.clone(), reference.clone()).path(),
        };
        let Some(content) = driver.get_content_if_any(&link).await? else { return Ok(Some(link)) };
        let Ok(canonical) = String::from_utf8_lossy(&content).parse::<Digest>() else {
            return Ok(Some(link));
        };
        let data = Entry::Blob(canonical).path();
        if !driver.exists(&data).await? {
            return Ok(Some(data));
        }
    }
    Ok(None)
}
