//! `Threads`: a bounded number of threads that may wait for a medium.

use std::sync::Arc;

use sampan_driver::{DriverPath, Operation, Result, may_block};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::driver::error;

/// Runs work that waits for a medium, a limited number of pieces at once. Other users of the runtime's threads, such as logins,
/// do not wait for a medium that hangs.
#[derive(Debug)]
pub(crate) struct Threads {
    permits: Arc<Semaphore>,
}

/// As many as the filesystem driver has by default.
const MAX_THREADS: usize = 100;

impl Default for Threads {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(MAX_THREADS)) }
    }
}

impl Threads {
    /// Runs work on another thread unless this one may block. Work that has begun ends even if the wait is dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        operation: Operation,
        path: &DriverPath,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        if may_block() {
            return Ok(work());
        }
        let permit = self.permit(operation, path).await?;
        let done = permit.start(work).await;
        done.map_err(|failed| error(operation, path).with_source(failed))
    }

    /// Waits until work may begin.
    pub(crate) async fn permit(&self, operation: Operation, path: &DriverPath) -> Result<Permit> {
        let permit = self.permits.clone().acquire_owned().await;
        permit.map(Permit).map_err(|closed| error(operation, path).with_source(closed))
    }
}

/// The permission to begin one piece of work, which keeps it until its end.
pub(crate) struct Permit(OwnedSemaphorePermit);

impl Permit {
    /// Begins the work now.
    pub(crate) fn start<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let Self(permit) = self;
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn clients_that_go_away_do_not_exceed_the_limit() {
        let (threads, root) = (Threads::default(), DriverPath::root());
        let mut releases = Vec::new();
        for _ in 0..MAX_THREADS {
            let (release, released) = mpsc::channel::<()>();
            releases.push(release);
            let work = threads.run(Operation::Read, &root, move || released.recv());
            assert!(work.now_or_never().is_none());
        }
        assert!(threads.run(Operation::Read, &root, || ()).now_or_never().is_none());
        assert_eq!(threads.permits.available_permits(), 0);
        drop(releases);
        threads.run(Operation::Read, &root, || ()).await.unwrap();
    }
}
