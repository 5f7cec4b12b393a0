//! `Statistics`: a server's counters, for its metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of a running server. Cheap to clone; clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Statistics(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    accepted: AtomicU64,
    closed: AtomicU64,
    failed_handshakes: AtomicU64,
    cut: AtomicU64,
}

impl Statistics {
    /// Connections accepted so far.
    pub fn accepted(&self) -> u64 {
        self.0.accepted.load(Ordering::Relaxed)
    }

    /// Connections open now.
    pub fn open(&self) -> u64 {
        self.accepted().saturating_sub(self.0.closed.load(Ordering::Relaxed))
    }

    /// Failed TLS handshakes.
    pub fn failed_handshakes(&self) -> u64 {
        self.0.failed_handshakes.load(Ordering::Relaxed)
    }

    /// Connections ended because the client was too slow.
    pub fn cut(&self) -> u64 {
        self.0.cut.load(Ordering::Relaxed)
    }

    /// Counts a connection as open until the guard is dropped.
    pub(super) fn opened(&self) -> OpenConnection {
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
        OpenConnection(self.clone())
    }

    pub(super) fn handshake_failed(&self) {
        self.0.failed_handshakes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn connection_cut(&self) {
        self.0.cut.fetch_add(1, Ordering::Relaxed);
    }
}

/// An open connection.
pub(super) struct OpenConnection(Statistics);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.0.closed.fetch_add(1, Ordering::Relaxed);
    }
}
