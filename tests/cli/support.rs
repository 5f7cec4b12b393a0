//! Running the built binary.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// The result of a run of the binary.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

/// The binary in a directory, without the environment's `REGISTRY_*`.
pub(crate) fn binary(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_registry"));
    command.current_dir(directory);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("REGISTRY_") {
            command.env_remove(name);
        }
    }
    command.env_remove("RUST_LOG");
    command
}

/// Runs the binary in a directory; it must end with this code.
pub(crate) fn expect(directory: &Path, code: i32, args: &[&str]) -> Ended {
    let ended = end(binary(directory).args(args), "");
    assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
    ended
}

/// Runs a command that ends by itself.
pub(crate) fn end(command: &mut Command, input: &str) -> Ended {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The command may end without having read it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
