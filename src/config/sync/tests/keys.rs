//! Jobs as they are read.

use std::time::Duration;

use super::PROXY;
use crate::checked::checked;
use crate::{Config, Environment, Source, for_distribution, show};

#[test]
fn a_job_has_its_defaults() {
    let checked = checked(
        &format!("{PROXY}sync: [{{ name: base, from: hub, repositories: [{{ from: a/b }}] }}]\n"),
        &[],
    );
    assert_eq!((checked.mistakes.as_str(), checked.warnings.as_str()), ("", ""));
    let [job] = checked.config.sync.as_slice() else { panic!("one job") };
    assert_eq!((job.name.as_str(), job.from.as_str()), ("base", "hub"));
    assert_eq!((job.interval, job.window, job.reserve), (Duration::from_secs(6 * 3600), None, 0));
    let [repository] = job.repositories.as_slice() else { panic!("one repository") };
    assert!(repository.from.is_exact());
    assert_eq!((&repository.to, repository.referrers, repository.prune), (&None, true, false));
    assert!(repository.tags.allow.is_empty() && repository.tags.deny.is_empty());
    assert!(repository.tags.semver.is_none() && repository.tags.newest.is_none());
    assert!(repository.platforms.is_empty());
}

#[test]
fn every_key_is_read() {
    let file = format!(
        "{PROXY}
sync:
  - name: base
    from: hub
    interval: 1h
    window: 02:00-05:00
    reserve: 20
    repositories:
      - from: library/debian
        to: base/debian
        tags: {{ allow: ['^1[23]'], deny: '-slim$', semver: '>=12, <14', newest: 5 }}
        platforms: [linux/amd64, linux/arm64/v8]
        referrers: false
        prune: true
"
    );
    let checked = checked(&file, &[]);
    assert_eq!((checked.mistakes.as_str(), checked.warnings.as_str()), ("", ""));
    let job = &checked.config.sync[0];
    assert_eq!((job.interval, job.reserve), (Duration::from_secs(3600), 20));
    assert_eq!(job.window.map(|window| window.to_string()).as_deref(), Some("02:00-05:00 UTC"));
    let repository = &job.repositories[0];
    assert_eq!(repository.to.as_deref(), Some("base/debian"));
    assert!(repository.tags.allow[0].as_regex().is_match("12.1"));
    assert!(repository.tags.deny[0].as_regex().is_match("12.1-slim"));
    assert_eq!(repository.tags.semver.as_ref().map(ToString::to_string).as_deref(), Some(">=12, <14"));
    assert_eq!(repository.tags.newest, Some(5));
    assert_eq!(repository.platforms, ["linux/amd64", "linux/arm64/v8"]);
    assert!(!repository.referrers && repository.prune);
}

#[test]
fn variables_add_and_change_jobs() {
    let file = format!("{PROXY}sync: [{{ name: base, from: hub, repositories: [{{ from: a/b }}] }}]\n");
    let checked = checked(
        &file,
        &[
            ("REGISTRY_SYNC_0_INTERVAL", "2h"),
            ("REGISTRY_SYNC_0_REPOSITORIES_0_TAGS_NEWEST", "3"),
            ("REGISTRY_SYNC_1_NAME", "tools"),
            ("REGISTRY_SYNC_1_FROM", "quay"),
            ("REGISTRY_SYNC_1_REPOSITORIES", "[{ from: coreos/etcd }]"),
        ],
    );
    assert_eq!((checked.mistakes.as_str(), checked.warnings.as_str()), ("", ""));
    let [base, tools] = checked.config.sync.as_slice() else { panic!("two jobs") };
    assert_eq!(base.interval, Duration::from_secs(2 * 3600));
    assert_eq!(base.repositories[0].tags.newest, Some(3));
    assert_eq!((tools.name.as_str(), tools.repositories[0].from.as_str()), ("tools", "coreos/etcd"));
}

#[test]
fn without_jobs_there_is_none() {
    for sync in ["", "sync: []\n", "sync:\n"] {
        let checked = checked(&format!("{PROXY}{sync}"), &[]);
        assert_eq!((checked.mistakes.as_str(), checked.config.sync.len()), ("", 0), "{sync}");
    }
}

#[test]
fn config_show_prints_each_value_with_its_place_and_distribution_ignores_all() {
    let text = format!(
        "{PROXY}sync: [{{ name: base, from: quay, repositories: [{{ from: 'a/*', tags: {{ semver: '>=1, <2', allow: ['^x'] }} }}] }}]\n"
    );
    let source = Source::Text { name: "config.yml".to_owned(), text };
    let loaded = Config::load(source, &Environment::default()).unwrap();
    let shown = show(&loaded);
    let sync = &shown[shown.find("sync:").unwrap()..shown.find("validation:").unwrap_or(shown.len())];
    assert_eq!(
        sync,
        "\
sync:
  - name: base  # config.yml:4
    from: quay  # config.yml:4
    interval: 6h  # default
    reserve: 0  # default
    repositories:
      - from: \"a/*\"  # config.yml:4
        tags:
          allow:
            - \"^x\"  # config.yml:4
          semver: \">=1, <2\"  # config.yml:4
        referrers: true  # default
        prune: false  # default
"
    );
    let found = for_distribution(&loaded);
    assert_eq!(found.refused, []);
    assert!(found.ignored.iter().any(|ignored| ignored.path == "sync"), "{:?}", found.ignored);
}
