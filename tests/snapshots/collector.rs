//! The report of `registry garbage-collect`, as text and as JSON.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::check;
use crate::cli::support::{binary, end};
use crate::clients::support::filesystem_config;
use crate::support::StoreFiles;

/// A store with a tagged image, an untagged one, a blob without references and an upload.
fn store(directory: &Path) {
    let root = directory.join("data");
    let store = StoreFiles::new(&root);
    let image = store.image("team/app", "one", &["a layer".to_owned(), "shared".to_owned()]);
    store.tag("team/app", "v1", &image);
    store.image("team/app", "two", &["another layer".to_owned(), "shared".to_owned()]);
    store.blob("garbage");
    let config = filesystem_config(&root)
        .replace("  delete:", "  maintenance: {readonly: {enabled: true}}\n  delete:");
    fs::write(directory.join("config.yml"), config).unwrap();
}

fn collect(args: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    store(directory.path());
    let ended = end(binary(directory.path()).arg("garbage-collect").args(args).arg("config.yml"), "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout
}

#[test]
fn the_page_for_operators_names_every_field_of_the_report() {
    let page = include_str!("../../docs/garbage-collection.md");
    let (_, page) = page.split_once("### The report").unwrap();
    let report: Value = serde_json::from_str(include_str!("gc-collection.json")).unwrap();
    for field in report.as_object().unwrap().keys() {
        assert!(
            page.contains(&format!("`{field}`")),
            "the table of the report in docs/garbage-collection.md does not name {field}"
        );
    }
}

#[test]
fn the_reports_of_a_collection_are_as_recorded() {
    for (name, args) in
        [("dry-run", &["--dry-run"][..]), ("collection", &[]), ("untagged", &["--delete-untagged"])]
    {
        let text = collect(args);
        let lines: Vec<&str> =
            text.lines().map(|line| line.trim_end().split(" in ").next().unwrap()).collect();
        check(&format!("gc-{name}.txt"), &(lines.join("\n") + "\n"));
        let mut report: Value =
            serde_json::from_str(&collect(&[args, &["--format", "json"]].concat())).unwrap();
        for field in ["duration_secs", "started"] {
            if let Some(value) = report.get_mut(field) {
                *value = "…".into();
            }
        }
        check(&format!("gc-{name}.json"), &(serde_json::to_string_pretty(&report).unwrap() + "\n"));
    }
}
