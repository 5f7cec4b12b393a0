//! `Runs`: what one process has seen of the collection runs in its store.
//!
//! A run counts as alive for [`LOCK`] after this process *first saw* its last sign of life, by the clock that never jumps:
//! so the clocks of different machines need not agree. Each file has its own name and is written once, so every new name is
//! a sign of life. The deletions of a run stay pending for [`AFTERLIFE`] longer.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::pending::{Batch, PendingDeletions};
use crate::layout::Entry;
use crate::run_id::RunId;

/// How long a collector counts as alive without a sign of life.
pub(crate) const LOCK: Duration = Duration::from_secs(120);

/// How long after that the store may still carry out a deletion that the collector has sent: TCP may deliver bytes that
/// late.
pub(crate) const AFTERLIFE: Duration = Duration::from_secs(15 * 60);

/// Margin for a clock of this machine that is ahead of the store's, when the registry forgets files that are older than the
/// process.
const TOLERANCE: Duration = Duration::from_secs(24 * 60 * 60);

/// A file that a collector has written, and when.
pub(crate) type Sign = (Entry, SystemTime);

/// The runs whose files were in the store at the last check.
#[derive(Debug, Default)]
pub(super) struct Runs(HashMap<Option<RunId>, Run>);

#[derive(Debug)]
struct Run {
    signs: HashSet<Sign>,
    /// When this process first saw the newest sign.
    heard: Instant,
    /// Grace period of the run; unknown until its notice was read.
    grace: Option<Duration>,
    /// The batches of the run that were read.
    batches: HashMap<Sign, Arc<Batch>>,
}

/// The runs and pending deletions that a registry must respect, by one listing.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The shortest known grace period of the runs that matter; `None` if no run matters.
    pub(super) grace: Option<Duration>,
    pub(super) pending: PendingDeletions,
    /// Files to read for the rest of the view.
    pub(super) unread: Vec<Unread>,
}

/// A file to read.
#[derive(Clone, Debug)]
pub(super) enum Unread {
    Notice(Sign),
    Batch(Sign),
}

impl View {
    /// Adds the grace period of a run.
    pub(super) fn add_grace(&mut self, grace: Duration) {
        self.grace = Some(self.grace.map_or(grace, |other| other.min(grace)));
    }
}

/// Returns the run that a file belongs to: `Some(None)` if the collector is of an earlier version, of which one runs at a
/// time; `None` for files that are no signs.
fn run_of(entry: &Entry) -> Option<Option<RunId>> {
    match entry {
        Entry::CollectionNotice(run, _) | Entry::CollectionPending(run, _) => Some(Some(*run)),
        Entry::CollectionDoomed | Entry::CollectionRun => Some(None),
        _ => None,
    }
}

fn is_batch(entry: &Entry) -> bool {
    matches!(entry, Entry::CollectionDoomed | Entry::CollectionPending(..))
}

impl Run {
    fn goes_on(&self) -> bool {
        self.heard.elapsed() < LOCK
    }

    fn is_remembered(&self) -> bool {
        self.heard.elapsed() < LOCK + AFTERLIFE
    }

    fn pending(&self) -> impl Iterator<Item = &Sign> {
        self.signs.iter().filter(|(entry, _)| self.is_remembered() && is_batch(entry))
    }

    /// Whether a registry must respect the run.
    fn must_be_respected(&self) -> bool {
        self.goes_on() || self.pending().next().is_some()
    }
}

impl Runs {
    /// Takes over the files that are in the store now, and returns what follows from them.
    ///
    /// The answer depends on this listing alone, since a listing that began earlier may be taken over later.
    pub(super) fn see(&mut self, signs: Vec<Sign>, now: SystemTime) -> View {
        let mut seen: HashMap<Option<RunId>, HashSet<Sign>> = HashMap::new();
        for sign in signs {
            if let Some(run) = run_of(&sign.0) {
                seen.entry(run).or_default().insert(sign);
            }
        }
        // The files of a run of long ago do not count, unless this process knows the run: then the wall clock has jumped. The
        // newest file decides: a batch may be published for as long as a walk takes.
        let forgotten = now.checked_sub(LOCK + AFTERLIFE + TOLERANCE).unwrap_or(SystemTime::UNIX_EPOCH);
        let is_known = |run: &Option<RunId>| self.0.get(run).is_some_and(Run::is_remembered);
        seen.retain(|run, signs| is_known(run) || signs.iter().any(|(_, modified)| *modified > forgotten));
        self.0.retain(|run, _| seen.contains_key(run));
        for (id, signs) in seen {
            let run = self.0.entry(id).or_insert_with(|| Run {
                signs: HashSet::new(),
                heard: Instant::now(),
                grace: None,
                batches: HashMap::new(),
            });
            if signs.iter().any(|sign| !run.signs.contains(sign)) {
                run.heard = Instant::now();
            }
            run.batches.retain(|sign, _| signs.contains(sign));
            run.signs = signs;
        }
        self.view()
    }

    fn view(&self) -> View {
        let mut view = View::default();
        for run in self.0.values().filter(|run| run.must_be_respected()) {
            for sign in run.pending() {
                match run.batches.get(sign) {
                    Some(batch) => view.pending.add(batch.clone()),
                    None => view.unread.push(Unread::Batch(sign.clone())),
                }
            }
            let notices = run.signs.iter().filter(|(entry, _)| !is_batch(entry));
            match (run.grace, notices.max_by_key(|sign| sign.1)) {
                (Some(grace), _) => view.add_grace(grace),
                (None, Some(notice)) => view.unread.push(Unread::Notice(notice.clone())),
                // Only the pending deletions of this run are left.
                (None, None) => view.add_grace(Duration::ZERO),
            }
        }
        view
    }

    /// Records the grace period of a run.
    pub(super) fn note_grace(&mut self, sign: &Sign, grace: Duration) {
        if let Some(run) = run_of(&sign.0).and_then(|run| self.0.get_mut(&run)) {
            run.grace = Some(grace);
        }
    }

    /// Returns the batch in a file, if it was read.
    pub(super) fn batch(&self, sign: &Sign) -> Option<Arc<Batch>> {
        self.0.get(&run_of(&sign.0)?)?.batches.get(sign).cloned()
    }

    /// Records the batch in a file.
    pub(super) fn note_batch(&mut self, sign: Sign, batch: Arc<Batch>) {
        // Earlier versions reuse this name, so the file is read each time.
        if sign.0 == Entry::CollectionDoomed {
            return;
        }
        if let Some(run) = run_of(&sign.0).and_then(|run| self.0.get_mut(&run)) {
            run.batches.insert(sign, batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(run: RunId, number: u64) -> Sign {
        (Entry::CollectionNotice(run, number), SystemTime::now())
    }

    async fn after(time: Duration) {
        tokio::time::advance(time).await;
    }

    /// Whether anything in the store matters.
    fn must_be_respected(runs: &mut Runs, signs: &[Sign], now: SystemTime) -> bool {
        let view = runs.see(signs.to_vec(), now);
        view.grace.is_some() || !view.unread.is_empty()
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_goes_on_while_there_are_new_signs_of_it() {
        let (mut runs, run, now) = (Runs::default(), RunId::random(), SystemTime::now());
        let (first, second) = (notice(run, 0), notice(run, 1));
        assert!(must_be_respected(&mut runs, std::slice::from_ref(&first), now));
        after(LOCK - Duration::from_secs(1)).await;
        assert!(must_be_respected(&mut runs, &[first, second.clone()], now));
        after(LOCK - Duration::from_secs(1)).await;
        assert!(must_be_respected(&mut runs, std::slice::from_ref(&second), now));
        after(Duration::from_secs(1)).await;
        assert!(!must_be_respected(&mut runs, &[second], now));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_dead_run_was_about_to_delete_is_pending_for_longer() {
        let (mut runs, run, now) = (Runs::default(), RunId::random(), SystemTime::now());
        let signs = [notice(run, 0), (Entry::CollectionPending(run, 7), now)];
        assert_eq!(runs.see(signs.to_vec(), now).unread.len(), 2);
        runs.note_batch(signs[1].clone(), Arc::default());
        runs.note_grace(&signs[0], Duration::from_secs(5));
        after(LOCK + AFTERLIFE - Duration::from_secs(1)).await;
        let view = runs.see(signs.to_vec(), now);
        assert_eq!((view.grace, view.unread.len()), (Some(Duration::from_secs(5)), 0));
        after(Duration::from_secs(1)).await;
        assert!(!must_be_respected(&mut runs, &signs, now));
    }

    #[tokio::test(start_paused = true)]
    async fn files_of_long_ago_mean_nothing() {
        let (mut runs, run, now) = (Runs::default(), RunId::random(), SystemTime::now());
        let signs = [notice(run, 0), (Entry::CollectionRun, now)];
        assert!(!must_be_respected(&mut runs, &signs, now + 2 * TOLERANCE));
        // A clock that is an hour ahead is no reason to forget.
        assert!(must_be_respected(&mut runs, &signs, now + Duration::from_secs(3600)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_jump_of_the_clock_ends_no_run_that_is_known() {
        let (mut runs, run, now) = (Runs::default(), RunId::random(), SystemTime::now());
        let signs = [notice(run, 0), (Entry::CollectionPending(run, 7), now)];
        assert!(must_be_respected(&mut runs, &signs, now));
        let years = 1000 * TOLERANCE;
        assert!(must_be_respected(&mut runs, &signs, now + years));
        after(LOCK + AFTERLIFE).await;
        assert!(!must_be_respected(&mut runs, &signs, now + years));
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_earlier_versions_use_again_is_read_each_time() {
        let (mut runs, now) = (Runs::default(), SystemTime::now());
        let pending = (Entry::CollectionDoomed, now);
        for _ in 0..2 {
            assert_eq!(runs.see(vec![pending.clone()], now).unread.len(), 1);
            runs.note_batch(pending.clone(), Arc::default());
        }
    }
}
