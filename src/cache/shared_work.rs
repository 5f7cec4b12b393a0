//! `SharedWork`: work that several requests want is done once, by a task of its own that outlives each of them.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt, Shared};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::client::Client;
use crate::error::{CacheError, Result};
use crate::ticket::Ticket;

/// The running work by its key.
pub(crate) struct SharedWork<K, V>(Arc<Running<K, V>>);

/// A plain mutex: held to take, add or remove an entry.
type Running<K, V> = Mutex<HashMap<K, (Shared<BoxFuture<'static, Result<V>>>, Arc<Ticket>)>>;

impl<K, V> Default for SharedWork<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Clone + Eq + Hash + Send + 'static, V: Clone + Send + Sync + 'static> SharedWork<K, V> {
    /// The result of the work that runs under `key`, or of `work`, which is then started. It waits in the turns of all clients
    /// that want it.
    pub(crate) async fn join(
        &self,
        key: &K,
        client: Client,
        work: impl FnOnce(Arc<Ticket>) -> BoxFuture<'static, Result<V>>,
    ) -> Result<V> {
        let flight = {
            let mut running = self.0.lock();
            match running.get(key) {
                Some((flight, ticket)) => {
                    ticket.add(client);
                    flight.clone()
                }
                None => {
                    let ticket = Arc::new(Ticket::new(client));
                    let flight = self.start(key.clone(), work(Arc::clone(&ticket)));
                    running.insert(key.clone(), (flight.clone(), ticket));
                    flight
                }
            }
        };
        flight.await
    }

    fn start(&self, key: K, work: BoxFuture<'static, Result<V>>) -> Shared<BoxFuture<'static, Result<V>>> {
        let (tell, told) = oneshot::channel();
        // Removed before the result is sent, and on a panic: a later request starts new work.
        let entry = Entry { key: Some(key), running: Arc::clone(&self.0) };
        tokio::spawn(async move {
            let result = work.await;
            drop(entry);
            _ = tell.send(result);
        });
        async { told.await.unwrap_or(Err(CacheError::Stopped)) }.boxed().shared()
    }
}

struct Entry<K: Eq + Hash, V> {
    key: Option<K>,
    running: Arc<Running<K, V>>,
}

impl<K: Eq + Hash, V> Drop for Entry<K, V> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.running.lock().remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn what_many_want_is_done_once_and_outlives_the_first() {
        let (flights, count, go) =
            (Arc::new(SharedWork::default()), Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let join = || {
            let (flights, count, go) = (flights.clone(), count.clone(), go.clone());
            tokio::spawn(async move {
                let work = |_ticket| {
                    async move {
                        count.fetch_add(1, Ordering::Relaxed);
                        go.notified().await;
                        Ok(7)
                    }
                    .boxed()
                };
                flights.join(&"key", Client::Local, work).await
            })
        };
        let first = join();
        while count.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        first.abort();
        let others: Vec<_> = (0..10).map(|_| join()).collect();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        go.notify_one();
        for other in others {
            assert_eq!(other.await.unwrap().unwrap(), 7);
        }
        assert_eq!(count.load(Ordering::Relaxed), 1);
        assert!(flights.0.lock().is_empty());
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_next_request_begins_anew() {
        let flights: SharedWork<&str, u32> = SharedWork::default();
        let failed = flights.join(&"key", Client::Local, |_| async { panic!("on purpose") }.boxed()).await;
        assert!(matches!(failed, Err(CacheError::Stopped)));
        assert_eq!(flights.join(&"key", Client::Local, |_| async { Ok(1) }.boxed()).await.unwrap(), 1);
    }
}
