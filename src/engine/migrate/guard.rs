//! The checks of a migration before it touches anything: two different stores, a target of its own, no collection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{DirEntry, DriverPath, ErrorKind, PutMode, StorageDriver, StorageDriverExt};
use uuid::Uuid;

use super::begun::Begun;
use super::error::NameStore;
use super::{Error, Options, Result, Side};
use crate::StoreIdentity;
use crate::clock::Clock;
use crate::layout::{self, Entry};
use crate::lease::{AFTERLIFE, LOCK, signs};

/// Interrupted passes left what is older than this among the staged blobs: a pass that continues writes to its own more often.
const STAGED_AGE: Duration = Duration::from_secs(60 * 60);

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

/// Fails if the target holds other content than that of this migration, or the part that it copies is finished; else marks it. A
/// dry run marks nothing. Returns whether the migration is merged with other content, now or since an earlier command.
pub(super) async fn claim(
    source: &Arc<dyn StorageDriver>,
    target: &Arc<dyn StorageDriver>,
    from: &str,
    options: &Options,
) -> Result<bool> {
    let mark = Entry::MigrationBegun.path();
    let merge = options.merge;
    let begun = Begun::read(target).await.at_target()?;
    let identity = StoreIdentity::of(source).await.at_source()?;
    let is_same = match begun.as_ref().and_then(|begun| begun.source.as_ref()) {
        Some(recorded) => recorded.is_of(source, &identity).await.at_source()?,
        None => true,
    };
    let (is_blank, source) = (identity.is_blank(), Some(identity));
    let other = match &begun {
        Some(begun) if begun.from == from && is_same => {
            if let Some(part) = begun.finished_part(&options.part).filter(|_| !merge) {
                return Err(Error::PartFinished { part, mark });
            }
            if !options.dry_run && !is_blank && begun.source != source {
                Begun { source, ..begun.clone() }.write(target).await.at_target()?;
            }
            return Ok(merge || begun.merge);
        }
        Some(begun) if !merge => {
            let elsewhere = if is_same { "" } else { " of another machine or disk" };
            let recorded = format!("{}{elsewhere}", begun.from);
            return Err(Error::OtherSource { recorded, given: from.to_owned(), mark });
        }
        // Content of another source.
        Some(_) => Some(mark.clone()),
        None => first_file(target, Side::Target).await?,
    };
    match &other {
        Some(path) if !merge => return Err(Error::NotEmpty(path.clone())),
        _ if options.dry_run => return Ok(merge),
        _ => {}
    }
    let at = Clock::default().now();
    let begun = Begun { from: from.to_owned(), at, merge: other.is_some(), finished: Vec::new(), source };
    begun.write(target).await.at_target()?;
    Ok(merge)
}

/// Removes what interrupted passes have left, but not what another one copies now.
pub(super) async fn remove_staged(target: &Arc<dyn StorageDriver>) -> Result<()> {
    let before = Clock::default().ago(STAGED_AGE);
    let files: Vec<_> = target.walk(&layout::migration_staged(), None).try_collect().await.at_target()?;
    let old = files.into_iter().filter(|file| file.modified < before);
    let old: Vec<_> = old.map(|file| file.path).collect();
    super::removal::delete(target, old).await
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
