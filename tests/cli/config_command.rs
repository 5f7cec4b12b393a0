//! `registry config check` and `registry config show`.

use std::fs;

use super::support::{binary, end};

#[test]
fn a_mistyped_key_is_found_with_its_line_and_the_key_that_was_meant() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.yml");
    fs::write(&file, "version: 0.1\nstorage: inmemory\nhttp:\n  adr: :5000\n").unwrap();
    let ended = end(binary(directory.path()).args(["config", "check"]).arg(&file), "");
    assert_eq!(ended.code, Some(1));
    for part in ["config.yml:4", "adr", "addr"] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
}

#[test]
fn values_are_shown_with_their_origin_and_secrets_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.yml");
    fs::write(&file, "version: 0.1\nstorage: inmemory\nhttp:\n  addr: :5000\n  secret: geheim\n").unwrap();
    let mut command = binary(directory.path());
    command.env("REGISTRY_LOG_LEVEL", "debug").args(["config", "show"]).arg(&file);
    let ended = end(&mut command, "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stdout.contains("geheim"), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("config.yml:4") && ended.stdout.contains("REGISTRY_LOG_LEVEL"),
        "{}",
        ended.stdout
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    for command in ["check", "show"] {
        let ended = end(binary(directory.path()).args(["config", command, "nowhere.yml"]), "");
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains("nowhere.yml"), "{ended:?}");
    }
}
