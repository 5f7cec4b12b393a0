//! `registry usage`, by the built binary.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use sampan_engine::layout::Entry;
use serde_json::Value;

use super::support::{Ended, binary, end};
use crate::support::StoreFiles;

const CONFIG: &str = "version: 0.1
storage: {filesystem: {rootdirectory: data}}
";

fn site() -> (tempfile::TempDir, StoreFiles) {
    let site = tempfile::tempdir().unwrap();
    fs::write(site.path().join("config.yml"), CONFIG).unwrap();
    let store = StoreFiles::new(&site.path().join("data"));
    let shared = "shared".repeat(100);
    for (repository, layers) in [
        ("team/app", vec![shared.clone(), "x".repeat(5000)]),
        ("team/app/sub", vec![shared.clone()]),
        ("other", vec![shared]),
    ] {
        let image = store.image(repository, repository, &layers);
        store.tag(repository, "latest", &image);
    }
    store.blob("in no repository");
    (site, store)
}

fn registry(site: &Path, arguments: &str) -> Ended {
    end(binary(site).args(arguments.split(' ')), "")
}

#[test]
fn usage_is_that_of_the_last_collection_or_of_a_walk() {
    let (site, _) = site();
    let run = |arguments: &str| registry(site.path(), &format!("{arguments} --config config.yml"));
    let none = run("usage");
    assert_eq!(none.code, Some(1), "{none:?}");
    assert!(none.stderr.contains("this store has no survey yet: collect garbage, or pass `--walk`"));

    let walked = run("usage --walk");
    let lines: Vec<&str> = walked.stdout.lines().collect();
    assert!(lines[0].starts_with("REPOSITORY\tTAGS\tSIZE\tOWN\tSHARED\tLAST PUSH"), "{walked:?}");
    assert!(lines[1].starts_with("team/app\t1\t"), "the largest comes first: {walked:?}");
    assert!(
        lines[4].starts_with("3 repositories: ") && lines[4].contains("and 16 B that none of them links")
    );
    assert!(run("usage").code == Some(1), "a walk writes nothing");
    let part = run("usage --walk team/**");
    let last = part.stdout.lines().last().unwrap();
    assert!(
        last.starts_with("2 of 3 repositories; as of "),
        "the totals are not those of the part: {part:?}"
    );

    let collected = registry(site.path(), "garbage-collect --grace 0 config.yml");
    assert_eq!(collected.code, Some(0), "{collected:?}");
    let json = |arguments: &str| -> Value {
        let ended = run(&format!("{arguments} --format json"));
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
    };
    let all = json("usage");
    assert_eq!(all["repositories"].as_array().unwrap().len(), 3);
    assert_eq!(all["repositories"], json("usage --walk")["repositories"]);
    let app = &all["repositories"][0];
    let number = |value: &Value| value.as_u64().unwrap();
    assert_eq!(number(&app["shared_bytes"]), 600);
    assert_eq!(number(&app["own_bytes"]) + 600, number(&app["size_bytes"]));
    assert!(app["last_push"].is_string());
    assert_eq!(number(&all["all"]["stored_bytes"]), number(&all["all"]["linked_bytes"]));

    for (glob, expected) in [
        ("team/*", vec!["team/app"]),
        ("team/**", vec!["team/app", "team/app/sub"]),
        ("other", vec!["other"]),
    ] {
        let found = json(&format!("usage {glob}"));
        let found = found["repositories"].as_array().unwrap();
        let names: Vec<&str> = found.iter().map(|found| found["repository"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{glob}");
    }
}

#[test]
fn what_has_no_usage_is_refused_with_the_reason() {
    let (site, store) = site();
    for (arguments, code, expected) in [
        ("usage --walk nothing/**", 1, "no such repository: nothing/**"),
        ("usage --walk team/app:latest", 2, "only repositories have a usage"),
        ("usage --walk team/[", 2, "pattern is invalid"),
    ] {
        let ended = registry(site.path(), &format!("{arguments} --config config.yml"));
        assert!(ended.code == Some(code) && ended.stderr.contains(expected), "{arguments}: {ended:?}");
    }
    store.write(&Entry::Survey, "junk");
    let damaged = registry(site.path(), "usage --config config.yml");
    assert!(damaged.code == Some(1) && damaged.stderr.contains("is damaged: its first line"), "{damaged:?}");
}

#[test]
fn a_walk_that_cannot_see_a_part_of_the_store_speaks_of_no_deletion() {
    let (site, _) = site();
    let layers = site.path().join("data/docker/registry/v2/repositories/other/_layers/sha256");
    symlink("/nowhere", layers.join("dangling")).unwrap();
    let refused = registry(site.path(), "usage --walk --config config.yml");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("other/_layers/sha256/dangling cannot be seen"), "{refused:?}");
    assert!(!refused.stderr.contains("deleted"), "{refused:?}");
}
