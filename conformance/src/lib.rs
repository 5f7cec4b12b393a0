//! The conformance suite: what every storage driver of the Sampan registry must do, as tests that a stranger can run.
//!
//! A driver's `tests/conformance.rs` is one line, with `harness = false` in its `[[test]]` section:
//!
//! ```ignore
//! sampan_conformance::main!(Fixture::in_dir(|dir| MyConfig { root: dir.to_owned() }));
//! ```
//!
//! A *clause* is an ordinary `async fn(Context) -> Result<(), Failed>` whose name is a sentence that is true of a good driver.
//! It gets an empty store of its own, so clauses run side by side. Clauses stand in files by topic, each of which ends in a
//! table:
//!
//! - [`driver`]: the contract of `sampan-driver`, rule by rule;
//! - [`engine`]: push, pull, mount, resume and delete over the driver, also when it fails at any operation ([`faulty`]);
//! - [`gc`]: the collection of garbage. Its seeds are written through the layout as raw bytes, not through the engine's
//!   writers, so that a mistake shared by writer and collector is found.
//!
//! The suite has teeth: [`sabotage`] holds a driver that lies in one chosen way, and every clause is shown to fail for some
//! lie. It never knows the names of drivers, only their `Capabilities`; what a store cannot do is shown as ignored.
//!
//! `SAMPAN_CONFORMANCE_LARGE`, a number of MiB, lets the clauses about large content run with that much.
//! `SAMPAN_CONFORMANCE_PATIENCE`, a number, lets every clause take so many times as long before it is said to hang.

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
mod run;
pub mod sabotage;
mod slow;

pub use clause::{Clause, Need, clauses};
pub use context::Context;
pub use failed::Failed;
pub use first_push::first_push;
pub use fixture::{Fixture, Pace};
pub use process::do_and_die;
pub use run::{run, run_clause, run_within, trials};

/// Makes the `main` of a test that runs the whole suite on the stores of a [`Fixture`].
///
/// Without `harness = false` in the `[[test]]` section, the compiler's own test harness would take the place of this
/// `main`, find no test and report success. Hence the one ordinary test below, which exists for that harness only.
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
