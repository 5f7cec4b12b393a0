//! The contract of `sampan-driver`, clause by clause.

mod concurrency;
mod content;
mod delete;
pub(crate) mod durability;
mod errors;
pub(crate) mod executor;
mod list;
mod paths;
mod put_all;
mod reader;
mod redirect;
mod rename;
mod stat;
mod view;
mod walk;
mod watch;
mod writer;
mod writer_loss;
mod writer_note;

use crate::Clause;

/// The tables of this suite.
pub(crate) const TOPICS: &[&[Clause]] = &[
    paths::CLAUSES,
    content::CLAUSES,
    put_all::CLAUSES,
    reader::CLAUSES,
    writer::CLAUSES,
    writer_loss::CLAUSES,
    writer_note::CLAUSES,
    view::CLAUSES,
    list::CLAUSES,
    rename::CLAUSES,
    delete::CLAUSES,
    stat::CLAUSES,
    walk::CLAUSES,
    errors::CLAUSES,
    concurrency::CLAUSES,
    executor::CLAUSES,
    durability::CLAUSES,
    redirect::CLAUSES,
];
