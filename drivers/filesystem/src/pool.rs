//! `Pool`: the bounded number of threads that may wait for the disk.

use std::sync::Arc;

use sampan_driver::may_block;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::error::Failure;

/// Runs blocking calls, at most so many at once.
///
/// A job keeps its permit until it has ended, even when its caller is gone: dropped requests cannot exceed the bound.
#[derive(Debug)]
pub(crate) struct Pool {
    permits: Arc<Semaphore>,
}

impl Pool {
    pub(crate) fn new(max_threads: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(max_threads.min(Semaphore::MAX_PERMITS))) }
    }

    /// Runs `job` and waits for what it returns. The job ends even if the wait is given up.
    ///
    /// On a thread that may wait it runs right there; such a thread is a bound itself.
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

    /// A permit, if there is one free now.
    pub(crate) fn try_permit(&self) -> Option<Permit> {
        Arc::clone(&self.permits).try_acquire_owned().ok().map(Permit)
    }
}

/// The right to run one job.
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

/// A job under way.
#[derive(Debug)]
pub(crate) struct Job<T>(JoinHandle<Result<T, Failure>>);

impl<T> Job<T> {
    pub(crate) fn has_ended(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits for the end of the job. A wait that was given up may be begun again; one that has ended must not.
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
    async fn a_job_keeps_its_seat_until_it_ends_even_if_nobody_waits() {
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
