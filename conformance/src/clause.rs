//! `Clause`: one sentence of the contract and the code that tests it.

use futures::future::LocalBoxFuture;

use crate::{Context, Failed, driver, engine, gc};

/// A sentence that is true of a good driver.
#[derive(Clone, Copy, Debug)]
pub struct Clause {
    /// The module and the sentence, such as `driver::writer::nothing_appears_before_commit`.
    pub name: &'static str,
    /// The capability of the store that the clause requires.
    pub need: Need,
    /// Tests the sentence on an empty store.
    pub run: fn(Context) -> LocalBoxFuture<'static, Result<(), Failed>>,
}

/// The capability of a store that a clause requires.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// Only the contract.
    Nothing,
    /// `Capabilities::atomic_rename`.
    AtomicRename,
    /// `Capabilities::durable`.
    Durable,
    /// `Capabilities::flat`.
    Flat,
    /// `SAMPAN_CONFORMANCE_LARGE` is set: the machine has the space and the time.
    Large,
    /// Linux, which counts how often a thread waits.
    Linux,
    /// The lack of `Capabilities::redirect`.
    NoRedirect,
    /// `Capabilities::durable`, in a store that another process can open.
    Process,
    /// `Capabilities::redirect`.
    Redirect,
    /// The writer of a new file has a view.
    View,
}

/// All clauses, in the order of the tables.
pub fn clauses() -> impl Iterator<Item = &'static Clause> {
    driver::TOPICS.iter().chain(engine::TOPICS).chain(gc::TOPICS).copied().flatten()
}

/// Defines the table of the clauses of a topic; `if` names the need of a clause.
macro_rules! table {
    ($topic:literal: $($clause:ident $(if $need:ident)?),+ $(,)?) => {
        &[$($crate::Clause {
            name: concat!($topic, "::", stringify!($clause)),
            need: $crate::clause::table!(@need $($need)?),
            run: |context| Box::pin($clause(context)),
        }),+]
    };
    (@need) => { $crate::Need::Nothing };
    (@need $need:ident) => { $crate::Need::$need };
}

pub(crate) use table;
