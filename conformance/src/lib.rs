//! The conformance suite: the requirements on every storage driver of the Sampan registry, as tests for any driver crate.
//!
//! A driver's `tests/conformance.rs` is one line, with `harness = false` in its `[[test]]` section:
//!
//! ```ignore
//! sampan_conformance::main!(Fixture::in_dir(|dir| MyConfig { root: dir.to_owned() }));
//! ```
//!
//! A *clause* is an ordinary `async fn(Context) -> Result<(), Failed>` whose name is a sentence that is true of a good
//! driver. Each clause gets its own empty store, so clauses run in parallel. The files group clauses by topic, and each ends
//! in a table:
//!
//! - [`driver`]: the contract of `sampan-driver`, rule by rule;
//! - [`engine`]: push, pull, mount, resume and delete over the driver, including failures at any operation ([`faulty`]);
//! - [`gc`]: garbage collection. Its seeds are raw bytes written through the layout, not through the engine's writers, so
//!   that the suite finds a bug shared by writer and collector.
//!
//! The suite tests its own clauses: [`sabotage`] has a driver that lies in one chosen way, and every clause fails for some
//! lie. The suite never knows the names of drivers, only their `Capabilities`; it shows clauses that a store cannot support
//! as ignored.
//!
//! `SAMPAN_CONFORMANCE_LARGE`, a number of MiB, sets the size of the clauses about large content.
//! `SAMPAN_CONFORMANCE_PATIENCE`, a number, multiplies the time after which a clause counts as hanging.
//! `SAMPAN_CONFORMANCE_SCRATCH`, a directory on a file system in memory, takes the stores of a [`Fixture::in_dir`] for the
//! clauses of [`engine`] and [`gc`], which sync many files; those of [`driver`] stay on the disk.

mod below;
pub mod bench;
mod check;
mod clause;
mod context;
mod data;
pub mod driver;
pub mod engine;
mod failed;
pub mod faulty;
mod first_push;
mod fixture;
pub mod gc;
mod hooked;
mod last_operation;
mod one_by_one;
mod process;
mod refusing;
mod run;
pub mod sabotage;
mod slow;
mod watched;

pub use clause::{Clause, Need, clauses};
pub use context::Context;
pub use failed::Failed;
pub use first_push::first_push;
pub use fixture::{Fixture, Pace};
pub use process::do_and_die;
pub use run::{run, run_clause, run_trials, run_within, trials};

/// Defines the `main` of a test that runs the whole suite on the stores of a [`Fixture`].
///
/// Without `harness = false` in the `[[test]]` section, the compiler's own test harness would replace this `main`, find no
/// test and report success. Hence the one ordinary test below, which exists only for that harness.
#[macro_export]
macro_rules! main {
    ($fixture:expr $(,)?) => {
        fn main() -> ::std::process::ExitCode {
            #[allow(unused_imports, reason = "the fixture may be made elsewhere")]
            use $crate::Fixture;
            $crate::run($fixture)
        }

        #[test]
        fn the_suite_needs_harness_false() {
            panic!(
                "no clause was run: add `harness = false` to the [[test]] section `{}` in Cargo.toml",
                module_path!()
            );
        }
    };
}
