//! `HealthStatus`: the current problems.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;

use super::disk_space::NAME as DISK_SPACE;

/// The current problems, each with its reason. Cheap to clone; clones share the state.
///
/// Reading it costs one atomic load, because every request reads it.
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

    /// Records that a check fails.
    pub fn fail(&self, check: &str, reason: &str) {
        self.inner.failing.add(check, reason);
    }

    /// Records that a check succeeds.
    pub fn pass(&self, check: &str) {
        self.inner.failing.remove(check);
    }

    /// Why new uploads are refused; `None` if they are accepted.
    pub fn writes_blocked_by(&self) -> Option<String> {
        self.inner.unwritable.0.load().values().next().cloned()
    }

    /// The failing checks and those that report a read-only store, with their reasons. Excludes a lack of
    /// space.
    pub fn ailing(&self) -> BTreeMap<String, String> {
        let mut ailing = BTreeMap::clone(&self.inner.unwritable.0.load());
        ailing.remove(DISK_SPACE);
        ailing.extend(BTreeMap::clone(&self.failing()));
        ailing
    }

    /// Refuses new uploads on behalf of `check`. Returns whether that is new.
    pub fn refuse_writes(&self, check: &str, reason: &str) -> bool {
        self.inner.unwritable.add(check, reason)
    }

    /// Withdraws the refusal of `check`. Returns whether that is new.
    pub fn allow_writes(&self, check: &str) -> bool {
        self.inner.unwritable.remove(check)
    }

    /// Records the start of the shutdown: running requests finish, and balancers should send no more.
    pub fn stop(&self) {
        self.inner.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Why balancers should send no requests, in words safe for the public: the reasons of checks contain
    /// addresses and paths.
    pub fn unready_to_strangers(&self) -> Option<&'static str> {
        if self.inner.is_stopping.load(Ordering::Relaxed) {
            return Some("stopping");
        }
        (!self.is_healthy()).then_some("a health check fails")
    }

    /// Why balancers should send no requests, for administrators.
    pub fn unready(&self) -> Option<String> {
        if self.inner.is_stopping.load(Ordering::Relaxed) {
            return Some("the registry is stopping".to_owned());
        }
        let failing = self.inner.failing.0.load();
        let (check, reason) = failing.iter().next()?;
        Some(format!("{check}: {reason}"))
    }
}

/// Reasons by name.
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
        let health = HealthStatus::default();
        assert!(health.is_healthy());
        health.fail("disk", "full");
        health.fail("disk", "fuller");
        health.fail("network", "gone");
        health.pass("network");
        assert_eq!(*health.failing(), BTreeMap::from([("disk".to_owned(), "fuller".to_owned())]));
        assert_eq!(health.unready().unwrap(), "disk: fuller");
        assert_eq!(health.unready_to_strangers().unwrap(), "a health check fails");
        health.pass("disk");
        assert!(health.is_healthy() && health.unready().is_none());
    }

    #[test]
    fn a_write_problem_leaves_the_registry_healthy() {
        let health = HealthStatus::default();
        assert!(health.refuse_writes("disk", "full"));
        assert!(!health.refuse_writes("disk", "still full"));
        assert_eq!(health.writes_blocked_by().unwrap(), "still full");
        assert!(health.is_healthy() && health.unready().is_none());
        assert!(health.allow_writes("disk") && !health.allow_writes("disk"));
        assert_eq!(health.writes_blocked_by(), None);
    }

    #[test]
    fn a_stopping_registry_is_healthy_but_not_ready() {
        let health = HealthStatus::default();
        health.stop();
        assert!(health.is_healthy() && health.unready().is_some());
        assert_eq!(health.unready_to_strangers().unwrap(), "stopping");
    }
}
