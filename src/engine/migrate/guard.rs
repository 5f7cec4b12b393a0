//! The checks of a migration before it touches anything: two different stores, a target of its own, no collection.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{DirEntry, DriverPath, ErrorKind, PutMode, StorageDriver, StorageDriverExt};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::At;
use super::{Error, Result, Side};
use crate::clock::Clock;
use crate::clock::millis;
use crate::layout::{self, Entry};
use crate::lease::{AFTERLIFE, LOCK, signs};

/// The marker in a store that a migration fills.
#[derive(Deserialize, Serialize)]
struct Begun {
    /// The store that is copied.
    from: String,
    begun_ms: u64,
    /// The target held other content, so nothing may ever be removed there.
    #[serde(default)]
    merge: bool,
}

/// How deep below its root a store is looked for in another.
const MAX_DEPTH: usize = 4;

/// How many directories are looked into for that.
const MAX_DIRECTORIES: usize = 500;

/// Fails if both drivers show one store, or one store lies in the other. It writes a probe to the target for the moment.
pub(crate) async fn check_apart(
    source: &Arc<dyn StorageDriver>,
    target: &Arc<dyn StorageDriver>,
) -> Result<()> {
    let probe = Entry::MigrationStaged(Uuid::new_v4()).path();
    target.put_content(&probe, Bytes::from_static(b"probe"), PutMode::Create).await.at_target()?;
    let checked = check_with(source, target, &probe).await;
    target.delete(&probe).await.at_target()?;
    checked
}

async fn check_with(
    source: &Arc<dyn StorageDriver>,
    target: &Arc<dyn StorageDriver>,
    probe: &DriverPath,
) -> Result<()> {
    if source.exists(probe).await.at_source()? {
        return Err(Error::SameStore);
    }
    if let Some(at) = find_below(source, Side::Source, probe).await? {
        return Err(Error::Nested { inner: Side::Target, outer: Side::Source, at });
    }
    // The source may be read-only, so one of its own files is looked for.
    let Some(known) = first_file(source, Side::Source).await? else { return Ok(()) };
    match find_below(target, Side::Target, &known).await? {
        Some(at) => Err(Error::Nested { inner: Side::Source, outer: Side::Target, at }),
        None => Ok(()),
    }
}

/// The directory in a store, other than its root, below which there is a file at `path`.
async fn find_below(
    driver: &Arc<dyn StorageDriver>,
    side: Side,
    path: &DriverPath,
) -> Result<Option<DriverPath>> {
    let (repositories, blobs) = (layout::repositories_root(), layout::blobs_root());
    let mut todo = VecDeque::from([(DriverPath::root(), 0)]);
    let mut looked_at = 0;
    while let Some((directory, depth)) = todo.pop_front() {
        let mut names = driver.list(&directory, None);
        loop {
            let name = match names.try_next().await {
                Ok(Some(DirEntry::Directory(name))) => name,
                Ok(Some(DirEntry::File(_))) => continue,
                Ok(None) => break,
                Err(error) if matches!(error.kind(), ErrorKind::Unseen | ErrorKind::PermissionDenied) => {
                    break;
                }
                Err(error) => return Err(Error::at(side, error)),
            };
            let Ok(below) = directory.join(&name) else { continue };
            if below == repositories || below == blobs {
                continue;
            }
            looked_at += 1;
            if looked_at > MAX_DIRECTORIES {
                return Ok(None);
            }
            let there = below.join(path.as_key());
            if let Ok(there) = there
                && driver.exists(&there).await.map_err(|error| Error::at(side, error))?
            {
                return Ok(Some(below));
            }
            if depth + 1 < MAX_DEPTH {
                todo.push_back((below, depth + 1));
            }
        }
    }
    Ok(None)
}

/// The first file of a repository, a blob or an access token, if the store has any.
pub(crate) async fn first_file(driver: &Arc<dyn StorageDriver>, side: Side) -> Result<Option<DriverPath>> {
    for root in [layout::repositories_root(), layout::blobs_root(), layout::access_tokens_root()] {
        let mut files = driver.walk(&root, None);
        match files.try_next().await {
            Ok(Some(file)) => return Ok(Some(file.path)),
            Ok(None) => {}
            Err(error) => return Err(Error::at(side, error)),
        }
    }
    Ok(None)
}

/// Whether the store shows any repository.
pub(crate) async fn has_repositories(driver: &Arc<dyn StorageDriver>) -> Result<bool> {
    let mut files = driver.walk(&layout::repositories_root(), None);
    Ok(files.try_next().await.at_source()?.is_some())
}

/// Fails if the target holds other content than that of this migration; else marks it. A dry run marks nothing. Returns whether
/// the migration is merged with other content, now or since an earlier command.
pub(super) async fn claim(
    target: &Arc<dyn StorageDriver>,
    from: &str,
    merge: bool,
    dry_run: bool,
) -> Result<bool> {
    let mark = Entry::MigrationBegun.path();
    let begun = target.get_content_if_any(&mark).await.at_target()?;
    let begun = begun.and_then(|content| serde_json::from_slice::<Begun>(&content).ok());
    let other = match &begun {
        Some(begun) if begun.from == from => begun.merge.then(|| mark.clone()),
        Some(begun) if !merge => {
            return Err(Error::OtherSource { recorded: begun.from.clone(), given: from.to_owned(), mark });
        }
        // Content of another source.
        Some(_) => Some(mark.clone()),
        None => first_file(target, Side::Target).await?,
    };
    if begun.is_some_and(|begun| begun.from == from) {
        return Ok(merge || other.is_some());
    }
    match &other {
        Some(path) if !merge => return Err(Error::NotEmpty(path.clone())),
        _ if dry_run => return Ok(merge),
        _ => {}
    }
    let begun_ms = millis(Clock::default().now());
    let begun = Begun { from: from.to_owned(), begun_ms, merge: other.is_some() };
    let content = serde_json::to_vec(&begun).unwrap_or_default();
    target.put_content(&mark, content.into(), PutMode::Overwrite).await.at_target()?;
    Ok(merge)
}

/// The record of the last collection of the target, which each collection replaces.
pub(crate) async fn last_collection(driver: &Arc<dyn StorageDriver>) -> Result<Option<Bytes>> {
    driver.get_content_if_any(&Entry::CollectionLast.path()).await.at_target()
}

/// Fails if a collection runs in the store, or an interrupted one may still delete something.
pub(crate) async fn check_no_collection(driver: &Arc<dyn StorageDriver>, side: Side) -> Result<()> {
    let now = Clock::default().now();
    for (entry, modified) in signs(driver).await.map_err(|error| Error::at(side, error))? {
        let alive_for = match entry {
            Entry::CollectionNotice(..) | Entry::CollectionRun => LOCK,
            Entry::CollectionPending(..) | Entry::CollectionDoomed => LOCK + AFTERLIFE,
            _ => continue,
        };
        let age = now.duration_since(modified).unwrap_or_else(|error| error.duration());
        if age < alive_for {
            return Err(Error::Collecting { side, path: entry.path() });
        }
    }
    Ok(())
}
