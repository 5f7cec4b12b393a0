//! The guarantees of a registry to its clients, over any driver.

mod backup;
mod client;
mod crash;
mod damaged;
mod delete;
mod fill;
mod full_store;
pub(crate) mod hooks;
mod linearizable;
mod migrate;
mod migrate_end;
mod mount;
mod push_pull;
mod referrers;
mod referrers_cost;
mod referrers_index;
mod referrers_races;
mod removed;
mod removed_children;
mod resume;
mod store;
mod summary;
mod tags;
mod two_registries;
mod two_stores;
mod verify;

use crate::Clause;

/// The tables of this suite.
pub(crate) const TOPICS: &[&[Clause]] = &[
    push_pull::CLAUSES,
    mount::CLAUSES,
    resume::CLAUSES,
    tags::CLAUSES,
    summary::CLAUSES,
    referrers::CLAUSES,
    referrers_index::CLAUSES,
    referrers_cost::CLAUSES,
    referrers_races::CLAUSES,
    delete::CLAUSES,
    removed::CLAUSES,
    removed_children::CLAUSES,
    full_store::CLAUSES,
    damaged::CLAUSES,
    two_registries::CLAUSES,
    verify::CLAUSES,
    crash::CLAUSES,
    linearizable::CLAUSES,
    migrate::CLAUSES,
    migrate_end::CLAUSES,
    backup::CLAUSES,
    fill::CLAUSES,
];
