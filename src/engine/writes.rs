//! `Writes`: whether a registry writes to its store, and the writes that are running.
//!
//! A write that began before the registry became read-only continues to its end. What has to know that the store is at rest
//! waits for it. Bytes of an upload are not counted: a client may take hours, and until their publication they mean nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// The writes of a registry.
#[derive(Debug)]
pub(crate) struct Writes {
    is_read_only: AtomicBool,
    running: watch::Sender<usize>,
}

/// A write; dropping this ends it.
#[derive(Debug)]
pub(crate) struct RunningWrite(Arc<Writes>);

impl Writes {
    pub(crate) fn new(is_read_only: bool) -> Arc<Self> {
        Arc::new(Self { is_read_only: AtomicBool::new(is_read_only), running: watch::Sender::new(0) })
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.is_read_only.load(Ordering::SeqCst)
    }

    pub(crate) fn set_read_only(&self, is_read_only: bool) {
        self.is_read_only.store(is_read_only, Ordering::SeqCst);
    }

    /// Counts a write. Call this before the look at the mode: then a change of the mode either is seen, or sees the write.
    pub(crate) fn count(self: &Arc<Self>) -> RunningWrite {
        self.running.send_modify(|running| *running += 1);
        RunningWrite(self.clone())
    }

    /// How many writes are running.
    pub(crate) fn running(&self) -> usize {
        *self.running.borrow()
    }

    /// Waits until no write is running.
    pub(crate) async fn ended(&self) {
        // The sender lives as long as this.
        let _ = self.running.subscribe().wait_for(|running| *running == 0).await;
    }
}

impl Drop for RunningWrite {
    fn drop(&mut self) {
        self.0.running.send_modify(|running| *running -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn the_end_of_all_writes_is_awaited() {
        let writes = Writes::new(false);
        assert!(writes.ended().now_or_never().is_some());
        let (one, other) = (writes.count(), writes.count());
        let ended = writes.ended();
        tokio::pin!(ended);
        assert!(ended.as_mut().now_or_never().is_none());
        drop(one);
        assert_eq!((ended.as_mut().now_or_never(), writes.running()), (None, 1));
        drop(other);
        assert!(ended.now_or_never().is_some());
    }
}
