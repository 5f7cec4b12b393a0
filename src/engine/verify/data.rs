//! The data: every blob is read and hashed.

use std::sync::Arc;
use std::time::Duration;

use futures::future::Either;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use sampan_driver::{ByteRange, DriverError, DriverPath, ErrorKind, StorageDriver};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::findings::Findings;
use super::options::Options;
use super::outage::{Answer, ask};
use super::pace::Pace;
use super::problem::{Problem, ProblemKind};
use super::progress::Progress;
use super::report::DataReport;
use super::sizes::{Hash, Sizes, digest, place};
use super::{Error, MAX_MOVED, Result};
use crate::Registry;
use crate::block_on_thread::block_on_thread;
use crate::gc::CollectorLock;
use crate::layout::Entry;
use crate::oci::{Algorithm, Digest};

/// The state of the data of a digest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// The data hash to their digest.
    Good,
    /// The data hash to another digest.
    Damaged(Digest, u64),
    /// The data are missing.
    Gone,
    /// The store cannot read them.
    Unreadable(String),
    /// The run must end.
    Stopped,
}

/// A run writes down how far it has come after each tenth of its time, within these limits. So a run that is killed repeats
/// at most a tenth of its work, and a long one writes once a minute.
const WRITE_INTERVALS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// A piece of work for a thread: small data come together.
const PIECE_BYTES: u64 = 4 << 20;
const PIECE_COUNT: usize = 64;

/// Hashes the data after the position in `progress`. Returns whether it came to the end, and not to a stop. The report has what
/// was hashed before an error, too.
pub(super) async fn hash_all(
    registry: &Registry,
    options: &Options,
    pace: &Arc<Pace>,
    sizes: &Sizes,
    progress: &mut Progress,
    findings: &mut Findings,
    report: &mut DataReport,
) -> Result<bool> {
    *report = DataReport {
        of_blobs: sizes.len(),
        of_bytes: sizes.bytes(),
        blobs_before: progress.cycle.blobs,
        ..DataReport::default()
    };
    if !check_unreported(registry, pace, progress, findings).await? {
        return Ok(false);
    }
    let rest = sizes.after(progress.position().as_ref());
    let wanted = rest.partition_point(|(hash, _)| place(hash) <= options.up_to);
    let wanted = rest.get(..wanted).unwrap_or_default();
    let driver = registry.driver();
    let ends = options.max_duration.map(|duration| Instant::now() + duration);
    let work = pieces(wanted).map(|piece| {
        let work = hash_piece(driver.clone(), piece, Arc::clone(pace), ends);
        match options.threads {
            0 => Either::Left(work),
            _ => Either::Right(
                block_on_thread(work)
                    .map(|done| done.unwrap_or_else(|| (vec![([0; 32], 0, State::Stopped)], None))),
            ),
        }
    });
    let mut done = stream::iter(work).buffered(options.threads.max(1));
    let (begun, [shortest, longest]) = (Instant::now(), WRITE_INTERVALS);
    let mut written = begun;
    while let Some((piece, failure)) = done.next().await {
        for (hash, size_bytes, state) in piece {
            if state == State::Stopped {
                return Ok(false);
            }
            report.blobs += 1;
            report.bytes += size_bytes;
            progress.cycle.blobs += 1;
            progress.cycle.bytes += size_bytes;
            progress.after = Some(digest(&hash));
            if let Some(problem) = problem(&hash, state) {
                progress.cycle.damaged += 1;
                progress.note_unreported(digest(&hash));
                findings.add(problem);
            }
            options.emit(size_bytes);
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        // Such a store needs another disk before a repair.
        if findings.damaged() > MAX_MOVED {
            return Ok(false);
        }
        if options.selection.is_everything()
            && written.elapsed() >= (begun.elapsed() / 10).clamp(shortest, longest)
            && registry.check_writable().is_ok()
        {
            progress.keep(registry, pace).await;
            written = Instant::now();
        }
    }
    Ok(true)
}

/// Checks the findings of a killed run of this cycle again. Returns whether the run continues.
async fn check_unreported(
    registry: &Registry,
    pace: &Pace,
    progress: &mut Progress,
    findings: &mut Findings,
) -> Result<bool> {
    for digest in progress.unreported.clone() {
        let state = check_twice(&**registry.driver(), &digest, Some(pace)).await?;
        if state == State::Stopped {
            return Ok(false);
        }
        match digest.canonical_hash().and_then(|hash| problem(&hash, state)) {
            Some(problem) => findings.add(problem),
            None => progress.unreported.retain(|known| *known != digest),
        }
    }
    Ok(true)
}

/// The problem that a state is.
pub(super) fn problem(hash: &Hash, state: State) -> Option<Problem> {
    let kind = match state {
        State::Damaged(actual, size_bytes) => ProblemKind::Damaged { actual, size_bytes },
        State::Unreadable(error) => ProblemKind::Unreadable { error },
        // A link that needs the data reports it.
        State::Good | State::Gone | State::Stopped => return None,
    };
    let digest = digest(hash);
    Some(Problem::new(&Entry::Blob(digest.clone()).path(), kind, Some(digest)))
}

type Piece = Vec<(Hash, u64)>;

fn pieces(mut all: &[(Hash, u64)]) -> impl Iterator<Item = Piece> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let mut fits = |(_, size_bytes): &(Hash, u64)| {
            let has_room = bytes < PIECE_BYTES;
            bytes += size_bytes;
            has_room
        };
        let count = all.iter().take(PIECE_COUNT).map_while(|it| fits(it).then_some(())).count();
        let (piece, rest) = all.split_at_checked(count)?;
        all = rest;
        (!piece.is_empty()).then(|| piece.to_vec())
    })
}

/// Hashes a piece to its end or to an error.
async fn hash_piece(
    driver: Arc<dyn StorageDriver>,
    piece: Piece,
    pace: Arc<Pace>,
    ends: Option<Instant>,
) -> (Vec<(Hash, u64, State)>, Option<Error>) {
    let mut done = Vec::with_capacity(piece.len());
    for (hash, size_bytes) in piece {
        // What has begun is read to its end, since one file may take longer than a whole run.
        let state = match ends.is_some_and(|ends| Instant::now() >= ends) {
            true => State::Stopped,
            false => match check_twice(&*driver, &digest(&hash), Some(&pace)).await {
                Ok(state) => state,
                Err(error) => return (done, Some(error)),
            },
        };
        let is_stopped = state == State::Stopped;
        done.push((hash, size_bytes, state));
        if is_stopped {
            break;
        }
    }
    (done, None)
}

/// The result of a hash of data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Damage {
    /// The data are good, or were deleted.
    None,
    /// The data do not match their digest.
    Content,
    /// They cannot be read at the moment.
    Unreadable,
}

/// Hashes data to find out whether they are damaged.
///
/// # Errors
///
/// The store does not answer.
pub(crate) async fn damage(driver: &dyn StorageDriver, digest: &Digest) -> Result<Damage> {
    Ok(match check_twice(driver, digest, None).await? {
        State::Damaged(..) => Damage::Content,
        State::Unreadable(_) => Damage::Unreadable,
        State::Good | State::Gone | State::Stopped => Damage::None,
    })
}

/// Hashes the data, and once more if they are not good: a push may have replaced them, or the memory may be defective. A run outlasts a
/// store that does not answer, for a while.
pub(super) async fn check_twice(
    driver: &dyn StorageDriver,
    digest: &Digest,
    pace: Option<&Pace>,
) -> Result<State> {
    let Some(of_run) = pace else { return hash_twice(driver, digest, pace).await };
    Ok(match ask(driver, of_run, || hash_twice(driver, digest, pace)).await? {
        Answer::Given(state) => state,
        Answer::Refused(error) => State::Unreadable(with_cause(&error)),
    })
}

async fn hash_twice(driver: &dyn StorageDriver, digest: &Digest, pace: Option<&Pace>) -> Result<State> {
    let path = Entry::Blob(digest.clone()).path();
    match hash_at(driver, &path, digest, PaceOrLock::Pace(pace)).await? {
        State::Damaged(..) | State::Unreadable(_) => {
            hash_at(driver, &path, digest, PaceOrLock::Pace(pace)).await
        }
        state => Ok(state),
    }
}

/// The pace or the lock to keep while a file is hashed.
pub(super) enum PaceOrLock<'a> {
    /// The pace of the run, if it is part of one.
    Pace(Option<&'a Pace>),
    /// The lock, which runs out.
    Lock(&'a mut CollectorLock),
}

impl PaceOrLock<'_> {
    async fn goes_on(&mut self, bytes: usize) -> Result<bool> {
        match self {
            Self::Pace(None) => Ok(true),
            Self::Pace(Some(pace)) => Ok(pace.read(bytes).await),
            Self::Lock(lock) => Ok(lock.keep().await.map(|()| true)?),
        }
    }
}

/// Hashes a file that should have the content of `digest`.
pub(super) async fn hash_at(
    driver: &dyn StorageDriver,
    path: &DriverPath,
    digest: &Digest,
    mut guard: PaceOrLock<'_>,
) -> Result<State> {
    let reader = match driver.reader(path, ByteRange::ALL).await {
        Ok(reader) => reader,
        Err(error) if error.is_not_found() => return Ok(State::Gone),
        Err(error) => return unreadable(error),
    };
    let (mut hash, mut size_bytes) = (Sha256::new(), 0);
    let mut chunks = reader.into_stream();
    loop {
        let chunk = match chunks.try_next().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(error) => return unreadable(error),
        };
        hash.update(&chunk);
        size_bytes += chunk.len() as u64;
        if !guard.goes_on(chunk.len()).await? {
            return Ok(State::Stopped);
        }
    }
    let actual = Digest::from_hash(Algorithm::Sha256, &hash.finalize());
    Ok(if actual == *digest { State::Good } else { State::Damaged(actual, size_bytes) })
}

/// The state of data that the store cannot read. Fails if the store did not answer, which proves nothing about the file.
fn unreadable(error: DriverError) -> Result<State> {
    match error.kind() {
        ErrorKind::Unavailable => Err(error.into()),
        _ => Ok(State::Unreadable(with_cause(&error))),
    }
}

/// What lies behind an error, for a text that names its path.
pub(super) fn cause(error: &DriverError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

pub(super) fn with_cause(error: &DriverError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Whether so many files are damaged that the run must move none.
pub(super) fn is_too_much(damaged: u64, looked_at: u64) -> bool {
    damaged > MAX_MOVED || (damaged > ALWAYS_TOLERATED && damaged * 100 > looked_at)
}

/// Up to this many damaged files are no sign of a defective disk, however small the store is.
const ALWAYS_TOLERATED: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_data_come_together_and_large_ones_alone() {
        let all: Vec<(Hash, u64)> = [10, 5 << 20, 10, 10, 4 << 20, 1].map(|size| ([0; 32], size)).into();
        let counts: Vec<usize> = pieces(&all).map(|piece| piece.len()).collect();
        assert_eq!(counts, [2, 3, 1]);
        assert_eq!(
            pieces(&vec![([0; 32], 0); 130]).map(|piece| piece.len()).collect::<Vec<_>>(),
            [64, 64, 2]
        );
        assert_eq!(pieces(&[]).count(), 0);
    }
}
