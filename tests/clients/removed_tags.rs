//! Records of removed tags and the survey, in a store that Debian's `docker-registry` also serves and collects.

use std::process::Command;

use sampan_engine::layout::{self, Entry};
use sampan_engine::oci::media_type::OCI_MANIFEST;
use serde_json::Value;

use super::support::{debian_registry, filesystem_config, registry, run, tool, write_config};
use crate::support::StoreFiles;

#[test]
#[ignore = "needs docker-registry"]
fn distribution_leaves_records_of_removed_tags_alone_and_serves_a_restored_tag() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("data");
    let store = StoreFiles::new(&root);
    let image = store.image("team/app", "{}", &["a layer".to_owned()]);
    for tag in ["kept", "removed"] {
        store.tag("team/app", tag, &image);
    }
    let ours = registry(directory.path(), &filesystem_config(&root));
    let answer = ours.wire().send("DELETE", "/v2/team/app/manifests/removed", &[], b"");
    assert_eq!(answer.status, 202, "{answer:?}");
    drop(ours);
    let records = root.join(layout::removed_root().as_key());
    assert!(records.is_dir());
    let config = write_config(directory.path(), "ours.yml", &filesystem_config(&root));
    let ours = || Command::new(env!("CARGO_BIN_EXE_registry"));
    run(ours().arg("garbage-collect").arg(&config));
    assert!(store.has(&Entry::Survey));

    let listed = |path: &str, key: &str| -> Vec<String> {
        let theirs = debian_registry(directory.path(), &root);
        let answer = theirs.wire().send("GET", path, &[], b"");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let list: Value = serde_json::from_slice(&answer.body).unwrap();
        let texts = list[key].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned());
        let mut texts: Vec<String> = texts.collect();
        // It lists the tags of a directory in any order.
        texts.sort_unstable();
        texts
    };
    assert_eq!(listed("/v2/_catalog", "repositories"), ["team/app"]);
    assert_eq!(listed("/v2/team/app/tags/list", "tags"), ["kept"]);
    run(tool("docker-registry").arg("garbage-collect").arg(directory.path().join("debian.yml")));
    assert!(store.has(&Entry::Survey), "the collector of Distribution has taken the survey");

    let restore = ["tag", "restore", "team/app", "removed", "--config"];
    let said = run(ours().args(restore).arg(&config));
    assert!(said.contains(&image.to_string()), "{said}");
    assert_eq!(listed("/v2/team/app/tags/list", "tags"), ["kept", "removed"]);
    let theirs = debian_registry(directory.path(), &root);
    let answer =
        theirs.wire().send("GET", "/v2/team/app/manifests/removed", &[("Accept", OCI_MANIFEST)], b"");
    assert_eq!(answer.status, 200, "{answer:?}");
}
