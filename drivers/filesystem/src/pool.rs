//! `Pool`: a bounded number of threads that may block on the disk.

use std::sync::Arc;

use sampan_driver::may_block;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::error::Failure;
use crate::workers::Workers;

/// Runs blocking calls, a limited number at once, and on no more threads than that.
///
/// A job keeps its permit until it ends, even if its caller is gone: dropped requests cannot exceed the
/// limit.
#[derive(Debug)]
pub(crate) struct Pool {
    permits: Arc<Semaphore>,
    workers: Arc<Workers>,
}

impl Pool {
    pub(crate) fn new(max_threads: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(max_threads.min(Semaphore::MAX_PERMITS))),
            workers: Arc::default(),
        }
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
            Ok(permit) => Ok(Permit { permit, workers: Arc::clone(&self.workers) }),
            Err(_closed) => Err(Failure::ShuttingDown),
        }
    }

    /// A permit, if one is free.
    pub(crate) fn try_permit(&self) -> Option<Permit> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some(Permit { permit, workers: Arc::clone(&self.workers) })
    }
}

/// The permission to run one job.
pub(crate) struct Permit {
    permit: OwnedSemaphorePermit,
    workers: Arc<Workers>,
}

impl Permit {
    /// Starts `job` now.
    pub(crate) fn start<T: Send + 'static>(
        self,
        job: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Job<T> {
        let (permit, (sender, receiver)) = (self.permit, oneshot::channel());
        self.workers.start(job, move |result| {
            drop(permit);
            // Without a receiver the result is of no use.
            _ = sender.send(result);
        });
        Job(receiver)
    }
}

/// A running job.
#[derive(Debug)]
pub(crate) struct Job<T>(oneshot::Receiver<std::thread::Result<Result<T, Failure>>>);

impl<T> Job<T> {
    pub(crate) fn has_ended(&self) -> bool {
        !self.0.is_empty()
    }

    /// Waits for the job's result. A dropped wait may be repeated; a completed one must not.
    pub(crate) async fn outcome(&mut self) -> Result<T, Failure> {
        match (&mut self.0).await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            // The runtime shut down before the job began.
            Err(_dropped) => Err(Failure::ShuttingDown),
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

    #[tokio::test]
    async fn a_panic_of_a_job_is_one_of_its_caller_and_frees_its_permit() {
        let pool = Arc::new(Pool::new(1));
        let panicking = Arc::clone(&pool);
        let caller = tokio::spawn(async move { panicking.run::<()>(|| panic!("damaged")).await });
        assert!(caller.await.unwrap_err().is_panic());
        pool.run(|| Ok(())).await.unwrap();
    }

    #[test]
    fn a_job_after_the_end_of_its_runtime_is_an_error() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        drop(runtime);
        let mut job = {
            let _context = handle.enter();
            Pool::new(1).try_permit().unwrap().start(|| Ok(()))
        };
        let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(matches!(other.block_on(job.outcome()), Err(Failure::ShuttingDown)));
    }
}
