//! `Tasks`: the work of a running registry beside its requests, by name.

use std::collections::HashMap;
use std::future::pending;

use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

/// Tasks that run until the registry stops. One that ends earlier, by a panic, is reported by its name; requests and the
/// other tasks continue.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    running: JoinSet<()>,
    names: HashMap<Id, &'static str>,
    stop: CancellationToken,
}

impl Tasks {
    /// Starts work that the end of the registry may cut at any `await`.
    pub(super) fn spawn(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.spawn_to_end(name, async move { _ = stop.run_until_cancelled(work).await });
    }

    /// Starts work that ends in its own way, soon after the registry begins to stop.
    pub(super) fn spawn_to_end(
        &mut self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let task = self.running.spawn(work);
        self.names.insert(task.id(), name);
    }

    /// Reports tasks that end before the registry does. Runs for ever.
    pub(super) async fn watch(&mut self) {
        loop {
            let failure = self.failure().await;
            tracing::error!("{failure}");
        }
    }

    /// Waits until a task ends, and says which one and why.
    async fn failure(&mut self) -> String {
        match self.running.join_next_with_id().await {
            Some(Ok((task, ()))) => format!("{} has ended unexpectedly", self.name(task)),
            Some(Err(error)) => format!("{} ended unexpectedly: {error}", self.name(error.id())),
            None => pending().await,
        }
    }

    /// Stops the tasks, and waits for their end.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next_with_id().await {
            if let Err(error) = ended {
                tracing::error!("{} ended unexpectedly: {error}", self.name(error.id()));
            }
        }
    }

    fn name(&self, task: Id) -> &'static str {
        self.names.get(&task).copied().unwrap_or("a task")
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_reported_by_name_and_ends_nothing_else() {
        let (held, dropped) = oneshot::channel::<()>();
        let mut tasks = Tasks::default();
        tasks.spawn("the purge of uploads", async { panic!("as planned") });
        tasks.spawn("a watch", async move {
            let _held = held;
            pending::<()>().await;
        });
        let failure = tasks.failure().await;
        assert!(failure.starts_with("the purge of uploads ended unexpectedly: "), "{failure}");
        assert!(!dropped.is_terminated(), "the other task continues");
        tasks.stop().await;
        assert!(dropped.await.is_err());
    }
}
