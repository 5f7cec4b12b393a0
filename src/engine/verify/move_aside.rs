//! Moving damaged data aside, so that the registry does not know them any more. The module says why nothing is lost.

use std::time::Duration;

use bytes::Bytes;
use sampan_driver::{DriverPath, PutMode, StorageDriver, StorageDriverExt, with_causes};
use serde_json::json;

use super::data::{PaceOrLock, State, hash_at};
use super::findings::{Users, canonical};
use super::options::Options;
use super::problem::{Problem, ProblemKind, RepairOutcome};
use super::{Error, Result};
use crate::Registry;
use crate::clock::millis;
use crate::gc::{self, CollectorLock};
use crate::layout::Entry;
use crate::lease::DeletionKey;
use crate::oci::Digest;

/// The most data that a run moves aside; with more, nothing is moved.
pub const MAX_MOVED: u64 = 100;

/// An upload whose link is older has committed its data, or has failed.
const UPLOAD_TIME: Duration = Duration::from_secs(10 * 60);

/// Moves the data of these problems aside, if they are damaged still.
pub(super) async fn move_aside(
    registry: &Registry,
    options: &Options,
    problems: Vec<&mut Problem>,
    users: &Users,
) {
    if problems.is_empty() {
        return;
    }
    let mut problems = problems;
    if let Err(error) = with_lock(registry, options, &mut problems, users).await {
        let reason = match &error {
            Error::Collector(gc::Error::Running { path, seconds }) => format!(
                "a collection or another repair is running; verify again after it, or if it was killed, in {seconds} s, when \
                 its lock ({path}) runs out"
            ),
            Error::Collector(gc::Error::Lost) => {
                "the run was halted for too long, or the store did not answer; verify again".to_owned()
            }
            Error::Collector(gc::Error::Stopped) => "the run was stopped".to_owned(),
            error => with_causes(error),
        };
        for problem in problems.iter_mut().filter(|problem| problem.outcome == RepairOutcome::Reported) {
            problem.outcome = RepairOutcome::Left(reason.clone());
        }
    }
}

async fn with_lock(
    registry: &Registry,
    options: &Options,
    problems: &mut [&mut Problem],
    users: &Users,
) -> Result<()> {
    let _write = registry.begin_write()?;
    let driver = registry.driver();
    let mut lock = CollectorLock::take(driver, registry.clock(), options.grace, &options.stop).await?;
    let keys: Vec<_> =
        problems.iter().filter_map(|problem| canonical(problem)).map(DeletionKey::Blob).collect();
    let moved = move_all(registry, &mut lock, &keys, problems, users).await;
    // A lock that was lost belongs to others; a batch that stays makes pushes of these digests wait for a while. So it does
    // where the store may still move a file: it must not be that of a push.
    if lock.awaits_answers() || matches!(moved, Err(Error::Collector(gc::Error::Lost))) {
        return moved;
    }
    let released = lock.release().await;
    moved.and(released.map_err(Error::from))
}

async fn move_all(
    registry: &Registry,
    lock: &mut CollectorLock,
    keys: &[DeletionKey],
    problems: &mut [&mut Problem],
    users: &Users,
) -> Result<()> {
    lock.publish(keys).await?;
    for problem in problems.iter_mut() {
        lock.keep().await?;
        // The registry may have become read-only.
        registry.check_writable()?;
        move_one(registry, lock, problem, users).await?;
    }
    Ok(())
}

async fn move_one(
    registry: &Registry,
    lock: &mut CollectorLock,
    problem: &mut Problem,
    users: &Users,
) -> Result<()> {
    let (Some(digest), ProblemKind::Damaged { actual, size_bytes }) = (canonical(problem), &problem.kind)
    else {
        return Ok(());
    };
    let driver = registry.driver();
    let left_out = users.left_out(&digest.canonical_hash().unwrap_or_default());
    if driver.capabilities().flat && left_out > 0 {
        problem.outcome = RepairOutcome::Left(format!(
            "a push of it may be running in {left_out} repositories, which are too many to look at"
        ));
        return Ok(());
    }
    if driver.capabilities().flat && is_being_pushed(registry, &digest, users).await? {
        problem.outcome =
            RepairOutcome::Left("a push of it is running; verify again in ten minutes".to_owned());
        return Ok(());
    }
    let now = millis(registry.clock().now());
    let (data, aside) = (Entry::Blob(digest.clone()).path(), Entry::Damaged(digest.clone(), now).path());
    let note = json!({
        "digest": digest, "actual": actual, "size_bytes": size_bytes, "moved_ms": now, "needed_by": problem.needed_by,
    });
    let note_path = Entry::DamagedNote(digest.clone(), now).path();
    driver.put_content(&note_path, Bytes::from(note.to_string()), PutMode::Overwrite).await?;
    // The last look, after which nothing but an upload that checked before can write the data.
    match look(registry, lock, &data, &digest).await? {
        State::Damaged(..) => {}
        State::Gone | State::Good => {
            driver.delete(&note_path).await?;
            problem.outcome = RepairOutcome::Healed("a push".to_owned());
            return Ok(());
        }
        State::Unreadable(error) => {
            driver.delete(&note_path).await?;
            problem.outcome = RepairOutcome::Left(error);
            return Ok(());
        }
        State::Stopped => return Ok(()),
    }
    lock.check()?;
    rename(&**driver, lock, &data, &aside).await?;
    if look(registry, lock, &aside, &digest).await? == State::Good {
        // An upload committed in between.
        rename(&**driver, lock, &aside, &data).await?;
        driver.delete(&note_path).await?;
        problem.outcome = RepairOutcome::Healed("a push".to_owned());
        return Ok(());
    }
    problem.outcome = RepairOutcome::MovedAside(aside.to_string());
    Ok(())
}

/// Moves a file. Without a clear answer, a store that copies it may do so later.
async fn rename(
    driver: &dyn StorageDriver,
    lock: &mut CollectorLock,
    from: &DriverPath,
    to: &DriverPath,
) -> Result<()> {
    let is_flat = driver.capabilities().flat;
    lock.set_awaits_answers(is_flat);
    let renamed = driver.rename(from, to).await;
    lock.set_awaits_answers(is_flat && renamed.as_ref().is_err_and(|error| !error.is_settled()));
    Ok(renamed?)
}

async fn look(
    registry: &Registry,
    lock: &mut CollectorLock,
    path: &DriverPath,
    digest: &Digest,
) -> Result<State> {
    hash_at(&**registry.driver(), path, digest, PaceOrLock::Lock(lock)).await
}

/// Whether an upload may have written its link and not yet its data.
async fn is_being_pushed(registry: &Registry, digest: &Digest, users: &Users) -> Result<bool> {
    let hash = digest.canonical_hash().unwrap_or_default();
    let begun = registry.clock().ago(UPLOAD_TIME);
    for name in users.repositories(&hash) {
        let link = Entry::LayerLink(name.clone(), digest.clone()).path();
        let link = registry.driver().stat_if_any(&link).await?;
        if link.is_some_and(|link| link.modified > begun) {
            return Ok(true);
        }
    }
    Ok(false)
}
