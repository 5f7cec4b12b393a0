//! The `registry` binary.

use std::process::ExitCode;

use sampan::drivers::Drivers;

/// Chosen by measurement (`tests/benches/README.md`): glibc's allocator returns the buffers of a push to the
/// kernel again and again. Without huge pages, which would double the memory and save nothing.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sampan::cli::main(Drivers::builtin())
}
