//! Drivers that lie: the proof that the suite has teeth.
//!
//! [`Sabotaged`] wraps a good driver and breaks one promise of the contract, the [`Lie`]. Each lie names the clauses that
//! must find it out, and every clause must be named by some lie; a clause that no lie can break tests nothing.

mod bitten;
mod content;
mod driver;
mod late;
mod lie;
mod memory;
mod removal;
mod streams;
mod waiting;
mod writer;

pub use driver::Sabotaged;
pub use lie::Lie;
