//! The `registry` binary.

use std::process::ExitCode;

use sampan::drivers::Drivers;

fn main() -> ExitCode {
    sampan::cli::main(Drivers::builtin())
}
