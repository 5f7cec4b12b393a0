//! Races of clients: some order of their requests explains all answers.
//!
//! Clients of one registry, or of two over one store, push by tag and by digest, move tags, delete tags and manifests, read
//! and list, all at the same time. Their requests and answers are a *history*; [`check`] searches for an order of the
//! requests that explains it, by the rules in [`spec`].
//!
//! `SAMPAN_LINEARIZABLE_SEEDS` sets the number of histories, or, as `from..to`, their seeds.

mod check;
mod history;
mod play;
mod spec;

use std::ops::Range;
use std::sync::Arc;

use sampan_driver::StorageDriver;
use tokio::runtime::Handle;

use crate::gc::model::Offloaded;
use crate::{Clause, Context, Failed, Pace, clause::table};

/// Every operation of the store takes a time drawn from a seed; a failing seed fails again.
async fn with_delays_by_lot(ctx: Context) -> Result<(), Failed> {
    play::lay_out(ctx.driver()).await?;
    let driver: Arc<dyn StorageDriver> = match ctx.pace() {
        Pace::Local => ctx.driver().clone(),
        // The clock of a history must not advance while the store waits for a server.
        Pace::Server | Pace::Crawling => Arc::new(Offloaded::new(ctx.driver().clone(), Handle::current())),
    };
    for seed in seeds(&ctx, 60)? {
        let driver = driver.clone();
        // A history has its own clock, and hence its own runtime.
        tokio::task::spawn_blocking(move || play::play_seeded(&driver, seed)).await??;
        play::clear(ctx.driver()).await?;
    }
    Ok(())
}

/// As fast as the store allows.
async fn at_full_speed(ctx: Context) -> Result<(), Failed> {
    play::lay_out(ctx.driver()).await?;
    let processes = [ctx.driver().clone(), ctx.reopen().await?.driver().clone()];
    for seed in seeds(&ctx, 20)? {
        let count = if seed.is_multiple_of(3) { 1 } else { 2 };
        play::play_at_full_speed(ctx.driver(), &processes[..count], seed).await?;
        play::clear(ctx.driver()).await?;
    }
    Ok(())
}

/// The seeds of the histories: as many as requested, else `usual` where an operation takes no time.
fn seeds(ctx: &Context, usual: u64) -> Result<Range<u64>, Failed> {
    let Ok(text) = std::env::var("SAMPAN_LINEARIZABLE_SEEDS") else {
        return Ok(match ctx.pace() {
            Pace::Local => 0..usual,
            Pace::Server => 0..2,
            Pace::Crawling => 1..2,
        });
    };
    let number = |text: &str| {
        text.parse::<u64>().map_err(|_| {
            Failed::new(format_args!(
                "SAMPAN_LINEARIZABLE_SEEDS is {text:?}, but it must be a number or `from..to`"
            ))
        })
    };
    match text.split_once("..") {
        Some((from, to)) => Ok(number(from)?..number(to)?),
        None => Ok(0..number(&text)?),
    }
}

pub(crate) const CLAUSES: &[Clause] = table! { "engine::linearizable":
    with_delays_by_lot,
    at_full_speed,
};
