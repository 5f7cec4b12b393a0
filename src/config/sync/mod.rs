//! The section `sync`: jobs that copy repositories of upstreams on a schedule. At the top of the file, since Distribution
//! ignores what it does not know there.
//!
//! `keys.rs` has the keys, which are what consumers take; `check.rs` and `check_repository.rs` have the checks across keys.

mod check;
mod check_repository;
mod keys;

#[cfg(test)]
mod tests;

pub(crate) use check::check;
pub use keys::{SyncJob, SyncRepository, SyncTags};
