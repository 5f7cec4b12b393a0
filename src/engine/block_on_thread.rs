//! `block_on_thread`: work that may block, on a thread beside the caller's task.

use std::panic::resume_unwind;

use sampan_driver::allow_blocking;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio_util::task::AbortOnDropHandle;

/// Does `work` on a thread of its own; `None` if the runtime is shutting down. The thread finishes the work that it has begun,
/// even if the caller is dropped, so the work must only read.
pub(crate) async fn block_on_thread<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let runtime = Handle::current();
    let thread = spawn_blocking(move || allow_blocking(|| runtime.block_on(work)));
    match AbortOnDropHandle::new(thread).await {
        Ok(result) => Some(result),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_cancelled) => None,
        },
    }
}
