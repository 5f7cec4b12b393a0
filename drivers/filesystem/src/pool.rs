//! `Pool`: a bounded number of threads that may block on the disk.

use std::sync::Arc;

use sampan_driver::may_block;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::error::Failure;

/// Runs blocking calls, a limited number at once.
///
/// A job keeps its permit until it ends, even if its caller is gone: dropped requests cannot exceed the
/// limit.
#[derive(Debug)]
pub(crate) struct Pool {
    permits: Arc<Semaphore>,
}

impl Pool {
    pub(crate) fn new(max_threads: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(max_threads.min(Semaphore::MAX_PERMITS))) }
    }

    /// Runs `job` and waits for its result. The job ends even if the wait is dropped.
    ///
    /// On a thread that may block it runs right there; such threads are bounded themselves.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        if may_block() {
            return job();
        }
        self.permit().await?.start(job).outcome().await
    }

    /// Waits until a job may start.
    pub(crate) async fn permit(&self) -> Result<Permit, Failure> {
        match Arc::clone(&self.permits).acquire_owned().await {
            Ok(permit) => Ok(Permit(permit)),
            Err(_closed) => Err(Failure::ShuttingDown),
        }
    }

    /// A permit, if one is free.
    pub(crate) fn try_permit(&self) -> Option<Permit> {
        Arc::clone(&self.permits).try_acquire_owned().ok().map(Permit)
    }
}

/// The permission to run one job.
pub(crate) struct Permit(OwnedSemaphorePermit);

impl Permit {
    /// Starts `job` now.
    pub(crate) fn start<T: Send + 'static>(
        self,
        job: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Job<T> {
        let Self(permit) = self;
        Job(tokio::task::spawn_blocking(move || {
            let result = job();
            drop(permit);
            result
        }))
    }
}

/// A running job.
#[derive(Debug)]
pub(crate) struct Job<T>(JoinHandle<Result<T, Failure>>);

impl<T> Job<T> {
    pub(crate) fn has_ended(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits for the job's result. A dropped wait may be repeated; a completed one must not.
    pub(crate) async fn outcome(&mut self) -> Result<T, Failure> {
        match (&mut self.0).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_cancelled) => Err(Failure::ShuttingDown),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_job_keeps_its_permit_until_it_ends_even_if_its_caller_is_gone() {
        let pool = Pool::new(1);
        let (release, released) = mpsc::channel::<()>();
        let job = pool.permit().await.unwrap().start(move || {
            released.recv().unwrap();
            Ok(())
        });
        drop(job);
        assert!(pool.try_permit().is_none());
        release.send(()).unwrap();
        pool.run(|| Ok(())).await.unwrap();
    }
}
