//! crane, and through it go-containerregistry, which ko, kaniko and cosign use too.

use std::fs;

use serde_json::Value;

use super::support::{Guarded, assert_same_blobs, oci_layout, random, run, tool};

fn start() -> Guarded {
    let guarded = Guarded::start();
    oci_layout(&guarded.path(""), "v1", 3);
    guarded
}

#[test]
#[ignore = "needs crane and umoci"]
fn crane_pushes_copies_tags_and_deletes_with_a_password() {
    let guarded = start();
    let crane = |arguments: &str| guarded.run("crane", arguments);
    let name = |rest: &str| guarded.name(rest);
    let failed = guarded.fail("crane", &format!("push layout {}", name("app:v1")));
    assert!(failed.contains("401 Unauthorized"), "{failed}");
    guarded.log_in("crane", "auth login --username USER --password-stdin HOST");

    crane(&format!("push layout {}", name("app:v1")));
    let digest = crane(&format!("digest {}", name("app:v1")));
    crane(&format!("validate --remote {}", name("app:v1")));
    crane(&format!("tag {} v2", name("app:v1")));
    crane(&format!("copy {} {}", name("app:v1"), name("other/place:v1")));
    assert_eq!(crane(&format!("digest {}", name("other/place:v1"))), digest);
    assert_eq!(crane(&format!("ls {}", name("app"))), "v1\nv2");
    assert_eq!(crane(&format!("catalog {}", guarded.host())), "app\nother/place");

    crane(&format!("pull --format oci {} back", name("other/place:v1")));
    assert_same_blobs(&guarded.path("layout"), &guarded.path("back"));

    // A tag alone: the other one and the manifest stay.
    crane(&format!("delete {}", name("app:v2")));
    assert_eq!(crane(&format!("ls {}", name("app"))), "v1");
    crane(&format!("delete {}", name(&format!("app@{digest}"))));
    assert_eq!(crane(&format!("ls {}", name("app"))), "");
    let failed = guarded.fail("crane", &format!("manifest {}", name("app:v1")));
    assert!(failed.contains("MANIFEST_UNKNOWN"), "{failed}");
    crane(&format!("validate --remote {}", name("other/place:v1")));
}

#[test]
#[ignore = "needs crane and umoci"]
fn crane_builds_an_index_and_appends_a_layer() {
    let guarded = start();
    guarded.log_in("crane", "auth login --username USER --password-stdin HOST");
    let crane = |arguments: &str| guarded.run("crane", arguments);
    let name = |rest: &str| guarded.name(rest);
    crane(&format!("push layout {}", name("app:amd64")));
    crane(&format!("mutate --set-platform linux/arm64 -t {} {}", name("app:arm64"), name("app:amd64")));
    let (first, second) = (name("app:amd64"), name("app:arm64"));
    crane(&format!("index append -m {first} -m {second} -t {}", name("app:all")));
    let index: Value = serde_json::from_str(&crane(&format!("manifest {}", name("app:all")))).unwrap();
    let platforms: Vec<_> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|child| &child["platform"]["architecture"])
        .collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    for platform in ["amd64", "arm64"] {
        let chosen = crane(&format!("digest --platform linux/{platform} {}", name("app:all")));
        assert_eq!(chosen, crane(&format!("digest {}", name(&format!("app:{platform}")))));
    }

    fs::write(guarded.path("file"), random(200_000)).unwrap();
    run(tool("tar").current_dir(guarded.path("")).args(["--create", "--file", "layer.tar", "file"]));
    crane(&format!("append -b {first} -f layer.tar -t {}", name("more:v1")));
    crane(&format!("validate --remote {}", name("more:v1")));
    crane(&format!("export {} export.tar", name("more:v1")));
    let listed = run(tool("tar").args(["--list", "--file"]).arg(guarded.path("export.tar")));
    assert!(listed.contains("file"), "{listed}");
}
