//! What the running registry does by itself: it collects garbage, surveys and verifies its store, and purges
//! abandoned uploads, and runs the jobs that copy from other registries.
//!
//! [`Collector`] runs one collection at a time, on its [`Schedule`] or on request, and remembers the last
//! few. It reads from the store what other replicas did: a collection by one is a collection for all. If two
//! start together, the engine's collector lock lets one run, and the other waits its turn. Absent on purpose:
//! which content is garbage, and why deleting it is safe; the engine decides that.

mod background;
mod cache_bounds;
mod cache_uses;
mod damage_events;
mod found_problems;
mod history;
mod prepare_store;
mod purge_uploads;
mod runner;
mod schedule;
mod settings;
mod survey;
mod sync_jobs;
#[cfg(test)]
mod sync_jobs_tests;
mod sync_state;
mod verification;
mod verify_settings;
mod verify_state;

use history::History;

pub use cache_uses::{keep_cache_uses, keep_offline_notice, note_offline, save_cache_uses};
pub use history::{Run, RunOutcome, Totals, Trigger};
pub use prepare_store::{keep_store_prepared, prepare_store};
pub use purge_uploads::purge_uploads;
pub use runner::{Collector, Running, StartRefused, State};
pub use schedule::Schedule;
pub use settings::Settings;
pub use survey::survey_store;
pub use sync_jobs::{SyncTotals, Syncer};
pub use sync_state::SyncState;
pub use verification::{Verifier, VerifyTotals};
pub use verify_settings::VerifySettings;
pub use verify_state::VerifyState;
