//! `Checks`: which contents were hashed in this process.
//!
//! The first request for a content starts one check of it, which reads it from its first byte to its last on a thread of its
//! own. All requests for the content follow that check: each part of an answer is sent after the check has read it, and the
//! last one after the digest has matched. So a medium is read once, however many clients begin together; a client that gets a
//! whole answer got verified content, also for a range of it; and a mismatch breaks the connection. Later requests for the
//! content are not hashed again. A check that waits for its turn is left out once nothing follows it: clients that go away
//! do not keep others waiting.
//!
//! Hashing what is sent instead would need a copy in this process for each client, could not vouch for a range, and would
//! exclude `sendfile(2)`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use sampan_bundle::{ContentHash, Fault};
use sampan_engine::oci::{Algorithm, Digest};
use tokio::sync::watch;

use crate::contents::{Contents, Place};

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
    known: HashMap<Place, Known>,
    waiting: VecDeque<Job>,
    workers: usize,
}

enum Known {
    Running(watch::Receiver<Progress>),
    Verified,
    Damaged(Arc<Fault>),
}

struct Job {
    place: Place,
    progress: watch::Sender<Progress>,
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
        place: Place,
    ) -> Result<Option<watch::Receiver<Progress>>, Unreadable> {
        let mut state = self.state.lock();
        match state.known.get(&place) {
            _ if state.is_all_verified => return Ok(None),
            Some(Known::Verified) => return Ok(None),
            Some(Known::Damaged(fault)) => return Err(Unreadable::Damaged(fault.clone())),
            Some(Known::Running(progress)) => return Ok(Some(progress.clone())),
            None => {}
        }
        let (sender, receiver) = watch::channel(Progress::Hashed(0));
        state.known.insert(place, Known::Running(receiver.clone()));
        state.waiting.push_back(Job { place, progress: sender });
        if state.workers < max_workers() {
            state.workers += 1;
            let (checks, contents) = (self.clone(), contents.clone());
            tokio::task::spawn_blocking(move || checks.work(&contents));
        }
        Ok(Some(receiver))
    }

    /// Reads a content as a whole, and hashes it unless it is verified. Blocks; the caller has bounded the length.
    ///
    /// # Errors
    ///
    /// When it is damaged, or the medium fails.
    pub(crate) fn whole(&self, contents: &Contents, place: Place) -> Result<Bytes, Unreadable> {
        let content = self.unjudged(contents, place)?;
        match self.state.lock().known.get(&place) {
            Some(Known::Damaged(fault)) => Err(Unreadable::Damaged(fault.clone())),
            Some(Known::Running(_) | Known::Verified) | None => Ok(content),
        }
    }

    /// As [`whole`](Self::whole), but returns damaged content too, after it was logged: for a caller that compares the digest
    /// itself, as the engine does with manifests.
    ///
    /// # Errors
    ///
    /// When the medium fails.
    pub(crate) fn unjudged(&self, contents: &Contents, place: Place) -> Result<Bytes, Unreadable> {
        let is_judged = {
            let state = self.state.lock();
            let known = state.known.get(&place);
            state.is_all_verified || matches!(known, Some(Known::Verified | Known::Damaged(_)))
        };
        let range = contents.range(place);
        let mut content = vec![0; usize::try_from(range.end - range.start).unwrap_or(usize::MAX)];
        let filled = contents.files(place).fill(range.start, &mut content).map_err(Unreadable::medium)?;
        if filled < content.len() {
            return Err(Unreadable::medium(ends_early(contents, place)));
        }
        if !is_judged {
            let mut hash = ContentHash::new(contents.digest(place).algorithm());
            hash.update(&content);
            // The fault is logged, and noted for other callers.
            let _ = self.conclude(contents, place, hash);
        }
        Ok(content.into())
    }

    /// The canonical digest of a content that the plan names by another algorithm. Reads all of it, and hashes it by both. Blocks.
    ///
    /// # Errors
    ///
    /// When it is damaged, or the medium fails.
    pub(crate) fn canonical(&self, contents: &Contents, place: Place) -> Result<Digest, Unreadable> {
        let mut planned = ContentHash::new(contents.digest(place).algorithm());
        let mut canonical = ContentHash::new(Algorithm::Sha256);
        each_chunk(contents, place, |chunk, _| {
            planned.update(chunk);
            canonical.update(chunk);
        })?;
        self.conclude(contents, place, planned)?;
        Ok(canonical.finish())
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
            let Some(Job { place, progress }) = job else { return };
            let outcome = match self.hash(contents, place, &progress) {
                Ok(()) => Progress::Verified,
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

    fn hash(
        &self,
        contents: &Contents,
        place: Place,
        progress: &watch::Sender<Progress>,
    ) -> Result<(), Unreadable> {
        let mut hash = ContentHash::new(contents.digest(place).algorithm());
        each_chunk(contents, place, |chunk, read_bytes| {
            hash.update(chunk);
            progress.send_replace(Progress::Hashed(read_bytes));
        })?;
        self.conclude(contents, place, hash)
    }

    /// Notes whether the bytes of a content have its digest. The first to find a fault logs it.
    fn conclude(&self, contents: &Contents, place: Place, hash: ContentHash) -> Result<(), Unreadable> {
        let actual = hash.finish();
        let known = match actual == *contents.digest(place) {
            true => Known::Verified,
            false => Known::Damaged(Arc::new(contents.wrong_digest(place, &actual))),
        };
        let fault = match &known {
            Known::Damaged(fault) => Some(fault.clone()),
            Known::Running(_) | Known::Verified => None,
        };
        let before = self.state.lock().known.insert(place, known);
        let Some(fault) = fault else { return Ok(()) };
        if !matches!(before, Some(Known::Damaged(_))) {
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
    /// The next check that is followed. Those before it are forgotten; a later request begins them again.
    fn next_job(&mut self) -> Option<Job> {
        while let Some(job) = self.waiting.pop_front() {
            let is_noted = matches!(self.known.get(&job.place), Some(Known::Running(_)));
            // The note has a receiver too.
            if job.progress.receiver_count() > usize::from(is_noted) {
                return Some(job);
            }
            if is_noted {
                self.known.remove(&job.place);
            }
        }
        None
    }
}

impl Unreadable {
    pub(crate) fn medium(error: sampan_bundle::Error) -> Self {
        Self::Medium(Arc::new(error))
    }
}

/// Reads a content from its beginning to its end. `take` gets each chunk, and the number of bytes up to its end. Blocks.
fn each_chunk(contents: &Contents, place: Place, mut take: impl FnMut(&[u8], u64)) -> Result<(), Unreadable> {
    let range = contents.range(place);
    let mut buffer = vec![0; CHUNK];
    let mut offset = range.start;
    while offset < range.end {
        let len = buffer.len().min(usize::try_from(range.end - offset).unwrap_or(usize::MAX));
        let read = contents.files(place).read_at(offset, &mut buffer[..len]);
        match read.map_err(Unreadable::medium)? {
            0 => return Err(Unreadable::medium(ends_early(contents, place))),
            read => {
                offset += read as u64;
                take(&buffer[..read], offset - range.start);
            }
        }
    }
    Ok(())
}

/// The file was cut after it was opened.
pub(crate) fn ends_early(contents: &Contents, place: Place) -> sampan_bundle::Error {
    contents.fault(place, "the file ends within it".to_owned()).into()
}

/// How many checks run at a time: a processor hashes faster than a stick can be read.
fn max_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
