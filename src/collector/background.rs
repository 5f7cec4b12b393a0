//! Work on a thread of its own that gives way to those that serve.

use std::future::Future;
use std::io;
use std::panic::resume_unwind;

use sampan_driver::allow_blocking;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// How far the thread stands back, in the scale of nice(2): one that serves and wants the same processor gets three quarters of it.
/// The remaining quarter is why a collection ends on the busiest machine: what it has announced to delete must not stay announced.
const NICENESS: i32 = 5;

/// Does `work` on a thread of its own, and waits for what comes of it. When nobody waits any more, the work is dropped where it
/// next waits for something.
///
/// # Errors
///
/// When the system has no thread for it.
pub(super) async fn in_background<T, F>(work: F) -> io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let runtime = Handle::current();
    let (mut done, outcome) = oneshot::channel();
    let thread = std::thread::Builder::new().name("collector".to_owned()).spawn(move || {
        stand_back();
        allow_blocking(|| {
            runtime.block_on(async {
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
            Ok(()) => Err(io::Error::other("its thread ended without a word")),
        },
    }
}

/// On Linux it is said of this thread alone.
fn stand_back() {
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "the thread that collects does not stand back behind those that serve");
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn work_has_a_thread_of_its_own_that_may_wait() {
        let here = std::thread::current().id();
        let (there, may_block, answer) = in_background(async move {
            // A timer of the runtime that serves.
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            (std::thread::current().id(), sampan_driver::may_block(), 42)
        })
        .await
        .unwrap();
        assert_ne!(there, here);
        assert!(may_block);
        assert_eq!(answer, 42);
    }

    #[tokio::test]
    async fn the_thread_stands_back_and_no_other_does() {
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
    async fn work_that_nobody_waits_for_is_dropped() {
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
