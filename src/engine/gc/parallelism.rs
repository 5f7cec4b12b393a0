//! `Parallelism`: on which threads a collection works.

use std::iter;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, future::Either};

use super::{Error, Result};
use crate::block_on_thread::block_on_thread;

/// The threads on which a collection works.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Parallelism {
    /// The task of the collection, and no other: the work rests when the task does.
    Inline,
    /// Threads beside the task, on all processors, for a user who waits for the end and has nothing else to do. A thread
    /// finishes the work that it has begun, even if the collection is dropped, so this work must only read.
    Threads,
}

impl Parallelism {
    /// Divides many small things into pieces that are worth a thread.
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

    /// Does all of `work`, `concurrency` items at a time, and yields the results in the same order.
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
    block_on_thread(work).await.unwrap_or(Err(Error::Stopped))
}
