//! Runs blocking work from async code: on the blocking pool, or on a thread of its own with low priority.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

/// Does `work` on a thread that may block; propagates its panic. If the future is dropped, the work continues to its end.
pub async fn on_blocking_pool<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Runs `work` on a thread of its own, whose niceness is higher by `niceness`, so that requests come first on a busy
/// processor; propagates its panic. The work continues when the future is dropped.
///
/// # Errors
///
/// The system starts no more threads.
pub async fn on_nice_thread<T: Send + 'static>(
    niceness: i32,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (done, outcome) = oneshot::channel();
    let thread = std::thread::Builder::new().name("low priority".to_owned());
    thread.spawn(move || {
        lower_priority(niceness);
        // It may have no receiver any more.
        let _ = done.send(catch_unwind(AssertUnwindSafe(work)));
    })?;
    match outcome.await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(panic)) => resume_unwind(panic),
        Err(unsent) => Err(io::Error::other(unsent)),
    }
}

/// Raises the niceness of the current thread, see nice(2).
#[cfg(target_os = "linux")]
pub fn lower_priority(niceness: i32) {
    if let Err(error) = rustix::process::nice(niceness) {
        tracing::debug!(%error, "cannot lower the priority of a thread");
    }
}

/// Changes nothing: elsewhere than on Linux the niceness is that of the whole process.
#[cfg(not(target_os = "linux"))]
pub fn lower_priority(_: i32) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn only_the_thread_of_the_work_is_nice() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        assert_eq!(on_nice_thread(7, niceness).await.unwrap(), (before + 7).min(19));
        assert_eq!(niceness(), before);
    }

    #[tokio::test]
    #[should_panic(expected = "as a bug would")]
    async fn a_panic_reaches_the_caller() {
        on_nice_thread(1, || panic!("as a bug would")).await.unwrap();
    }
}
