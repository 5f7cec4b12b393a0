//! Handlers, one file per page.

pub(super) mod config;
pub(super) mod gc;
pub(super) mod health;
pub(super) mod index;
pub(super) mod metrics;
pub(super) mod probes;
