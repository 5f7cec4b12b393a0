//! Running external programs.

use std::process::{Command, Output, Stdio};

/// A command of a program that must be installed.
pub(crate) fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end and returns its standard output; anything but success fails the test with the whole output.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| {
        panic!("{:?} cannot be run ({error}): is it installed?", command.get_program())
    });
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    assert!(
        status.success(),
        "{command:?} ended with {status}\n--- stdout\n{stdout}\n--- stderr\n{}",
        String::from_utf8_lossy(&stderr)
    );
    stdout
}

/// Runs a command that must fail, and returns its whole output.
#[track_caller]
pub(crate) fn fail(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| {
        panic!("{:?} cannot be run ({error}): is it installed?", command.get_program())
    });
    let printed = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(!status.success(), "{command:?} succeeded\n{printed}");
    printed
}
