//! What the binary says of itself.

use std::fs;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use super::support::{binary, end};
use crate::clients::support::filesystem_config;
use crate::support::StoreFiles;

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
fn a_mistake_in_the_arguments_shows_the_usage_of_the_command() {
    for (args, usage) in [
        (&["backup", "prune", "backup.yml"][..], "Usage: registry backup prune "),
        (&["export", "app", "--split", "5", "-o", "a.tar"], "Usage: registry export "),
        (&["verify", "--rate", "0"], "Usage: registry verify "),
        (&["status", "--insecure"], "Usage: registry status "),
    ] {
        let ended = run(args);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(usage), "{args:?}: {ended:?}");
    }
}

#[test]
fn a_pattern_and_a_tag_in_the_place_of_a_name_are_named_with_what_to_write() {
    for (args, message) in [
        (&["du", "team/*"][..], "write `registry du team`"),
        (&["ls", "-c", "c.yml", "team/app-*/x"], "write `registry ls team`"),
        (&["ls", "**"], "write `registry ls`"),
        (&["tag", "restore", "team/app:1.3"], "the tag is a word of its own: `team/app 1.3`"),
        (&["tag", "removed", "team/app:1.3"], "the tag is a word of its own: `team/app 1.3`"),
        (&["tag", "removed", "Team"], "invalid value 'Team'"),
    ] {
        let ended = run(args);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(message), "{args:?}: {ended:?}");
    }
}

/// Each command that has a configuration as its last word, up to there.
const WITH_A_CONFIGURATION: &[&str] = &[
    "serve",
    "garbage-collect",
    "health",
    "status",
    "backup run --to b.yml",
    "backup list",
    "backup prune --last 1",
    "backup verify",
    "verify",
    "cache complete",
    "sync",
    "config check",
    "config show",
    "access check",
    "access explain bob app pull",
    "access rotate-key",
];

#[test]
fn a_configuration_is_the_last_word_or_an_option_of_every_command() {
    for command in WITH_A_CONFIGURATION {
        let words: Vec<&str> = command.split(' ').collect();
        let [last, option] =
            [&["missing.yml"][..], &["-c", "missing.yml"]].map(|file| run(&[&words, file].concat()));
        assert_eq!(last.code, Some(1), "{command}: {last:?}");
        assert!(last.stderr.contains("missing.yml"), "{command}: {last:?}");
        assert_eq!((option.code, &option.stderr), (last.code, &last.stderr), "{command}");
        let both = run(&[&words[..], &["-c", "missing.yml", "missing.yml"]].concat());
        assert_eq!(both.code, Some(2), "{command}: {both:?}");
    }
    let help = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots/help.txt")).unwrap();
    let usages = help.lines().filter(|line| line.starts_with("Usage: "));
    let theirs = usages
        .filter(|line| line.ends_with("[CONFIG]") || line.ends_with("BACKUP>") || line.ends_with("[BACKUP]"));
    assert_eq!(theirs.count(), WITH_A_CONFIGURATION.len(), "the help has others");
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

#[test]
fn a_full_output_is_an_error_and_a_closed_one_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let store = StoreFiles::new(&directory.path().join("data"));
    store.tag("app", "v1", &store.image("app", "one", &["layer".to_owned()]));
    fs::write(directory.path().join("config.yml"), filesystem_config(&directory.path().join("data")))
        .unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    for (output, code) in [(OwnedFd::from(full), 1), (OwnedFd::from(closed), 0)] {
        for args in [&["completion", "bash"][..], &["garbage-collect", "config.yml"]] {
            let output = Stdio::from(output.try_clone().unwrap());
            let ended = binary(directory.path()).args(args).stdout(output).output().unwrap();
            let said = String::from_utf8_lossy(&ended.stderr);
            assert_eq!(ended.status.code(), Some(code), "{args:?}: {said}");
            let is_named = said.contains("standard output lacks some of what was printed");
            assert_eq!(is_named, code == 1, "{args:?}: {said}");
        }
    }
}

#[test]
fn a_store_in_the_memory_of_another_process_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("memory.yml"), "version: 0.1\nstorage: {inmemory: {}}\n").unwrap();
    for args in [
        &["inventory", "-c", "memory.yml"][..],
        &["export", "a", "-o", "a.tar", "-c", "memory.yml"],
        &["ls", "-c", "memory.yml"],
        &["du", "-c", "memory.yml"],
        &["garbage-collect", "memory.yml"],
    ] {
        let ended = end(binary(directory.path()).args(args), "");
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("in-memory store belongs to the running registry alone"), "{ended:?}");
    }
}
