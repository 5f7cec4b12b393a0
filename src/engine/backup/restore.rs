//! `restore`: brings a store back to what a snapshot has.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{Deadline, DriverPath, PutMode, StorageDriver, StorageDriverExt};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::migrated::check_stays;
use super::snapshot::RepositoryState;
use super::view::SnapshotView;
use super::{Error, Result, SnapshotId, Totals};
use crate::FirstItems;
use crate::gc::{self, CollectorLock};
use crate::layout::{self, Entry};
use crate::link::delete_durably;
use crate::migrate::{self, Migration, Pass, PassKind, Progress, Side, TagThere};
use crate::oci::{Reference, RepositoryName, Tag};
use crate::{Registry, Selection};

/// The choices of a restore.
#[derive(Clone, Debug, Default)]
pub struct RestoreOptions {
    /// The repositories to bring back. Access tokens come back only with all of them, and into a store that has none.
    pub selection: Selection,
    /// Points tags back that point at other images now, or are pushed while the restore runs.
    pub replace: bool,
    /// Only counts what would be copied, and names the tags that would move.
    pub dry_run: bool,
    /// How many bytes of data are copied a second at most; `None` for no limit.
    pub rate: Option<NonZeroU64>,
    /// The grace period of collections in the store that is filled.
    pub grace: Duration,
    /// The progress of the restore.
    pub progress: Arc<Progress>,
    /// Stops the restore, which then releases the lock of the collector. Copied content stays.
    pub stop: CancellationToken,
}

/// The result of a restore.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The snapshot.
    pub id: SnapshotId,
    /// The selected part of it.
    pub totals: Totals,
    /// The copied and the failed content.
    pub pass: Pass,
    /// The tags that pointed at other images.
    pub replaced: FirstItems<TagThere>,
    /// Tags of these repositories that the snapshot does not have. They stay.
    pub newer: FirstItems<TagThere>,
    /// How many files of access tokens came back.
    pub tokens: u64,
}

/// How many tags are looked up at a time.
const LOOKUPS: usize = 32;

/// How often the lock is renewed, at most.
const KEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Copies to `target` what it lacks of a snapshot in `backup`, and points its tags at the snapshot's manifests.
///
/// # Errors
///
/// `NoBackup`, `NoSnapshot`, `Damaged`, `NothingSelected`; `Filled` and `Moved` if nothing should be written to the target;
/// `WouldReplace` before anything is written, unless [`replace`](RestoreOptions::replace) is set; a collection in the target;
/// any error of the stores. Another restore continues.
pub async fn restore(
    backup: &Registry,
    target: &Registry,
    id: SnapshotId,
    options: &RestoreOptions,
) -> Result<Restored> {
    let (from, to) = (backup.driver(), target.driver());
    if super::run::recorded(from).await?.is_none() {
        return Err(Error::NoBackup);
    }
    if !options.dry_run {
        target.check_writable()?;
        check_stays(to).await?;
        migrate::check_apart(from, to).await?;
    }
    let mut repositories = super::read(backup, id).await?.repositories;
    repositories.retain(|name, _| options.selection.has(name));
    if repositories.is_empty() && !options.selection.is_everything() {
        return Err(Error::NothingSelected);
    }
    let (replaced, newer) = compare(target, &repositories).await?;
    if let Some(first) = replaced.items.first().filter(|_| !options.replace && !options.dry_run) {
        return Err(Error::WouldReplace { count: replaced.count, first: Box::new(first.clone()) });
    }
    let mut totals = Totals::default();
    repositories.values().for_each(|held| totals.add(held));
    let repositories = Arc::new(repositories);
    // Only these, and not what the target has besides.
    let selection = match options.selection.is_everything() {
        true => options.selection.clone(),
        false => {
            let repositories = repositories.clone();
            Selection::new(move |name| repositories.contains_key(name))
        }
    };
    let view: Arc<dyn StorageDriver> = Arc::new(SnapshotView::new(from, repositories));
    let migration = Migration::with(
        &view,
        to,
        migrate::Options {
            selection,
            rate: options.rate,
            dry_run: options.dry_run,
            caches: target.caches().clone(),
            progress: options.progress.clone(),
            ..migrate::Options::default()
        },
        // A dry run names the tags that would be pointed back.
        PassKind::Restore { replace: options.replace || options.dry_run },
    );
    let (pass, tokens) = match options.dry_run {
        true => (migrate::pass(&migration).await?, 0),
        false => locked(target, options, &migration, from).await?,
    };
    Ok(Restored { id, totals, pass, replaced, newer, tokens })
}

/// Copies under the lock of the collector.
async fn locked(
    target: &Registry,
    options: &RestoreOptions,
    migration: &Migration,
    from: &Arc<dyn StorageDriver>,
) -> Result<(Pass, u64)> {
    let to = target.driver();
    migrate::check_no_collection(to, Side::Target).await?;
    // Registries over a store without content have nothing that a lease would keep.
    let is_empty = migrate::first_file(to, Side::Target).await?.is_none();
    let grace = if is_empty { Duration::ZERO } else { options.grace };
    let mut lock = CollectorLock::take(to, target.clock(), grace, &options.stop).await?;
    let copied = {
        let copy = async {
            super::run::remove_old_staged(target).await?;
            let pass = migrate::pass(migration).await?;
            let tokens = match options.selection.is_everything() {
                true => copy_tokens(from, to).await?,
                false => 0,
            };
            Ok::<_, Error>((pass, tokens))
        };
        tokio::select! {
            copied = copy => copied,
            () = options.stop.cancelled() => Err(Error::Stopped),
            error = keep(&mut lock) => Err(error.into()),
        }
    };
    if copied.is_err() {
        migration.remove_staged().await;
    }
    match &copied {
        // A lock that was lost belongs to others.
        Err(Error::Lost) => {}
        _ => lock.release().await?,
    }
    copied
}

/// Keeps the lock until it is lost.
async fn keep(lock: &mut CollectorLock) -> gc::Error {
    loop {
        sleep(KEEP_INTERVAL).await;
        if let Err(error) = lock.keep().await {
            return error;
        }
    }
}

/// The tags of the target that point elsewhere than those of the snapshot, and those that the snapshot does not have.
async fn compare(
    target: &Registry,
    repositories: &BTreeMap<RepositoryName, RepositoryState>,
) -> Result<(FirstItems<TagThere>, FirstItems<TagThere>)> {
    let (mut replaced, mut newer) = (FirstItems::default(), FirstItems::default());
    for (name, held) in repositories {
        let repository = target.repository(name.clone());
        let tags = match repository.tags().list(None, None).await {
            Ok(page) => page.items,
            Err(crate::Error::RepositoryUnknown(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        let manifests = repository.manifests();
        let there = stream::iter(tags.into_iter().filter_map(|tag| tag.parse::<Tag>().ok())).map(|tag| {
            let (manifests, repository) = (&manifests, name.clone());
            async move {
                match manifests.stat(&Reference::Tag(tag.clone())).await {
                    Ok(info) => Ok(Some(TagThere { repository, tag, digest: info.digest })),
                    // A tag without its manifest is no image.
                    Err(crate::Error::ManifestUnknown(..) | crate::Error::Corrupt(..)) => Ok(None),
                    Err(error) => Err(error),
                }
            }
        });
        let mut there = there.buffered(LOOKUPS);
        while let Some(found) = there.try_next().await? {
            let Some(found) = found else { continue };
            match held.tags.binary_search_by(|held| held.tag.cmp(&found.tag)) {
                Err(_) => newer.push(found),
                Ok(place) => {
                    let held = &held.tags[place];
                    if found.digest != held.digest && Some(&found.digest) != held.pushed_as.as_ref() {
                        replaced.push(found);
                    }
                }
            }
        }
    }
    Ok((replaced, newer))
}

/// Copies the access tokens of the last backup to a store that has none. The end of a token comes before its record: a token
/// that has ended is never valid. A marker lets the next restore continue a copy that was interrupted.
async fn copy_tokens(from: &Arc<dyn StorageDriver>, to: &Arc<dyn StorageDriver>) -> Result<u64> {
    let (root, marker) = (layout::access_tokens_root(), Entry::TokenRestore.path());
    let continues = to.exists(&marker).await?;
    if !continues && to.walk(&root, None).try_next().await?.is_some() {
        return Ok(0);
    }
    let files = from.walk(&root, None).map_ok(|file| file.path);
    let mut paths: Vec<DriverPath> = files.try_collect().await?;
    match continues {
        // Everything before the last file that is there was copied; what is missing there was revoked since.
        true => {
            let mut copied = paths.len();
            while copied > 0 && !to.exists(&paths[copied - 1]).await? {
                copied -= 1;
            }
            paths.drain(..copied);
        }
        false if paths.is_empty() => return Ok(0),
        false => to.put_content(&marker, Bytes::new(), PutMode::Overwrite).await?,
    }
    let mut copied = 0;
    for path in paths {
        if let Some(content) = from.get_content_if_any(&path).await? {
            to.put_content(&path, content, PutMode::Overwrite).await?;
            copied += 1;
        }
    }
    delete_durably(to, vec![marker.clone()], &[marker], Deadline::NONE).await?;
    Ok(copied)
}
