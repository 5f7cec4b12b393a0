//! Tests of the policy file of a running registry, with a controlled clock.

use std::fs;

use super::super::{Access, Identity};
use super::*;
use crate::test_log::TestLog;

const USERS: &str = "rules:\n  - {who: users, may: pull, on: '**'}\n";
const BOTH: &str =
    "rules:\n  - {who: users, may: pull, on: '**'}\n  - {who: user:ann, may: push, on: 'a/**'}\n";

struct Fixture {
    dir: tempfile::TempDir,
    file: PolicyFile,
}

impl Fixture {
    async fn new(content: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.yml");
        fs::write(&path, content).unwrap();
        let file = PolicyFile::open(path, Audit::default()).await.unwrap();
        Self { dir, file }
    }

    fn write(&self, content: &str) {
        fs::write(self.dir.path().join("access.yml"), content).unwrap();
    }

    /// What a look on this thread logs.
    fn reload_if_changed(&self) -> String {
        let log = TestLog::default();
        let capture = log.capture();
        self.file.0.reload_if_changed();
        drop(capture);
        log.text()
    }
}

fn may_push(policy: &Policy) -> bool {
    policy.allows(&Identity::User("ann".to_owned()), &Access::push("a/b".parse().unwrap()))
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_counts_from_the_next_second_on() {
    let fixture = Fixture::new(USERS).await;
    assert!(!may_push(&fixture.file.current().await));
    fixture.write(BOTH);
    assert!(!may_push(&fixture.file.current().await));
    tokio::time::advance(CheckInterval::EVERY).await;
    assert!(may_push(&fixture.file.current().await));
    fixture.write(USERS);
    fixture.file.reload().await.unwrap();
    assert!(!may_push(&fixture.file.last_valid()));
}

#[tokio::test(start_paused = true)]
async fn while_a_look_hangs_the_last_valid_rules_count_and_no_other_begins() {
    let fixture = Fixture::new(USERS).await;
    let hanging = RunningCheck::begin(&fixture.file.0).unwrap();
    fixture.write(BOTH);
    for _ in 0..10 {
        tokio::time::advance(2 * CheckInterval::EVERY).await;
        assert!(!may_push(&fixture.file.current().await));
    }
    assert!(!fixture.file.is_stale());
    // A signal reads the file itself.
    fixture.file.reload().await.unwrap();
    assert!(may_push(&fixture.file.current().await));
    fixture.write(USERS);
    drop(hanging);
    tokio::time::advance(CheckInterval::EVERY).await;
    assert!(!may_push(&fixture.file.current().await));
}

#[tokio::test]
async fn a_change_is_logged_once_with_its_size() {
    let fixture = Fixture::new(USERS).await;
    assert_eq!(fixture.reload_if_changed(), "");
    fixture.write(BOTH);
    let log = fixture.reload_if_changed();
    assert!(log.contains("the policy file has changed, rules: 1 came, 0 went"), "{log}");
    assert_eq!(fixture.reload_if_changed(), "");
    fixture.write(
        "groups: {g: [ann]}\nrules: [{who: group:g, may: push, on: a}, {who: group:g, may: push, on: a}]\n",
    );
    let log = fixture.reload_if_changed();
    assert!(log.contains("2 came, 2 went, and groups have changed"), "{log}");
    assert!(log.contains("is the same rule as in access.yml:2"), "{log}");
    assert_eq!(fixture.reload_if_changed(), "");
}

#[tokio::test]
async fn an_unusable_file_changes_nothing_and_is_logged_once() {
    let fixture = Fixture::new(BOTH).await;
    for (content, expected) in [
        ("", "access.yml:1:1: has no `rules`"),
        (
            "rules:\n  - {who: usrs, may: pull, on: '**'}\n",
            "access.yml:2:11: rules[0].who[0]: `usrs` is unknown",
        ),
        ("rules:\n  - {who: users, may: pu", "not valid YAML"),
    ] {
        fixture.write(content);
        let log = fixture.reload_if_changed();
        assert!(log.contains(expected) && log.contains("keeping the last valid 2 rules"), "{log}");
        assert!(fixture.file.is_stale());
        assert_eq!(fixture.reload_if_changed(), "");
        assert!(may_push(&fixture.file.last_valid()));
        assert!(fixture.file.reload().await.is_err());
    }
    fs::remove_file(fixture.dir.path().join("access.yml")).unwrap();
    assert!(fixture.reload_if_changed().contains("cannot be read"));
    assert_eq!(fixture.reload_if_changed(), "");
    fixture.write(BOTH);
    assert_eq!(fixture.reload_if_changed(), "");
    assert!(!fixture.file.is_stale());
    fixture.write("");
    assert!(fixture.reload_if_changed().contains("has no `rules`"));
    fixture.write(USERS);
    assert!(fixture.reload_if_changed().contains("0 came, 1 went"));
    assert!(!may_push(&fixture.file.last_valid()));
}

#[tokio::test]
async fn a_reload_says_at_once_whether_the_file_is_usable() {
    let fixture = Fixture::new(BOTH).await;
    fixture.write("");
    assert!(fixture.file.reload().await.is_err());
    assert!(fixture.file.is_stale());
    // The caller of the reload has logged it.
    assert_eq!(fixture.reload_if_changed(), "");
    fixture.write(USERS);
    fixture.file.reload().await.unwrap();
    assert!(!fixture.file.is_stale());
}

#[tokio::test]
async fn a_file_that_is_unusable_at_the_start_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let error = PolicyFile::open(dir.path().to_owned(), Audit::default()).await.unwrap_err();
    assert!(error.to_string().contains("is a directory"), "{error}");
    assert!(PolicyFile::check(dir.path().join("none")).await.is_err());
}
