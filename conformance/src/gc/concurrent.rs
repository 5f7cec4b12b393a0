//! Collections while clients push, pull, tag and delete: see [`model`](super::model).

use std::sync::Arc;

use sampan_driver::StorageDriver;
use tokio::runtime::Handle;

use super::model::{Offloaded, Sabotage, Scenario, play};
use crate::data::path;
use crate::{Clause, Context, Failed, clause::table};

async fn no_promise_is_broken(ctx: Context) -> Result<(), Failed> {
    // Where an operation takes milliseconds, the model's clock must not go on meanwhile, and a seed takes long.
    let driver: Arc<dyn StorageDriver> = match ctx.is_slow() {
        true => Arc::new(Offloaded::new(ctx.driver().clone(), Handle::current())),
        false => ctx.driver().clone(),
    };
    let seeds = if ctx.is_slow() { 1 } else { ctx.scale(6, 200) };
    for seed in 0..seeds {
        for scenario in Scenario::ALL {
            let driver = driver.clone();
            // The model has a clock, and hence a runtime, of its own.
            let played =
                tokio::task::spawn_blocking(move || play(&driver, seed, scenario, Sabotage::Nothing));
            played.await??;
            ctx.driver().delete_tree(&path("/docker")).await?;
        }
    }
    Ok(())
}

pub(crate) const CLAUSES: &[Clause] = table!["gc::concurrent": no_promise_is_broken];
