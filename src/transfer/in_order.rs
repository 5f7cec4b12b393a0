//! `in_order`: prepares items ahead, and finishes one after another.

use std::collections::VecDeque;
use std::pin::pin;

use futures::StreamExt;
use futures::future::{Either, select};
use futures::stream::FuturesOrdered;

/// Prepares `items`, and finishes each in their order once it is prepared. At most `limit` are begun and not finished; with
/// one, nothing overlaps.
///
/// Preparations continue while another item is finished: one that waits unpolled could hold a permit that the other needs.
///
/// # Errors
///
/// The first error of `finish`. It drops the items that are being prepared.
pub(crate) async fn in_order<T, P, E>(
    items: impl Iterator<Item = T>,
    limit: usize,
    prepare: impl AsyncFn(&T) -> P,
    mut finish: impl AsyncFnMut(T, P) -> Result<(), E>,
) -> Result<(), E> {
    let mut items = items.fuse();
    let mut preparing = FuturesOrdered::new();
    let mut prepared = VecDeque::new();
    let prepare = &prepare;
    loop {
        while preparing.len() + prepared.len() < limit.max(1)
            && let Some(item) = items.next()
        {
            preparing.push_back(async move {
                let outcome = prepare(&item).await;
                (item, outcome)
            });
        }
        let next = match prepared.pop_front() {
            Some(next) => Some(next),
            None => preparing.next().await,
        };
        let Some((item, outcome)) = next else { return Ok(()) };
        let mut finishing = pin!(finish(item, outcome));
        loop {
            if preparing.is_empty() {
                finishing.await?;
                break;
            }
            match select(finishing, preparing.next()).await {
                Either::Left((finished, _)) => {
                    finished?;
                    break;
                }
                Either::Right((more, rest)) => {
                    prepared.extend(more);
                    finishing = rest;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use tokio::sync::{Notify, Semaphore};

    use super::*;

    #[tokio::test]
    async fn items_are_prepared_ahead_within_the_limit_and_finished_in_order() {
        for limit in [1, 3, 100] {
            let (open, most, done) = (Cell::new(0), Cell::new(0), RefCell::new(Vec::new()));
            let all = in_order(
                0..20,
                limit,
                async |number: &usize| {
                    open.set(open.get() + 1);
                    most.set(most.get().max(open.get()));
                    // Later ones are prepared first.
                    for _ in *number..20 {
                        tokio::task::yield_now().await;
                    }
                    number * 2
                },
                async |number, double| {
                    tokio::task::yield_now().await;
                    open.set(open.get() - 1);
                    done.borrow_mut().push((number, double));
                    Ok::<_, ()>(())
                },
            );
            all.await.unwrap();
            assert_eq!(done.into_inner(), (0..20).map(|number| (number, number * 2)).collect::<Vec<_>>());
            assert_eq!(most.get(), limit.min(20));
        }
    }

    #[tokio::test]
    async fn an_item_is_finished_with_what_a_later_one_holds_while_it_is_prepared() {
        let (only, taken) = (Semaphore::new(1), Notify::new());
        let all = in_order(
            0..2,
            2,
            async |number: &usize| {
                if *number == 1 {
                    let _held = only.acquire().await;
                    taken.notify_one();
                    tokio::task::yield_now().await;
                }
            },
            async |number, ()| {
                if number == 0 {
                    taken.notified().await;
                }
                only.acquire().await.map(drop)
            },
        );
        all.await.unwrap();
    }

    #[tokio::test]
    async fn the_first_error_ends_it_and_what_came_before_is_finished() {
        let done = RefCell::new(Vec::new());
        let prepare = async |number: &usize| if *number == 3 { Err(*number) } else { Ok(()) };
        let finish = async |number, outcome: Result<(), usize>| {
            outcome?;
            done.borrow_mut().push(number);
            Ok(())
        };
        assert_eq!(in_order(0..10, 4, prepare, finish).await, Err(3));
        assert_eq!(done.into_inner(), [0, 1, 2]);
    }
}
