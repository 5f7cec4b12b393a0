//! `Checks`: which contents were hashed in this process.
//!
//! The first request for a content starts one check of it, which reads it from its first byte to its last on a thread of its
//! own. All requests for the content follow that check: each part of an answer is sent after the check has read it, and the
//! last one after the digest has matched. So a medium is read once, however many clients begin together; a client that gets a
//! whole answer got verified content, also for a range of it; and a mismatch breaks the connection. Later requests for the
//! content are not hashed again. A check stops once nothing follows it, so that clients that go away do not keep the medium
//! busy, and continues where it was with the next request.
//!
//! The check of a content that the plan names by another algorithm than the engine also hashes it by that of the engine.
//!
//! Hashing what is sent instead would need a copy in this process for each client, could not vouch for a range, and would
//! exclude `sendfile(2)`.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use sampan_bundle::{ContentHash, Fault};
use sampan_engine::oci::{Algorithm, Digest};
use tokio::sync::watch;

use crate::contents::{ContentIndex, Contents};

/// The contents that were hashed, or are being hashed.
#[derive(Default)]
pub(crate) struct Checks {
    /// A plain mutex: held to look up and to note, never while reading.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether everything was verified at the start.
    is_all_verified: bool,
    known: HashMap<ContentIndex, CheckState>,
    /// The canonical digests of verified contents that plans name by another algorithm.
    names: HashMap<ContentIndex, Digest>,
    waiting: VecDeque<Job>,
    workers: usize,
}

enum CheckState {
    Running(watch::Receiver<Progress>),
    /// A check that nothing follows any more, as far as it came.
    Stopped(Hashing),
    Verified,
    Damaged(Arc<Fault>),
}

struct Job {
    place: ContentIndex,
    hashing: Hashing,
    progress: watch::Sender<Progress>,
}

/// What was hashed of a content from its first byte on.
struct Hashing {
    planned: ContentHash,
    /// By the algorithm of the engine, where the plan has another one.
    canonical: Option<ContentHash>,
    bytes: u64,
}

/// How far a check is.
#[derive(Clone, Debug)]
pub(crate) enum Progress {
    /// This many bytes were hashed.
    Hashed(u64),
    /// The digest matched.
    Verified,
    /// The content cannot be served.
    Failed(Unreadable),
}

/// Why content cannot be served.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Its bytes are wrong.
    #[error(transparent)]
    Damaged(Arc<Fault>),
    /// The medium failed; the next request tries again.
    #[error(transparent)]
    Medium(Arc<sampan_bundle::Error>),
}

/// The size of a read, in bytes.
const CHUNK: usize = 1 << 20;

impl Checks {
    /// Notes that everything was verified.
    pub(crate) fn all_verified(&self) {
        self.state.lock().is_all_verified = true;
    }

    /// The check of a content, which starts if this is the first request for it; `None` if it is verified.
    ///
    /// # Errors
    ///
    /// `Damaged` after a check has found it.
    pub(crate) fn follow(
        self: &Arc<Self>,
        contents: &Arc<Contents>,
        place: ContentIndex,
    ) -> Result<Option<watch::Receiver<Progress>>, Unreadable> {
        let mut state = self.state.lock();
        match state.known.get(&place) {
            _ if state.is_all_verified => Ok(None),
            Some(CheckState::Verified) => Ok(None),
            _ => self.join(&mut state, contents, place).map(Some),
        }
    }

    /// The canonical digest of a content that the plan names by another algorithm. The first call for a content waits until all of
    /// it is hashed.
    ///
    /// # Errors
    ///
    /// When it is damaged, or the medium fails.
    pub(crate) async fn name(
        self: &Arc<Self>,
        contents: &Arc<Contents>,
        place: ContentIndex,
    ) -> Result<Digest, Unreadable> {
        let mut check = {
            let mut state = self.state.lock();
            match state.names.get(&place) {
                Some(name) => return Ok(name.clone()),
                None => self.join(&mut state, contents, place)?,
            }
        };
        loop {
            match check.borrow_and_update().clone() {
                Progress::Hashed(_) => {}
                Progress::Verified => break,
                Progress::Failed(unreadable) => return Err(unreadable),
            }
            if check.changed().await.is_err() {
                break;
            }
        }
        let name = self.state.lock().names.get(&place).cloned();
        name.ok_or_else(|| Unreadable::medium(contents.fault(place, "its check broke off".to_owned()).into()))
    }

    /// Follows the check of a content, which begins or continues if it does not run.
    fn join(
        self: &Arc<Self>,
        state: &mut State,
        contents: &Arc<Contents>,
        place: ContentIndex,
    ) -> Result<watch::Receiver<Progress>, Unreadable> {
        let hashing = match state.known.remove(&place) {
            Some(CheckState::Running(progress)) => {
                state.known.insert(place, CheckState::Running(progress.clone()));
                return Ok(progress);
            }
            Some(CheckState::Damaged(fault)) => {
                state.known.insert(place, CheckState::Damaged(fault.clone()));
                return Err(Unreadable::Damaged(fault));
            }
            Some(CheckState::Stopped(hashing)) => hashing,
            Some(CheckState::Verified) | None => Hashing::of(contents.digest(place)),
        };
        let (sender, receiver) = watch::channel(Progress::Hashed(hashing.bytes));
        state.known.insert(place, CheckState::Running(receiver.clone()));
        state.waiting.push_back(Job { place, hashing, progress: sender });
        if state.workers < max_workers() {
            state.workers += 1;
            let (checks, contents) = (self.clone(), contents.clone());
            tokio::task::spawn_blocking(move || checks.work(&contents));
        }
        Ok(receiver)
    }

    /// Reads a content as a whole, and hashes it unless it is verified. Blocks; the caller has bounded the length.
    ///
    /// # Errors
    ///
    /// When it is damaged, or the medium fails.
    pub(crate) fn read_whole(&self, contents: &Contents, place: ContentIndex) -> Result<Bytes, Unreadable> {
        let content = self.unjudged(contents, place)?;
        match self.state.lock().known.get(&place) {
            Some(CheckState::Damaged(fault)) => Err(Unreadable::Damaged(fault.clone())),
            Some(CheckState::Running(_) | CheckState::Stopped(_) | CheckState::Verified) | None => {
                Ok(content)
            }
        }
    }

    /// As [`whole`](Self::read_whole), but returns damaged content too, after it was logged: for a caller that compares the digest
    /// itself, as the engine does with manifests.
    ///
    /// # Errors
    ///
    /// When the medium fails.
    pub(crate) fn unjudged(&self, contents: &Contents, place: ContentIndex) -> Result<Bytes, Unreadable> {
        let is_judged = {
            let state = self.state.lock();
            let known = state.known.get(&place);
            state.is_all_verified || matches!(known, Some(CheckState::Verified | CheckState::Damaged(_)))
        };
        let range = contents.range(place);
        let mut content = vec![0; usize::try_from(range.end - range.start).unwrap_or(usize::MAX)];
        let filled = contents.files(place).fill(range.start, &mut content).map_err(Unreadable::medium)?;
        if filled < content.len() {
            return Err(Unreadable::medium(ends_early(contents, place)));
        }
        if !is_judged {
            let mut hashing = Hashing::of(contents.digest(place));
            hashing.update(&content);
            // The fault is logged, and noted for other callers.
            let _ = self.conclude(contents, place, hashing);
        }
        Ok(content.into())
    }

    /// As [`name`](Self::name), but blocks, and hashes the content itself.
    ///
    /// # Errors
    ///
    /// When it is damaged, or the medium fails.
    pub(crate) fn name_now(&self, contents: &Contents, place: ContentIndex) -> Result<Digest, Unreadable> {
        if let Some(name) = self.state.lock().names.get(&place) {
            return Ok(name.clone());
        }
        let mut hashing = Hashing::of(contents.digest(place));
        let _ = hashing.read_on(contents, place, |_| ControlFlow::Continue(()))?;
        self.conclude(contents, place, hashing)?;
        let name = self.state.lock().names.get(&place).cloned();
        Ok(name.unwrap_or_else(|| contents.digest(place).clone()))
    }

    /// Works on the checks that wait until there is none.
    fn work(&self, contents: &Contents) {
        loop {
            let job = {
                let mut state = self.state.lock();
                let job = state.next_job();
                state.workers -= usize::from(job.is_none());
                job
            };
            let Some(Job { place, mut hashing, progress }) = job else { return };
            let read = hashing.read_on(contents, place, |bytes| {
                progress.send_replace(Progress::Hashed(bytes));
                match self.state.lock().is_followed(place, &progress) {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            });
            let outcome = match read {
                Ok(ControlFlow::Continue(())) => match self.conclude(contents, place, hashing) {
                    Ok(()) => Progress::Verified,
                    Err(unreadable) => Progress::Failed(unreadable),
                },
                Ok(ControlFlow::Break(())) => {
                    // It stops now, unless a request has come meanwhile.
                    self.state.lock().waiting.push_front(Job { place, hashing, progress });
                    continue;
                }
                Err(unreadable) => {
                    if let Unreadable::Medium(error) = &unreadable {
                        tracing::error!(%error, "{} cannot be read", contents.planned(place).path());
                        self.state.lock().known.remove(&place);
                    }
                    Progress::Failed(unreadable)
                }
            };
            progress.send_replace(outcome);
        }
    }

    /// Notes whether the bytes of a content have its digest. The first to find a fault logs it.
    fn conclude(&self, contents: &Contents, place: ContentIndex, hashing: Hashing) -> Result<(), Unreadable> {
        let Hashing { planned, canonical, .. } = hashing;
        let actual = planned.finish();
        let known = match actual == *contents.digest(place) {
            true => CheckState::Verified,
            false => CheckState::Damaged(Arc::new(contents.wrong_digest(place, &actual))),
        };
        let fault = match &known {
            CheckState::Damaged(fault) => Some(fault.clone()),
            CheckState::Running(_) | CheckState::Stopped(_) | CheckState::Verified => None,
        };
        let before = {
            let mut state = self.state.lock();
            if fault.is_none() {
                state.names.extend(canonical.map(|hash| (place, hash.finish())));
            }
            state.known.insert(place, known)
        };
        let Some(fault) = fault else { return Ok(()) };
        if !matches!(before, Some(CheckState::Damaged(_))) {
            tracing::error!(
                entry = fault.entry,
                offset = fault.offset,
                part = fault.part.as_ref().map(|part| part.display().to_string()),
                "{fault}; it is refused until the file is replaced and the registry restarted"
            );
        }
        Err(Unreadable::Damaged(fault))
    }
}

impl State {
    /// The next check that is followed. Those before it stop; a later request begins them again.
    fn next_job(&mut self) -> Option<Job> {
        while let Some(Job { place, hashing, progress }) = self.waiting.pop_front() {
            if let Some(hashing) = self.stop(place, hashing, &progress) {
                return Some(Job { place, hashing, progress });
            }
        }
        None
    }

    /// Stops a check unless it is followed: then it returns what was hashed.
    fn stop(
        &mut self,
        place: ContentIndex,
        hashing: Hashing,
        progress: &watch::Sender<Progress>,
    ) -> Option<Hashing> {
        if self.is_followed(place, progress) {
            return Some(hashing);
        }
        if let Some(known @ CheckState::Running(_)) = self.known.get_mut(&place) {
            *known = CheckState::Stopped(hashing);
        }
        None
    }

    /// Whether a request follows a check.
    fn is_followed(&self, place: ContentIndex, progress: &watch::Sender<Progress>) -> bool {
        // The note has a receiver too.
        let is_noted = matches!(self.known.get(&place), Some(CheckState::Running(_)));
        progress.receiver_count() > usize::from(is_noted)
    }
}

impl Hashing {
    /// The hash of no byte of a content with this digest.
    fn of(digest: &Digest) -> Self {
        let canonical = (!digest.is_canonical()).then(|| ContentHash::new(Algorithm::Sha256));
        Self { planned: ContentHash::new(digest.algorithm()), canonical, bytes: 0 }
    }

    fn update(&mut self, chunk: &[u8]) {
        self.planned.update(chunk);
        self.canonical.iter_mut().for_each(|hash| hash.update(chunk));
        self.bytes += chunk.len() as u64;
    }

    /// Reads a content on to its end, or until `go_on`, which gets the number of bytes so far, breaks. Blocks.
    ///
    /// # Errors
    ///
    /// When the medium fails.
    fn read_on(
        &mut self,
        contents: &Contents,
        place: ContentIndex,
        mut go_on: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Unreadable> {
        let range = contents.range(place);
        let mut buffer = vec![0; CHUNK];
        while range.start + self.bytes < range.end {
            let offset = range.start + self.bytes;
            let len = buffer.len().min(usize::try_from(range.end - offset).unwrap_or(usize::MAX));
            let read = contents.files(place).read_at(offset, &mut buffer[..len]);
            match read.map_err(Unreadable::medium)? {
                0 => return Err(Unreadable::medium(ends_early(contents, place))),
                read => self.update(&buffer[..read]),
            }
            if go_on(self.bytes).is_break() && range.start + self.bytes < range.end {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Unreadable {
    pub(crate) fn medium(error: sampan_bundle::Error) -> Self {
        Self::Medium(Arc::new(error))
    }
}

/// The file was cut after it was opened.
pub(crate) fn ends_early(contents: &Contents, place: ContentIndex) -> sampan_bundle::Error {
    contents.fault(place, "the file ends within it".to_owned()).into()
}

/// How many checks run at a time: a processor hashes faster than a stick can be read.
fn max_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
