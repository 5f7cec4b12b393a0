//! Caches of other registries, over a scripted upstream: the requests there, and the answers to clients.

mod access;
mod answers;
mod bounds;
mod breaker;
mod budgets;
mod chaos;
mod complete;
mod deadlines;
mod deletions;
mod error_status;
mod fairness;
mod foreign_layers;
mod joined_transfers;
mod limits;
mod lists;
mod mapping;
pub(crate) mod pair;
mod reconfigured;
mod replicas;
pub(crate) mod support;
mod tags;
mod transfers;
mod wrong_content;
