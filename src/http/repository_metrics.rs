//! `RepositoryMetrics`: pulls and pushes per repository, for a limited number of repositories.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;
use parking_lot::RwLock;
use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, Opts};

use super::metrics::Done;
use super::route::Endpoint;

/// The label of all repositories beyond the limit; no repository can have this name.
const OTHERS: &str = "_others";

/// Counters per repository. The first repositories used get their own; all others share one.
#[derive(Debug)]
pub(super) struct RepositoryMetrics {
    limit: usize,
    pulls: IntCounterVec,
    pushes: IntCounterVec,
    sent: IntCounterVec,
    /// A blocking lock: held for a lookup, never across an await.
    known: RwLock<HashMap<String, Arc<OfRepository>>>,
}

#[derive(Debug)]
struct OfRepository {
    pulls: IntCounter,
    pushes: IntCounter,
    sent: IntCounter,
}

impl RepositoryMetrics {
    pub(super) fn new(limit: usize) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| IntCounterVec::new(Opts::new(name, help), &["repository"]);
        Ok(Self {
            limit,
            pulls: counter("sampan_repository_pulls_total", "Manifests fetched from a repository.")?,
            pushes: counter("sampan_repository_pushes_total", "Manifests stored in a repository.")?,
            sent: counter(
                "sampan_repository_sent_bytes_total",
                "Bytes of blobs and manifests sent from a repository.",
            )?,
            known: RwLock::default(),
        })
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![Box::new(self.pulls.clone()), Box::new(self.pushes.clone()), Box::new(self.sent.clone())]
    }

    /// Counts a successful request. A failed one does not count: its repository may not exist.
    pub(super) fn ended(&self, repository: &str, endpoint: Endpoint, done: &Done<'_>) {
        if !(200..300).contains(&done.status) {
            return;
        }
        match (endpoint, done.method) {
            (Endpoint::Manifest, &Method::GET) => {
                let counts = self.of(repository);
                counts.pulls.inc();
                counts.sent.inc_by(done.sent);
            }
            (Endpoint::Blob, &Method::GET) => self.of(repository).sent.inc_by(done.sent),
            (Endpoint::Manifest, &Method::PUT) => self.of(repository).pushes.inc(),
            _ => {}
        }
    }

    fn of(&self, repository: &str) -> Arc<OfRepository> {
        if let Some(counts) = self.known.read().get(repository) {
            return Arc::clone(counts);
        }
        let mut known = self.known.write();
        let name =
            if known.contains_key(repository) || known.len() < self.limit { repository } else { OTHERS };
        let counts = known.entry(name.to_owned()).or_insert_with(|| {
            Arc::new(OfRepository {
                pulls: self.pulls.with_label_values(&[name]),
                pushes: self.pushes.with_label_values(&[name]),
                sent: self.sent.with_label_values(&[name]),
            })
        });
        Arc::clone(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_beyond_the_limit_share_a_counter() {
        let metrics = RepositoryMetrics::new(2).unwrap();
        let done = Done {
            method: &Method::GET,
            status: 200,
            seconds: 0.1,
            request_size: 60,
            received: 0,
            sent: 500,
        };
        metrics.ended("made-up", Endpoint::Manifest, &Done { status: 404, ..done });
        for repository in ["a", "b", "c", "d", "a"] {
            metrics.ended(repository, Endpoint::Manifest, &done);
        }
        metrics.ended("b", Endpoint::Blob, &done);
        metrics.ended("b", Endpoint::Manifest, &Done { method: &Method::PUT, status: 201, ..done });
        let pulls = |name: &str| metrics.pulls.with_label_values(&[name]).get();
        assert_eq!((pulls("a"), pulls("b"), pulls(OTHERS)), (2, 1, 2));
        assert_eq!(metrics.sent.with_label_values(&["b"]).get(), 1000);
        assert_eq!(metrics.pushes.with_label_values(&["b"]).get(), 1);
        assert_eq!(metrics.known.read().len(), 3);
    }
}
