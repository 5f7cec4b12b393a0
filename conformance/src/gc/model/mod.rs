//! A model of everything that can go on in a store at once: clients and collectors, each in a process of its own, whose every
//! operation of the driver waits for its turn.
//!
//! Whose turn it is, is drawn by lot from a seed, and so is what everybody does and how time passes; a seed that fails fails
//! again. While nothing else is going on, the store is looked at: no linked manifest may lack anything, and no promise may
//! have been broken.
//!
//! [`Sabotage`] breaks one rule of the protocol at a time, by lies of the driver that one side of it sees, so that the engine
//! needs no doors for it. The model must notice each.

mod actors;
mod check;
mod client;
mod faults;
mod machine;
mod offloaded;
mod sabotage;
mod seen;
mod turns;
mod wares;
mod world;

use std::sync::Arc;

use sampan_driver::StorageDriver;

use crate::Failed;

pub use faults::Faults;
pub(crate) use offloaded::Offloaded;
pub use sabotage::Sabotage;

/// How much is to go on.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Whether the registries know that collections are configured.
    pub configured: bool,
    /// Whether untagged manifests go, now and then.
    pub delete_untagged: bool,
    /// Whether collections are killed now and then.
    pub kills: bool,
    /// How long an operation of the driver usually takes: in some stores a collection takes minutes, in others no time at all.
    pub slowest_ms: u64,
    /// What befalls processes, clocks and the store.
    pub faults: Faults,
}

impl Scenario {
    /// All of them, the richest first.
    pub const ALL: [Self; 6] = [
        Self {
            configured: true,
            delete_untagged: true,
            kills: true,
            slowest_ms: 300,
            faults: Faults::Nothing,
        },
        Self {
            configured: true,
            delete_untagged: false,
            kills: false,
            slowest_ms: 10,
            faults: Faults::Nothing,
        },
        Self {
            configured: false,
            delete_untagged: true,
            kills: false,
            slowest_ms: 60,
            faults: Faults::Nothing,
        },
        Self {
            configured: true,
            delete_untagged: true,
            kills: true,
            slowest_ms: 60,
            faults: Faults::Anywhere,
        },
        Self {
            configured: false,
            delete_untagged: true,
            kills: true,
            slowest_ms: 60,
            faults: Faults::Anywhere,
        },
        Self {
            configured: true,
            delete_untagged: true,
            kills: true,
            slowest_ms: 60,
            faults: Faults::AtDeletions,
        },
    ];
}

/// Plays one seed on an empty store, which is left as it is then.
///
/// # Errors
///
/// When a rule was broken: which one, and what came before.
pub fn play(
    driver: &Arc<dyn StorageDriver>,
    seed: u64,
    scenario: Scenario,
    sabotage: Sabotage,
) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    let local = tokio::task::LocalSet::new();
    let played = local.block_on(&runtime, actors::play(driver.clone(), seed, scenario, sabotage));
    played.map_err(|failed| Failed::new(format_args!("seed {seed} of {scenario:?}, {sabotage:?}: {failed}")))
}
