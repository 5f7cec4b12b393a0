//! A collector that stops for longer than its lock allows deletes nothing more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sampan_engine::gc::{self, LOCK_TIMEOUT, Observer, collect};
use sampan_engine::{Clock, Registry};

use super::collector::{options, paths};
use super::seed::Seed;
use crate::check::ensure;
use crate::data::path;
use crate::{Clause, Context, Failed, clause::table};

/// The clocks that show that a process was stopped.
#[derive(Clone, Copy, Debug)]
enum Shown {
    /// A signal stopped the process.
    Both,
    /// The machine was suspended, and its monotonic clock did not count the time.
    Wall,
    /// The wall clock was set back meanwhile.
    Monotonic,
}

async fn a_run_that_was_silent_deletes_nothing_more(ctx: Context) -> Result<(), Failed> {
    for shown in [Shown::Both, Shown::Wall, Shown::Monotonic] {
        let seed = Seed::new(ctx.driver());
        seed.image("a", 1).await?;
        let before = paths(ctx.driver()).await?;
        let stopped = Arc::new(AtomicU64::new(0));
        let registry = Registry::builder(ctx.driver().clone()).clock(clock(shown, &stopped)).build();
        // The collector reports its findings before it deletes anything.
        let observer = Observer::new(move |_| stopped.store(LOCK_TIMEOUT.as_secs(), Ordering::SeqCst));
        let result = collect(&registry, &gc::Options { observer: Some(observer), ..options(true) }).await;
        ensure(
            matches!(result, Err(gc::Error::Lost)),
            format_args!("{shown:?}: a run that was silent for {LOCK_TIMEOUT:?} continues: {result:?}"),
        )?;
        let lost: Vec<_> = before.difference(&paths(ctx.driver()).await?).cloned().collect();
        ensure(lost.is_empty(), format_args!("{shown:?}: it has deleted {lost:#?}"))?;
        ctx.driver().delete_tree(&path("/docker")).await?;
    }
    Ok(())
}

/// A clock a month ahead of the store's, so that everything is old.
fn clock(shown: Shown, stopped: &Arc<AtomicU64>) -> Clock {
    let [wall, steady] = [stopped.clone(), stopped.clone()];
    let begun = SystemTime::now() + Duration::from_secs(30 * 24 * 60 * 60);
    let wall = move || {
        let stopped = Duration::from_secs(wall.load(Ordering::SeqCst));
        match shown {
            Shown::Both | Shown::Wall => begun + stopped,
            Shown::Monotonic => begun - stopped,
        }
    };
    let steady = move || match shown {
        Shown::Both | Shown::Monotonic => Duration::from_secs(steady.load(Ordering::SeqCst)),
        Shown::Wall => Duration::ZERO,
    };
    Clock::with_steady(wall, steady)
}

pub(crate) const CLAUSES: &[Clause] = table!["gc::silence": a_run_that_was_silent_deletes_nothing_more];
