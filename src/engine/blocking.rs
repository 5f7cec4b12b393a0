//! `on_blocking_pool`: work for the processor beside the threads that serve requests.

use tokio::task::spawn_blocking;

/// Does `work` on a thread that may block; propagates its panic. If the future is dropped, the work goes on to its end.
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
