//! Links: small files whose content is a digest. The layout uses them for manifest revisions, layers and tags.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{Deadline, DriverPath, PutMode, StorageDriver, StorageDriverExt};

use crate::layout::Entry;
use crate::oci::Digest;
use crate::{Error, Result};

/// The length of every link: `sha256:` and 64 digits.
pub(crate) const BYTES: u64 = 71;

/// The digest in the content of a link, if it has one.
pub(crate) fn digest_in(content: &[u8]) -> Option<Digest> {
    std::str::from_utf8(content).ok()?.trim_ascii().parse().ok()
}

/// Why a link cannot be read in whose place there is a directory.
pub(crate) const OBSTRUCTED: &str = "a directory is in the place of the link";

/// Whether a directory is in the place of a link. A walk does not show it, and a read finds no file.
pub(crate) async fn is_obstructed(
    driver: &Arc<dyn StorageDriver>,
    link: &DriverPath,
) -> sampan_driver::Result<bool> {
    let (Some(directory), Some(name)) = (link.parent(), link.name()) else { return Ok(false) };
    let mut entries = driver.list(&directory, None);
    while let Some(entry) = entries.try_next().await? {
        if entry.name() == name {
            return Ok(entry.is_directory());
        }
    }
    Ok(false)
}

/// Writes a link, or refreshes its modification time.
pub(crate) async fn write(driver: &Arc<dyn StorageDriver>, entry: &Entry, target: &Digest) -> Result<()> {
    let (path, content) = file(entry, target);
    driver.put_content(&path, content, PutMode::Overwrite).await?;
    Ok(())
}

/// Writes files in their order, such as links after the data that they name.
pub(crate) async fn write_all(driver: &Arc<dyn StorageDriver>, files: &[(DriverPath, Bytes)]) -> Result<()> {
    match files {
        [] => Ok(()),
        [(path, content)] => Ok(driver.put_content(path, content.clone(), PutMode::Overwrite).await?),
        files => Ok(driver.put_all(files).await?),
    }
}

/// A link as a file, for [`write_all`].
pub(crate) fn file(entry: &Entry, target: &Digest) -> (DriverPath, Bytes) {
    // No newline: Distribution parses the whole content.
    (entry.path(), Bytes::from(target.to_string()))
}

/// Removes the link file alone: a link written meanwhile stays. Deleting a tree takes several steps and could delete it, too.
pub(crate) async fn remove(driver: &Arc<dyn StorageDriver>, entry: &Entry) -> Result<()> {
    let path = entry.path();
    delete_durably(driver, vec![path.clone()], &[path], Deadline::NONE).await
}

/// Removes a file of the layout that is seldom there.
pub(crate) async fn remove_if_any(driver: &Arc<dyn StorageDriver>, entry: &Entry) -> Result<()> {
    match driver.exists(&entry.path()).await? {
        true => remove(driver, entry).await,
        false => Ok(()),
    }
}

/// Deletes `paths` before the deadline, and makes the deletion of `files` among them durable, even after an error: a retry no
/// longer finds the files that the first attempt removed, so it would not sync them.
pub(crate) async fn delete_durably(
    driver: &Arc<dyn StorageDriver>,
    paths: Vec<DriverPath>,
    files: &[DriverPath],
    until: Deadline,
) -> Result<()> {
    let mut deletions = driver.delete_all(stream::iter(paths).boxed(), until);
    let mut deleted = Ok(());
    while let Some((_, result)) = deletions.next().await {
        deleted = deleted.and(result);
    }
    Ok(deleted.and(driver.sync_deletions(files).await)?)
}

/// The digest under which the repository stores the content of `digest`, by its links.
///
/// A canonical digest is its own link. Any other is an alias: its link names the canonical digest, whose link counts.
pub(crate) async fn resolve(
    driver: &Arc<dyn StorageDriver>,
    digest: &Digest,
    entry: impl Fn(Digest) -> Entry,
) -> Result<Option<Digest>> {
    let canonical = if digest.is_canonical() {
        digest.clone()
    } else {
        match read(driver, &entry(digest.clone())).await? {
            Some(canonical) => canonical,
            None => return Ok(None),
        }
    };
    let canonical_link = entry(canonical.clone());
    match read(driver, &canonical_link).await? {
        Some(target) if target == canonical => Ok(Some(canonical)),
        Some(target) => {
            Err(Error::Corrupt(canonical_link.path(), format!("it names {target} instead").into()))
        }
        None => Ok(None),
    }
}

/// The digest in a link; `None` when the link is missing or empty.
///
/// A power failure empties a link that was never synced, such as those of other registries. A client that gets "unknown"
/// pushes again, which writes the link.
///
/// The suite still detects a driver that reads a missing file as an empty one.
pub(crate) async fn read(driver: &Arc<dyn StorageDriver>, entry: &Entry) -> Result<Option<Digest>> {
    let path = entry.path();
    match driver.get_content_if_any(&path).await? {
        Some(content) if content.is_empty() => match driver.stat_if_any(&path).await? {
            Some(_) => Ok(None),
            None => Err(Error::Corrupt(path, "it is read as empty, and is not there".into())),
        },
        Some(content) => parse(&path, &content).map(Some),
        None => Ok(None),
    }
}

fn parse(path: &DriverPath, content: &[u8]) -> Result<Digest> {
    let text = std::str::from_utf8(content).map_err(|error| Error::Corrupt(path.clone(), error.into()))?;
    text.trim_ascii()
        .parse()
        .map_err(|error: crate::oci::InvalidDigest| Error::Corrupt(path.clone(), error.into()))
}
