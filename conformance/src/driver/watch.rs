//! Changes during reads.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::task::JoinSet;

use super::content::join;
use crate::{Context, Failed};

/// Repeats `change` while several tasks repeat `look`, until enough of both have run at the same time.
///
/// `change` gets the number of its round, starting at 1, and `look` that of its task.
pub(super) async fn change_while_watched<L, C>(
    ctx: &Context,
    look: impl Fn(Context, usize) -> L + Clone + Send + 'static,
    change: impl Fn(Context, usize) -> C,
) -> Result<(), Failed>
where
    L: Future<Output = Result<(), Failed>> + Send,
    C: Future<Output = Result<(), Failed>>,
{
    let (done, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut watchers = JoinSet::new();
    for watcher in 0..WATCHERS {
        let (ctx, look, done, looks) = (ctx.clone(), look.clone(), done.clone(), looks.clone());
        watchers.spawn(async move {
            while !done.load(Ordering::SeqCst) {
                look(ctx.clone(), watcher).await?;
                looks.fetch_add(1, Ordering::SeqCst);
                // A task that never waits must let the others run.
                tokio::task::yield_now().await;
            }
            look(ctx, watcher).await
        });
    }
    let mut round = 0;
    while round < ROUNDS || looks.load(Ordering::SeqCst) < LOOKS {
        round += 1;
        change(ctx.clone(), round).await?;
        if let Some(watcher) = watchers.try_join_next() {
            return watcher?; // It ends early only with a failure.
        }
    }
    done.store(true, Ordering::SeqCst);
    join(watchers).await
}

const WATCHERS: usize = 3;
const ROUNDS: usize = 100;
const LOOKS: usize = 300;
