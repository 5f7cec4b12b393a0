//! Helpers that run a collection and check its result.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use sampan_driver::{DriverPath, StorageDriver, StorageDriverExt};
use sampan_engine::gc::{self, Options, Report, collect};
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Digest, Manifest, RepositoryName};
use sampan_engine::{Clock, Registry};

use crate::check::ensure;
use crate::failed::{Done, located};

/// The options for a store in which everything is old.
pub(super) fn options(delete_untagged: bool) -> Options {
    // Without a grace period the collector waits for no process, and the clock alone decides what is fresh.
    Options { delete_untagged, grace: Duration::ZERO, ..Options::default() }
}

/// Collects as if a month had passed since the store was written.
pub(super) async fn collect_later(
    driver: &Arc<dyn StorageDriver>,
    options: &Options,
) -> Result<Report, gc::Error> {
    collect_at(driver, options, SystemTime::now() + Duration::from_secs(30 * 24 * 60 * 60)).await
}

/// Collects with a clock that shows `now`.
pub(super) async fn collect_at(
    driver: &Arc<dyn StorageDriver>,
    options: &Options,
    now: SystemTime,
) -> Result<Report, gc::Error> {
    let registry = Registry::builder(driver.clone()).clock(Clock::new(move || now)).build();
    collect(&registry, options).await
}

/// Every path of the store, except the collector's record of its last run and its survey.
#[track_caller]
pub(super) fn paths(driver: &Arc<dyn StorageDriver>) -> impl Done<BTreeSet<DriverPath>> {
    located(async move {
        let mut paths: BTreeSet<DriverPath> =
            driver.walk(&DriverPath::root(), None).map_ok(|info| info.path).try_collect().await?;
        paths.remove(&Entry::CollectionLast.path());
        paths.remove(&Entry::Survey.path());
        Ok(paths)
    })
}

/// Checks that exactly `gone` is missing from `before`.
#[track_caller]
pub(super) fn expect_gone(
    driver: &Arc<dyn StorageDriver>,
    before: &BTreeSet<DriverPath>,
    gone: &BTreeSet<DriverPath>,
) -> impl Done<()> {
    located(async move {
        let after = paths(driver).await?;
        let lost: Vec<_> =
            before.iter().filter(|path| !after.contains(path) && !gone.contains(path)).collect();
        ensure(lost.is_empty(), format_args!("the collector deleted what lives: {lost:#?}"))?;
        let left: Vec<_> = gone.iter().filter(|path| after.contains(path)).collect();
        ensure(left.is_empty(), format_args!("the collector left garbage: {left:#?}"))?;
        let is_of_index = |path: &&DriverPath| {
            matches!(Entry::parse(path), Some(Entry::Referrer(..) | Entry::ReferrersComplete(_)))
        };
        let new: Vec<_> = after.iter().filter(|path| !before.contains(path) && !is_of_index(path)).collect();
        ensure(new.is_empty(), format_args!("the collector left files of its own: {new:#?}"))?;
        indexes_are_right(driver).await
    })
}

/// Checks the indexes of referrers after a collection of a store in which everything is old: they are complete, hold nothing
/// else, and exist only where there are referrers.
#[track_caller]
pub(super) fn indexes_are_right(driver: &Arc<dyn StorageDriver>) -> impl Done<()> {
    located(async move {
        let (mut found, mut expected) = (BTreeSet::new(), BTreeSet::new());
        for path in paths(driver).await? {
            match Entry::parse(&path) {
                Some(Entry::Referrer(..) | Entry::ReferrersComplete(_)) => _ = found.insert(path),
                Some(Entry::RevisionLink(name, digest)) if digest.is_canonical() => {
                    let data = driver.get_content_if_any(&Entry::Blob(digest.clone()).path()).await?;
                    let manifest = data.and_then(|bytes| Manifest::parse(&bytes, None).ok());
                    if let Some(subject) = manifest.and_then(|manifest| manifest.subject) {
                        expected.insert(Entry::ReferrersComplete(name.clone()).path());
                        expected.insert(Entry::Referrer(name, subject.digest, digest).path());
                    }
                }
                _ => {}
            }
        }
        // A repository without referrers may keep its marker.
        let is_marker = |path: &&DriverPath| matches!(Entry::parse(path), Some(Entry::ReferrersComplete(_)));
        let stale: Vec<_> = found.difference(&expected).filter(|path| !is_marker(path)).collect();
        ensure(stale.is_empty(), format_args!("entries of referrers that are none: {stale:#?}"))?;
        let missing: Vec<_> = expected.difference(&found).collect();
        ensure(missing.is_empty(), format_args!("missing from the indexes of referrers: {missing:#?}"))
    })
}

/// The manifests that clients can pull whole: link, data, and everything that they refer to.
#[track_caller]
pub(super) fn whole_manifests(
    driver: &Arc<dyn StorageDriver>,
) -> impl Done<BTreeSet<(RepositoryName, Digest)>> {
    located(async move {
        let mut whole = BTreeSet::new();
        for path in paths(driver).await? {
            let Some(Entry::RevisionLink(name, digest)) = Entry::parse(&path) else { continue };
            if lacking(driver, &name, &digest).await?.is_none() {
                whole.insert((name, digest));
            }
        }
        Ok(whole)
    })
}

/// What a linked manifest lacks, if anything.
#[track_caller]
pub(super) fn lacking(
    driver: &Arc<dyn StorageDriver>,
    name: &RepositoryName,
    digest: &Digest,
) -> impl Done<Option<DriverPath>> {
    located(async move {
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
    })
}
