//! The collection of garbage in the running registry: when, how gently, and what came of it.
//!
//! [`Collector`] runs one collection at a time, when its [`Schedule`] says so or somebody asks, and remembers the last few.
//! What other replicas did is asked of the store: a collection by one is a collection for all. Two that begin together are told
//! apart by the engine's lease, and the one that comes too late waits its turn.
//! Absent on purpose: what is garbage, and why deleting it is safe; the engine knows.

mod background;
mod history;
mod runner;
mod schedule;
mod settings;

use history::History;

pub use history::{Outcome, Run, Totals, Trigger};
pub use runner::{Collector, Refusal, State};
pub use schedule::Schedule;
pub use settings::Settings;
