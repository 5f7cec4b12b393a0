//! What the binary says of itself.

use super::support::{binary, end};

fn run(args: &[&str]) -> super::support::Ended {
    let directory = tempfile::tempdir().unwrap();
    end(binary(directory.path()).args(args), "")
}

#[test]
fn without_a_command_it_prints_its_usage() {
    let ended = run(&[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("Usage: registry"), "{ended:?}");
}

#[test]
fn the_version_is_one_line_of_program_package_and_version() {
    for flag in ["-v", "--version"] {
        let ended = run(&[flag]);
        assert_eq!(ended.code, Some(0));
        assert_eq!(ended.stdout, format!("registry sampan v{}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn a_command_that_is_not_understood_ends_with_2() {
    let ended = run(&["sevre"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("serve"), "{ended:?}");
}

#[test]
fn completions_know_the_commands() {
    let ended = run(&["completion", "bash"]);
    assert_eq!(ended.code, Some(0));
    assert!(
        ended.stdout.contains("garbage-collect") && ended.stdout.contains("htpasswd"),
        "{}",
        ended.stdout
    );
}
