//! `RecentMisses`: paths where nothing was staged a moment ago.
//!
//! Before the first bytes of an upload the engine looks for staged ones; the start of the upload need not repeat that lookup.
//! An entry only saves a request: saving the state reveals a wrong one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sampan_driver::DriverPath;

/// The latest misses. A blocking mutex, since it is held for a scan of a few hundred entries.
#[derive(Debug, Default)]
pub(crate) struct RecentMisses(Mutex<VecDeque<(DriverPath, Instant)>>);

impl RecentMisses {
    /// Records that nothing is staged at `path`.
    pub(crate) fn note(&self, path: &DriverPath) {
        let mut notes = self.0.lock();
        if notes.len() == CAPACITY {
            notes.pop_front();
        }
        notes.push_back((path.clone(), Instant::now()));
    }

    /// Whether nothing was staged at `path` a moment ago. Removes the entry.
    pub(crate) fn take(&self, path: &DriverPath) -> bool {
        let mut notes = self.0.lock();
        let Some(index) = notes.iter().position(|(noted, _)| noted == path) else { return false };
        notes.remove(index).is_some_and(|(_, when)| when.elapsed() < FRESH)
    }

    /// Removes `path`, since something is staged there now.
    pub(crate) fn forget(&self, path: &DriverPath) {
        self.0.lock().retain(|(noted, _)| noted != path);
    }
}

const CAPACITY: usize = 256;

const FRESH: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn path(number: usize) -> DriverPath {
        format!("/{}/{number}", "a".repeat(900)).parse().unwrap()
    }

    #[test]
    fn a_few_misses_are_noted_and_each_note_is_used_once() {
        let misses = RecentMisses::default();
        (0..10 * CAPACITY).for_each(|number| misses.note(&path(number)));
        assert_eq!(misses.0.lock().len(), CAPACITY);
        let last = path(10 * CAPACITY - 1);
        assert!(!misses.take(&path(0)) && misses.take(&last) && !misses.take(&last));
        let other = path(10 * CAPACITY - 2);
        misses.forget(&other);
        assert!(!misses.take(&other));
    }
}
