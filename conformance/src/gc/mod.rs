//! Garbage collection, over whatever driver: what goes, what stays, and what pushes notice of it.
//!
//! Stores are written as raw bytes through the layout, not by the engine's writers, and what is to go is told by a reckoning of
//! its own (`seed`), so that a mistake that writer and collector share is found.

mod collector;
mod concurrent;
mod cost;
mod crash;
mod dry_run;
mod keeps_live;
pub mod model;
mod referrers;
mod seed;
mod silence;
mod slow_link;
mod sweeps_dead;

use crate::Clause;

/// The tables of this suite.
pub(crate) const TOPICS: &[&[Clause]] = &[
    keeps_live::CLAUSES,
    sweeps_dead::CLAUSES,
    referrers::CLAUSES,
    dry_run::CLAUSES,
    crash::CLAUSES,
    silence::CLAUSES,
    concurrent::CLAUSES,
    slow_link::CLAUSES,
    cost::CLAUSES,
];
