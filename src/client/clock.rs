//! `Clock`: the passing of time for retries and the life of tokens, and the wait between two attempts.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::future::BoxFuture;

type Sleep = dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync;

/// A source of time. Cloning is cheap; a test injects one whose waits return at once.
#[derive(Clone)]
pub struct Clock {
    elapsed: Arc<dyn Fn() -> Duration + Send + Sync>,
    wall: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    sleep: Arc<Sleep>,
}

impl Clock {
    /// The clock of this machine.
    pub fn system() -> Self {
        let start = Instant::now();
        Self::new(move || start.elapsed(), SystemTime::now, |duration| Box::pin(tokio::time::sleep(duration)))
    }

    /// Creates a clock: `elapsed` counts from any origin and never goes back; `wall` compares with dates that servers send;
    /// `sleep` resolves after a duration.
    pub fn new(
        elapsed: impl Fn() -> Duration + Send + Sync + 'static,
        wall: impl Fn() -> SystemTime + Send + Sync + 'static,
        sleep: impl Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Self { elapsed: Arc::new(elapsed), wall: Arc::new(wall), sleep: Arc::new(sleep) }
    }

    /// The time since the clock's origin.
    pub fn elapsed(&self) -> Duration {
        (self.elapsed)()
    }

    pub(crate) fn wall(&self) -> SystemTime {
        (self.wall)()
    }

    /// Waits.
    pub async fn sleep(&self, duration: Duration) {
        (self.sleep)(duration).await;
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").finish_non_exhaustive()
    }
}
