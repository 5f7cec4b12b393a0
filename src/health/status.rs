//! `HealthStatus`: the failing checks, for whoever asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;

use super::disk_space::NAME as DISK_SPACE;

/// What is not well at the moment, each with its reason. Cheap to clone; all clones are the same board.
///
/// Asking it costs a load: it is asked at each request.
#[derive(Clone, Debug, Default)]
pub struct HealthStatus {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    failing: Reasons,
    unwritable: Reasons,
    is_stopping: AtomicBool,
}

impl HealthStatus {
    /// Whether no check fails.
    pub fn is_healthy(&self) -> bool {
        self.inner.failing.0.load().is_empty()
    }

    /// The failing checks by name, with their reasons.
    pub fn failing(&self) -> Arc<BTreeMap<String, String>> {
        self.inner.failing.0.load_full()
    }

    /// Notes that a check fails, and why.
    pub fn fail(&self, check: &str, reason: &str) {
        self.inner.failing.add(check, reason);
    }

    /// Notes that a check does not fail.
    pub fn pass(&self, check: &str) {
        self.inner.failing.remove(check);
    }

    /// Why no upload should be begun, if that is so.
    pub fn writes_blocked_by(&self) -> Option<String> {
        self.inner.unwritable.0.load().values().next().cloned()
    }

    /// The checks that fail, and those that say that the store takes no writes, with their reasons. A lack of room is none.
    pub fn ailing(&self) -> BTreeMap<String, String> {
        let mut ailing = BTreeMap::clone(&self.inner.unwritable.0.load());
        ailing.remove(DISK_SPACE);
        ailing.extend(BTreeMap::clone(&self.failing()));
        ailing
    }

    /// Notes that no upload should be begun, and why. Tells whether that is new.
    pub fn refuse_writes(&self, check: &str, reason: &str) -> bool {
        self.inner.unwritable.add(check, reason)
    }

    /// Notes that uploads may be begun as far as `check` is concerned. Tells whether that is new.
    pub fn allow_writes(&self, check: &str) -> bool {
        self.inner.unwritable.remove(check)
    }

    /// Notes that the registry is about to end: it finishes what was begun, and should be sent nothing more.
    pub fn stop(&self) {
        self.inner.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Why no requests should be sent here, if that is so, in words for strangers: the reasons of checks hold addresses and
    /// paths.
    pub fn unready_to_strangers(&self) -> Option<&'static str> {
        if self.inner.is_stopping.load(Ordering::Relaxed) {
            return Some("stopping");
        }
        (!self.is_healthy()).then_some("a health check fails")
    }

    /// Why no requests should be sent here, if that is so, for those who run the registry.
    pub fn unready(&self) -> Option<String> {
        if self.inner.is_stopping.load(Ordering::Relaxed) {
            return Some("the registry is stopping".to_owned());
        }
        let failing = self.inner.failing.0.load();
        let (check, reason) = failing.iter().next()?;
        Some(format!("{check}: {reason}"))
    }
}

/// Names with reasons.
#[derive(Debug, Default)]
struct Reasons(ArcSwap<BTreeMap<String, String>>);

impl Reasons {
    fn add(&self, name: &str, reason: &str) -> bool {
        let before = self.0.rcu(|reasons| {
            let mut reasons = BTreeMap::clone(reasons);
            reasons.insert(name.to_owned(), reason.to_owned());
            reasons
        });
        !before.contains_key(name)
    }

    fn remove(&self, name: &str) -> bool {
        if !self.0.load().contains_key(name) {
            return false;
        }
        self.0.rcu(|reasons| {
            let mut reasons = BTreeMap::clone(reasons);
            reasons.remove(name);
            reasons
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_fails_until_it_passes() {
        let board = HealthStatus::default();
        assert!(board.is_healthy());
        board.fail("disk", "full");
        board.fail("disk", "fuller");
        board.fail("network", "gone");
        board.pass("network");
        assert_eq!(*board.failing(), BTreeMap::from([("disk".to_owned(), "fuller".to_owned())]));
        assert_eq!(board.unready().unwrap(), "disk: fuller");
        assert_eq!(board.unready_to_strangers().unwrap(), "a health check fails");
        board.pass("disk");
        assert!(board.is_healthy() && board.unready().is_none());
    }

    #[test]
    fn what_only_hinders_writing_leaves_it_healthy() {
        let board = HealthStatus::default();
        assert!(board.refuse_writes("disk", "full"));
        assert!(!board.refuse_writes("disk", "still full"));
        assert_eq!(board.writes_blocked_by().unwrap(), "still full");
        assert!(board.is_healthy() && board.unready().is_none());
        assert!(board.allow_writes("disk") && !board.allow_writes("disk"));
        assert_eq!(board.writes_blocked_by(), None);
    }

    #[test]
    fn who_stops_is_healthy_and_not_ready() {
        let board = HealthStatus::default();
        board.stop();
        assert!(board.is_healthy() && board.unready().is_some());
        assert_eq!(board.unready_to_strangers().unwrap(), "stopping");
    }
}
