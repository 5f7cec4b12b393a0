//! Drivers that lie. They prove that the suite catches faults.
//!
//! [`Sabotaged`] wraps a correct driver and breaks one clause of the contract, the [`Lie`]. Each lie names the clauses that
//! must catch it, and some lie must name every clause: a clause that no lie can break tests nothing.

mod bitten;
mod bitten_backup;
mod bitten_engine;
mod bitten_fill;
mod content;
mod driver;
mod late;
mod lie;
mod memory;
mod removal;
mod streams;
mod view;
mod waiting;
mod writer;

pub use driver::Sabotaged;
pub use lie::Lie;
