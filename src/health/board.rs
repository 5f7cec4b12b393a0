//! `Board`: the failing checks, for whoever asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

/// The checks that fail at the moment, each with its reason. Cheap to clone; all clones are the same board.
///
/// Asking it costs a load: it is asked at each request.
#[derive(Clone, Debug, Default)]
pub struct Board {
    failing: Arc<ArcSwap<BTreeMap<String, String>>>,
}

impl Board {
    /// Whether no check fails.
    pub fn is_healthy(&self) -> bool {
        self.failing.load().is_empty()
    }

    /// The failing checks by name, with their reasons.
    pub fn failing(&self) -> Arc<BTreeMap<String, String>> {
        self.failing.load_full()
    }

    /// Notes that a check fails, and why.
    pub fn fail(&self, check: &str, reason: &str) {
        self.failing.rcu(|failing| {
            let mut failing = BTreeMap::clone(failing);
            failing.insert(check.to_owned(), reason.to_owned());
            failing
        });
    }

    /// Notes that a check does not fail.
    pub fn pass(&self, check: &str) {
        if !self.failing.load().contains_key(check) {
            return;
        }
        self.failing.rcu(|failing| {
            let mut failing = BTreeMap::clone(failing);
            failing.remove(check);
            failing
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_fails_until_it_passes() {
        let board = Board::default();
        assert!(board.is_healthy());
        board.fail("disk", "full");
        board.fail("disk", "fuller");
        board.fail("network", "gone");
        board.pass("network");
        assert_eq!(*board.failing(), BTreeMap::from([("disk".to_owned(), "fuller".to_owned())]));
        board.pass("disk");
        assert!(board.is_healthy());
    }
}
