//! A model of all concurrent work on one store: clients and collectors, each in its own process, whose driver operations each
//! wait for a turn.
//!
//! A seed determines the order of turns, the actions of every actor and the passage of time, so a failing seed fails again.
//! While no operation runs, the model checks the store: every linked manifest must be whole, and every lease must hold.
//! A cache of another registry may lack anything; pushes beside its evictions may not notice.
//!
//! [`Sabotage`] breaks one rule of the protocol at a time. It lies to one side through that side's driver, so the engine needs
//! no test hooks. The model must notice each lie.

mod actors;
mod cache;
mod check;
mod client;
mod faults;
mod machine;
mod model_content;
mod offloaded;
mod sabotage;
mod seen;
mod turns;
mod world;

use std::sync::Arc;

use sampan_driver::StorageDriver;

use crate::Failed;

pub use faults::Faults;
pub(crate) use offloaded::Offloaded;
pub use sabotage::Sabotage;

/// The extent of a scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Whether the registries know that collections are configured.
    pub configured: bool,
    /// Whether some collections delete untagged manifests.
    pub delete_untagged: bool,
    /// Whether the model kills some collections.
    pub kills: bool,
    /// Whether a repository is a cache of another registry, from which collections evict.
    pub evicts: bool,
    /// The usual time of a driver operation: in some stores a collection takes minutes, in others no time at all.
    pub slowest_ms: u64,
    /// The faults of processes, clocks and the store.
    pub faults: Faults,
}

impl Scenario {
    /// All scenarios, the richest first.
    pub const ALL: [Self; 8] = [
        Self {
            configured: true,
            delete_untagged: true,
            kills: true,
            evicts: false,
            slowest_ms: 300,
            faults: Faults::Nothing,
        },
        Self {
            configured: true,
            delete_untagged: false,
            kills: false,
            evicts: false,
            slowest_ms: 10,
            faults: Faults::Nothing,
        },
        Self {
            configured: false,
            delete_untagged: true,
            kills: false,
            evicts: false,
            slowest_ms: 60,
            faults: Faults::Nothing,
        },
        Self {
            configured: true,
            delete_untagged: true,
            kills: true,
            evicts: false,
            slowest_ms: 60,
            faults: Faults::Anywhere,
        },
        Self {
            configured: false,
            delete_untagged: true,
            kills: true,
            evicts: false,
            slowest_ms: 60,
            faults: Faults::Anywhere,
        },
        Self {
            configured: true,
            delete_untagged: true,
            kills: true,
            evicts: false,
            slowest_ms: 60,
            faults: Faults::AtDeletions,
        },
        Self {
            configured: true,
            delete_untagged: true,
            kills: true,
            evicts: true,
            slowest_ms: 60,
            faults: Faults::Nothing,
        },
        Self {
            configured: true,
            delete_untagged: true,
            kills: true,
            evicts: true,
            slowest_ms: 60,
            faults: Faults::Anywhere,
        },
    ];
}

/// Plays one seed on an empty store, and leaves the store as it is at the end.
///
/// # Errors
///
/// When the play breaks a rule: names the rule and the events before.
pub fn play(
    driver: &Arc<dyn StorageDriver>,
    seed: u64,
    scenario: Scenario,
    sabotage: Sabotage,
) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    let local = tokio::task::LocalSet::new();
    let played = local.block_on(&runtime, actors::play(driver.clone(), seed, scenario, sabotage));
    played.map_err(|failed| failed.within(format_args!("seed {seed} of {scenario:?}, {sabotage:?}")))
}
