//! An index of referrers in a store that Debian's `docker-registry` also serves, writes and collects.

use std::path::Path;
use std::process::Command;

use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use sampan_engine::oci::media_type::{OCI_INDEX, OCI_MANIFEST};
use serde_json::{Value, json};

use super::support::{
    RegistryProcess, debian_registry, filesystem_config, registry, run, tool, write_config,
};
use crate::support::StoreFiles;

const REPOSITORY: &str = "team/app";

#[test]
#[ignore = "needs docker-registry"]
fn distribution_leaves_an_index_alone_and_what_it_changes_is_healed() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("data");
    let store = StoreFiles::new(&root);
    let layers = ["a layer".to_owned()];
    let image = store.image_manifest(REPOSITORY, "{}", &layers);
    let subject = store.manifest(REPOSITORY, &image);
    store.tag(REPOSITORY, "latest", &subject);
    let artifact = |kind: &str| {
        let mut artifact = store.image_manifest(REPOSITORY, "{}", &layers);
        artifact["artifactType"] = kind.into();
        artifact["subject"] = json!({ "mediaType": OCI_MANIFEST, "digest": subject.to_string(), "size": image.to_string().len() });
        artifact
    };
    let [deleted, kept, tagged, untagged] = ["a/deleted", "a/kept", "a/tagged", "a/untagged"].map(&artifact);
    for early in [&deleted, &kept] {
        store.manifest(REPOSITORY, early);
    }

    let ours = registry(directory.path(), &filesystem_config(&root));
    assert_eq!(listed(&ours, &subject), sorted(&[&deleted, &kept]));
    drop(ours);
    let index = |name: &str| {
        let entry = Entry::Referrer(REPOSITORY.parse().unwrap(), subject.clone(), digest(artifact(name)));
        store.path(&entry).exists()
    };
    assert!(index("a/deleted") && index("a/kept"));

    let theirs = debian_registry(directory.path(), &root);
    let mut wire = theirs.wire();
    let mut send = |method: &str, path: &str, kind: &str, body: &str| {
        let answer = wire.send(method, path, &[("Content-Type", kind)], body.as_bytes());
        assert!((200..300).contains(&answer.status), "{method} {path}: {answer:?}");
        answer
    };
    let manifests = format!("/v2/{REPOSITORY}/manifests");
    for late in [&tagged, &untagged] {
        send("PUT", &format!("{manifests}/{}", digest(late.clone())), OCI_MANIFEST, &late.to_string());
    }
    let list = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{
            "mediaType": OCI_MANIFEST, "digest": digest(tagged.clone()).to_string(),
            "size": tagged.to_string().len(), "artifactType": "a/tagged",
        }],
    });
    let fallback = subject.to_string().replace(':', "-");
    send("PUT", &format!("{manifests}/{fallback}"), OCI_INDEX, &list.to_string());
    send("DELETE", &format!("{manifests}/{}", digest(deleted.clone())), OCI_MANIFEST, "");
    let catalog: Value = serde_json::from_slice(&send("GET", "/v2/_catalog", "", "").body).unwrap();
    assert_eq!(catalog["repositories"], json!([REPOSITORY]));
    drop(theirs);
    run(tool("docker-registry").arg("garbage-collect").arg(directory.path().join("debian.yml")));
    assert!(index("a/deleted") && index("a/kept"), "the collector of Distribution has taken the index");

    // At once: a deleted referrer is gone, and the one that the tag names is there.
    let ours = registry(directory.path(), &filesystem_config(&root));
    assert_eq!(listed(&ours, &subject), sorted(&[&kept, &tagged]));
    drop(ours);
    // The next collection adds the rest.
    collect(directory.path(), &root);
    let ours = registry(directory.path(), &filesystem_config(&root));
    assert_eq!(listed(&ours, &subject), sorted(&[&kept, &tagged, &untagged]));
    assert!(index("a/untagged") && !index("a/deleted"));
}

fn collect(directory: &Path, root: &Path) {
    let read_only = "  maintenance: {readonly: {enabled: true}}\n  delete:";
    let config = filesystem_config(root).replace("  delete:", read_only);
    let path = write_config(directory, "collect.yml", &config);
    run(Command::new(env!("CARGO_BIN_EXE_registry")).arg("garbage-collect").arg(path));
}

fn listed(registry: &RegistryProcess, subject: &Digest) -> Vec<String> {
    let path = format!("/v2/{REPOSITORY}/referrers/{subject}");
    let answer = registry.wire().send("GET", &path, &[], b"");
    assert_eq!(answer.status, 200, "{answer:?}");
    let index: Value = serde_json::from_slice(&answer.body).unwrap();
    let manifests = index["manifests"].as_array().unwrap();
    manifests.iter().map(|descriptor| descriptor["digest"].as_str().unwrap().to_owned()).collect()
}

fn sorted(manifests: &[&Value]) -> Vec<String> {
    let mut digests: Vec<String> =
        manifests.iter().map(|manifest| digest((*manifest).clone()).to_string()).collect();
    digests.sort_unstable();
    digests
}

fn digest(manifest: Value) -> Digest {
    Digest::sha256_of(manifest.to_string().as_bytes())
}
