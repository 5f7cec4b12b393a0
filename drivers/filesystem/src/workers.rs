//! `Workers`: threads of tokio's blocking pool that take one job after another.
//!
//! A job of `spawn_blocking` wakes its caller before its thread counts as idle, so a caller with another job at once gets
//! another thread: four clients that listed directories had 250, of some 150 KiB each. A worker counts as idle
//! before it hands over a result.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// How long an idle worker waits for the next job. Then tokio may end its thread, or use it for other work.
const IDLE_TIMEOUT: Duration = Duration::from_millis(10);

/// Runs a job, and returns the function that hands over its result.
type Work = Box<dyn FnOnce() -> HandOver + Send>;
type HandOver = Box<dyn FnOnce() + Send>;

/// Starts workers, and ends them when it is dropped.
#[derive(Debug)]
pub(crate) struct Workers {
    shared: Arc<Shared>,
    linger: Duration,
}

/// A plain mutex: held to move a pointer.
#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Jobs for workers that counted as idle.
    jobs: VecDeque<Work>,
    /// Workers that wait for a job, or are about to, without those that `jobs` has one for.
    idle: usize,
    /// No job follows.
    is_closed: bool,
}

impl Default for Workers {
    fn default() -> Self {
        Self { shared: Arc::default(), linger: IDLE_TIMEOUT }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.queue.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl Workers {
    /// Starts `job` on an idle worker, or on a new one if there is none. `hand_over` gets its result, or its panic.
    ///
    /// Both are dropped if the runtime shuts down before the job begins.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
        hand_over: impl FnOnce(Result<T, Box<dyn Any + Send>>) + Send + 'static,
    ) {
        let work: Work = Box::new(move || {
            let result = catch_unwind(AssertUnwindSafe(job));
            Box::new(move || hand_over(result))
        });
        let mut queue = self.shared.queue.lock();
        if queue.idle > 0 {
            queue.idle -= 1;
            queue.jobs.push_back(work);
            drop(queue);
            self.shared.changed.notify_one();
        } else {
            drop(queue);
            let (shared, linger) = (Arc::clone(&self.shared), self.linger);
            tokio::task::spawn_blocking(move || shared.work(work, linger));
        }
    }
}

impl Shared {
    fn work(&self, first: Work, linger: Duration) {
        let mut next = Some(first);
        while let Some(work) = next {
            let hand_over = work();
            self.queue.lock().idle += 1;
            hand_over();
            next = self.next(linger);
        }
    }

    /// Waits for a job as an idle worker; `None` if there was none for a while.
    fn next(&self, linger: Duration) -> Option<Work> {
        let deadline = Instant::now() + linger;
        let mut queue = self.queue.lock();
        loop {
            if let Some(work) = queue.jobs.pop_front() {
                return Some(work);
            }
            if queue.is_closed
                || self.changed.wait_until(&mut queue, deadline).timed_out() && queue.jobs.is_empty()
            {
                queue.idle -= 1;
                return None;
            }
        }
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Queue").field("jobs", &self.jobs.len()).field("idle", &self.idle).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use tokio::sync::oneshot;
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn as_many_callers_as_there_are_have_as_many_threads_at_most() {
        const CALLERS: usize = 4;
        // Long enough for any machine; they end with `workers`.
        let workers = Arc::new(lingering(Duration::from_secs(3600)));
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let workers = Arc::clone(&workers);
            callers.spawn(async move {
                let mut threads = HashSet::new();
                for _ in 0..2000 {
                    let (sender, receiver) = oneshot::channel();
                    workers.start(|| thread::current().id(), |result| _ = sender.send(result.unwrap()));
                    threads.insert(receiver.await.unwrap());
                }
                threads
            });
        }
        let threads: HashSet<_> = callers.join_all().await.into_iter().flatten().collect();
        assert!(threads.len() <= CALLERS, "{} threads", threads.len());
    }

    #[tokio::test]
    async fn an_idle_worker_ends_with_its_pool() {
        let workers = lingering(Duration::from_secs(3600));
        let (sender, receiver) = oneshot::channel();
        workers.start(|| (), |_result| _ = sender.send(()));
        receiver.await.unwrap();
        let shared = Arc::clone(&workers.shared);
        drop(workers);
        while Arc::strong_count(&shared) > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(shared.queue.lock().idle, 0);
    }

    #[tokio::test]
    async fn a_worker_that_waited_in_vain_is_followed_by_another_one() {
        let workers = lingering(Duration::ZERO);
        for number in 0..100 {
            let (sender, receiver) = oneshot::channel();
            workers.start(move || number, |result| _ = sender.send(result.unwrap()));
            assert_eq!(receiver.await.unwrap(), number);
        }
    }

    fn lingering(linger: Duration) -> Workers {
        Workers { shared: Arc::default(), linger }
    }
}
