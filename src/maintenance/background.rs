//! Runs work on a thread of its own with low priority.

use std::future::Future;
use std::io;
use std::panic::resume_unwind;

use sampan_driver::allow_blocking;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::blocking::lower_priority;

/// The thread's niceness, see nice(2): a serving thread on the same processor gets three quarters of it. The
/// remaining quarter lets a collection finish on the busiest machine, because pending deletions must not stay
/// pending.
const NICENESS: i32 = 5;

/// Runs `work` on a thread of its own and waits for its result. If the future is dropped, `work` is dropped
/// at its next await.
///
/// # Errors
///
/// The system does not start a thread.
pub(super) async fn in_background<T, F>(work: F) -> io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    in_background_by(move || work).await
}

/// The same for work that stays on the thread on which `begin` begins it.
///
/// # Errors
///
/// As [`in_background`].
pub(super) async fn in_background_by<T, F>(begin: impl FnOnce() -> F + Send + 'static) -> io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let runtime = Handle::current();
    let (mut done, outcome) = oneshot::channel();
    let thread = std::thread::Builder::new().name("collector".to_owned()).spawn(move || {
        lower_priority(NICENESS);
        allow_blocking(|| {
            runtime.block_on(async {
                let work = begin();
                tokio::select! {
                    biased;
                    () = done.closed() => {}
                    output = work => drop(done.send(output)),
                }
            });
        });
    })?;
    match outcome.await {
        Ok(output) => Ok(output),
        Err(_unsent) => match thread.join() {
            Err(panic) => resume_unwind(panic),
            Ok(()) => Err(io::Error::other("its thread ended without a result")),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn work_has_its_own_thread_that_may_block() {
        let here = std::thread::current().id();
        let (there, may_block, answer) = in_background(async move {
            // A timer of the serving runtime.
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            (std::thread::current().id(), sampan_driver::may_block(), 42)
        })
        .await
        .unwrap();
        assert_ne!(there, here);
        assert!(may_block);
        assert_eq!(answer, 42);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn only_the_works_thread_has_low_priority() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        let there = in_background(async move { niceness() }).await.unwrap();
        assert_eq!(there, (before + NICENESS).min(19));
        assert_eq!(niceness(), before);
    }

    #[tokio::test]
    #[should_panic(expected = "as a bug would")]
    async fn a_panic_is_that_of_who_waits() {
        in_background(async { panic!("as a bug would") }).await.unwrap();
    }

    #[tokio::test]
    async fn work_is_dropped_with_its_future() {
        let (held, dropped) = oneshot::channel::<()>();
        let (began, begun) = oneshot::channel();
        let work = in_background(async move {
            let _held = held;
            began.send(()).unwrap();
            pending::<()>().await;
        });
        tokio::select! {
            _ = work => unreachable!("it never ends"),
            _ = begun => {}
        }
        assert!(dropped.await.is_err());
    }
}
