//! `Parallelism`: who does the work of a collection.

use std::iter;
use std::panic::resume_unwind;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, future::Either};
use sampan_driver::allow_blocking;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio_util::task::AbortOnDropHandle;

use super::{Error, Result};

/// Who does the work of a collection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Parallelism {
    /// The task that the collection is, and no other: it rests when that does.
    Inline,
    /// Threads beside it, on all processors, for somebody who waits for the end and has nothing else to do.
    /// What one of them has begun it does to the end, even if the collection is dropped; so they must only look.
    Threads,
}

impl Parallelism {
    /// Many small things in pieces that are worth being handed over.
    pub(super) fn chunks<T>(self, things: Vec<T>) -> impl Iterator<Item = Vec<T>> {
        let at_once = match self {
            Self::Inline => 1,
            Self::Threads => 16,
        };
        let mut things = things.into_iter();
        iter::from_fn(move || {
            let piece: Vec<T> = things.by_ref().take(at_once).collect();
            (!piece.is_empty()).then_some(piece)
        })
    }

    /// Does all of `work`, so much of it at a time, and yields what came of it in the same order.
    pub(super) fn run_all<'a, T, F>(
        self,
        work: impl Iterator<Item = F> + Send + 'a,
        concurrency: usize,
    ) -> BoxStream<'a, Result<T>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let begin = move |work| match self {
            Self::Inline => Either::Left(work),
            Self::Threads => Either::Right(beside(work)),
        };
        stream::iter(work).map(begin).buffered(concurrency.max(1)).boxed()
    }
}

async fn beside<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let runtime = Handle::current();
    let thread = spawn_blocking(move || allow_blocking(|| runtime.block_on(work)));
    match AbortOnDropHandle::new(thread).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime is being shut down.
            Err(_cancelled) => Err(Error::Stopped),
        },
    }
}
