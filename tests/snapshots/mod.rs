//! What operators, scripts and clients read, as files beside the tests: a change of one is seen in its diff.
//!
//! `UPDATE_EXPECT=1 cargo test --workspace --test it snapshots` writes the files again.

mod collector;
mod config;
mod errors;
mod help;
mod metrics;

use std::path::Path;

use expect_test::expect_file;

/// Compares `text` with the file `name` beside this module.
#[track_caller]
fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name);
    expect_file![path].assert_eq(text);
}
