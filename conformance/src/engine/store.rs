//! Inspects the files of a store past the engine: does it contain everything that it refers to?

use std::sync::Arc;

use sampan_driver::{StorageDriver, StorageDriverExt};
use sampan_engine::layout::{Entry, is_temporary};
use sampan_engine::oci::{Digest, Manifest, RepositoryName};

use super::client::walk;
use crate::Failed;
use crate::check::{ensure, equal};
use crate::failed::{Done, located};

/// Checks that the store is valid:
///
/// - every file belongs to the layout;
/// - the content of every digest matches it;
/// - every revision link names a manifest that can be pulled whole, and every tag such a link.
#[track_caller]
pub(super) fn is_valid(driver: &Arc<dyn StorageDriver>) -> impl Done<()> {
    located(async move {
        for info in walk(driver).await? {
            let Some(entry) = Entry::parse(&info.path) else {
                // A write that was under way when a process died; a collection removes it.
                if is_temporary(&info.path) {
                    continue;
                }
                return Err(Failed::new(format_args!("{} is no file of a registry", info.path)));
            };
            match entry {
                Entry::Blob(digest) => {
                    let content = driver.get_content(&info.path).await?;
                    let actual = Digest::of(digest.algorithm(), &content);
                    equal(actual, digest, format_args!("the digest of {}", info.path))?;
                }
                Entry::RevisionLink(name, digest) => revision_is_whole(driver, &name, &digest).await?,
                Entry::TagCurrent(name, tag) => {
                    let digest = link(driver, &Entry::TagCurrent(name.clone(), tag.clone())).await?;
                    let target = Entry::RevisionLink(name.clone(), digest);
                    let there = driver.exists(&target.path()).await?;
                    ensure(there, format_args!("the tag {tag} of {name} points at nothing"))?;
                }
                // Layer links may precede their data; every other file refers to nothing.
                _ => {}
            }
        }
        Ok(())
    })
}

/// Checks that the index of referrers has every linked manifest with a `subject`. Only for stores that no other registry has
/// written to since the index was built.
#[track_caller]
pub(super) fn indexes_are_complete(driver: &Arc<dyn StorageDriver>) -> impl Done<()> {
    located(async move {
        for info in walk(driver).await? {
            let Some(Entry::RevisionLink(name, digest)) = Entry::parse(&info.path) else { continue };
            if !digest.is_canonical() {
                continue;
            }
            let Some(bytes) = driver.get_content_if_any(&Entry::Blob(digest.clone()).path()).await? else {
                continue;
            };
            if let Some(subject) = Manifest::parse(&bytes, None)?.subject {
                let entry = Entry::Referrer(name, subject.digest, digest);
                let there = driver.exists(&entry.path()).await?;
                ensure(
                    there,
                    format_args!("{} is not in the index of referrers: {}", info.path, entry.path()),
                )?;
            }
        }
        Ok(())
    })
}

/// Checks that nothing of an upload is left.
#[track_caller]
pub(super) fn has_no_uploads(driver: &Arc<dyn StorageDriver>) -> impl Done<()> {
    located(async move {
        for info in walk(driver).await? {
            let uploads = matches!(
                Entry::parse(&info.path),
                Some(Entry::UploadData(..) | Entry::UploadStartedAt(..) | Entry::UploadHashState(..))
            );
            ensure(!uploads, format_args!("{} is left of an upload", info.path))?;
        }
        Ok(())
    })
}

async fn revision_is_whole(
    driver: &Arc<dyn StorageDriver>,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<(), Failed> {
    let canonical = link(driver, &Entry::RevisionLink(name.clone(), digest.clone())).await?;
    if canonical != *digest
        && !driver.exists(&Entry::RevisionLink(name.clone(), canonical.clone()).path()).await?
    {
        return Ok(()); // An alias without its canonical link has no meaning yet, or no longer.
    }
    let Some(bytes) = driver.get_content_if_any(&Entry::Blob(canonical.clone()).path()).await? else {
        return Err(Failed::new(format_args!(
            "the manifest {canonical} of {name} is linked, but it is not there"
        )));
    };
    let manifest = Manifest::parse(&bytes, None)?;
    for reference in manifest.references() {
        let (link_of, what) = match manifest.kind.is_index() {
            true => (Entry::RevisionLink(name.clone(), reference.clone()), "child"),
            false => (Entry::LayerLink(name.clone(), reference.clone()), "blob"),
        };
        let missing = || {
            Failed::new(format_args!("the {what} {reference} of the manifest {canonical} of {name} is gone"))
        };
        let content = link(driver, &link_of).await.map_err(|_| missing())?;
        if !driver.exists(&Entry::Blob(content).path()).await? {
            return Err(missing());
        }
    }
    Ok(())
}

async fn link(driver: &Arc<dyn StorageDriver>, entry: &Entry) -> Result<Digest, Failed> {
    let content = driver.get_content(&entry.path()).await?;
    Ok(std::str::from_utf8(&content)?.parse()?)
}
