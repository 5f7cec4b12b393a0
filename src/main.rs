//! The `registry` binary.

use std::process::ExitCode;

use sampan::drivers::Drivers;

/// Chosen by measurement (`docs/performance.md`): glibc's gives the buffers of a push back to the kernel again and again, and
/// musl's is no match for many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sampan::cli::main(Drivers::builtin())
}
