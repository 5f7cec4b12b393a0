//! Collections while clients push, pull, tag and delete: see [`model`](super::model).

use std::sync::Arc;

use sampan_driver::StorageDriver;
use tokio::runtime::Handle;

use super::model::{Offloaded, Sabotage, Scenario, play};
use crate::data::path;
use crate::{Clause, Context, Failed, Pace, clause::table};

async fn no_promise_is_broken(ctx: Context) -> Result<(), Failed> {
    // The model's clock must not advance while a thread of the driver works.
    let driver: Arc<dyn StorageDriver> = Arc::new(Offloaded::new(ctx.driver().clone(), Handle::current()));
    let (seeds, scenarios) = match ctx.pace() {
        Pace::Local => (ctx.scale(6, 200), Scenario::ALL.as_slice()),
        Pace::Server => (1, Scenario::ALL.as_slice()),
        Pace::Crawling => (1, &Scenario::ALL[..1]),
    };
    for seed in 0..seeds {
        for &scenario in scenarios {
            let driver = driver.clone();
            // The model has its own clock, and hence its own runtime.
            let played =
                tokio::task::spawn_blocking(move || play(&driver, seed, scenario, Sabotage::Nothing));
            played.await??;
            ctx.driver().delete_tree(&path("/docker")).await?;
        }
    }
    Ok(())
}

pub(crate) const CLAUSES: &[Clause] = table!["gc::concurrent": no_promise_is_broken];
