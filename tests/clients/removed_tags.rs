//! Records of removed tags, in a store that Debian's `docker-registry` also serves and collects.

use std::process::Command;

use sampan_engine::layout;
use serde_json::{Value, json};

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

    let listed = |path: &str| -> Value {
        let theirs = debian_registry(directory.path(), &root);
        let answer = theirs.wire().send("GET", path, &[], b"");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        serde_json::from_slice(&answer.body).unwrap()
    };
    assert_eq!(listed("/v2/_catalog")["repositories"], json!(["team/app"]));
    assert_eq!(listed("/v2/team/app/tags/list")["tags"], json!(["kept"]));
    run(tool("docker-registry").arg("garbage-collect").arg(directory.path().join("debian.yml")));

    let config = write_config(directory.path(), "restore.yml", &filesystem_config(&root));
    let restore = ["tag", "restore", "team/app", "removed", "--config"];
    let said = run(Command::new(env!("CARGO_BIN_EXE_registry")).args(restore).arg(config));
    assert!(said.contains(&image.to_string()), "{said}");
    assert_eq!(listed("/v2/team/app/tags/list")["tags"], json!(["kept", "removed"]));
    let theirs = debian_registry(directory.path(), &root);
    let answer = theirs.wire().send("GET", "/v2/team/app/manifests/removed", &[], b"");
    assert_eq!(answer.status, 200, "{answer:?}");
}
