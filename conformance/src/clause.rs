//! `Clause`: one sentence of the contract and the code that tests it.

use futures::future::LocalBoxFuture;

use crate::{Context, Failed, driver, engine, gc};

/// One sentence that is true of a good driver.
#[derive(Clone, Copy, Debug)]
pub struct Clause {
    /// Where it stands and what it says, such as `driver::writer::nothing_appears_before_commit`.
    pub name: &'static str,
    /// What the store must be able to do for it to make sense.
    pub need: Need,
    /// Tests it on an empty store.
    pub run: fn(Context) -> LocalBoxFuture<'static, Result<(), Failed>>,
}

/// What a store must be able to do for a clause to make sense.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// Nothing but the contract.
    Nothing,
    /// `Capabilities::atomic_rename`.
    AtomicRename,
    /// `Capabilities::durable`.
    Durable,
    /// `Capabilities::flat`.
    Flat,
    /// Room and patience: `SAMPAN_CONFORMANCE_LARGE` is set.
    Large,
    /// Linux, which counts how often a thread waits.
    Linux,
    /// The lack of `Capabilities::redirect`.
    NoRedirect,
    /// `Capabilities::durable`, in a store that another process can open.
    Process,
    /// `Capabilities::redirect`.
    Redirect,
}

/// All clauses, in the order of the tables.
pub fn clauses() -> impl Iterator<Item = &'static Clause> {
    driver::TOPICS.iter().chain(engine::TOPICS).chain(gc::TOPICS).copied().flatten()
}

/// A table of the clauses of a topic; `if` names what one of them needs.
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
