//! Collections while clients push, pull, tag and delete: see [`model`](super::model).

use sampan_driver::StorageDriver;

use super::model::{Sabotage, Scenario, play};
use crate::data::path;
use crate::{Clause, Context, Failed, clause::table};

async fn no_promise_is_broken(ctx: Context) -> Result<(), Failed> {
    for seed in 0..ctx.scale(6, 200) {
        for scenario in Scenario::ALL {
            let driver = ctx.driver().clone();
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
