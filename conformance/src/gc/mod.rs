//! Garbage collection, over any driver: what it deletes, what it keeps, and what pushes notice of it.
//!
//! The suite writes stores as raw bytes through the layout, not by the engine's writers, and computes the garbage on its own
//! (`seed`). So it finds a mistake that writer and collector share.

mod collector;
mod concurrent;
mod cost;
mod crash;
mod dry_run;
mod evicts;
mod evicts_beside;
mod evicts_copied;
mod generated;
mod keeps_live;
mod lost_manifests;
pub mod model;
mod preview;
mod referrers;
mod seed;
mod silence;
mod slow_link;
mod survey;
mod sweeps_dead;

use crate::Clause;

/// The tables of this suite.
pub(crate) const TOPICS: &[&[Clause]] = &[
    keeps_live::CLAUSES,
    lost_manifests::CLAUSES,
    sweeps_dead::CLAUSES,
    evicts::CLAUSES,
    evicts_beside::CLAUSES,
    evicts_copied::CLAUSES,
    referrers::CLAUSES,
    dry_run::CLAUSES,
    crash::CLAUSES,
    silence::CLAUSES,
    concurrent::CLAUSES,
    slow_link::CLAUSES,
    cost::CLAUSES,
    survey::CLAUSES,
    preview::CLAUSES,
];
