//! oras, and through it oras-go: artifacts, and what refers to them.

use std::fs;

use serde_json::Value;

use super::support::{Guarded, random};

fn start() -> Guarded {
    let guarded = Guarded::start();
    fs::write(guarded.path("model"), random(400_000)).unwrap();
    fs::write(guarded.path("sbom.json"), "{\"a\": \"bill\"}").unwrap();
    let failed = guarded.fail("oras", &format!("push {} model", guarded.name("art:1")));
    assert!(failed.contains("basic credential not found"), "{failed}");
    guarded.log_in("oras", "login --username USER --password-stdin HOST");
    guarded
}

#[test]
#[ignore = "needs oras"]
fn oras_attaches_discovers_and_copies_a_graph() {
    let guarded = start();
    let oras = |arguments: &str| guarded.run("oras", arguments);
    let name = |rest: &str| guarded.name(rest);
    oras(&format!(
        "push {} --artifact-type application/vnd.model model:application/octet-stream",
        name("art:1")
    ));
    oras(&format!(
        "attach {} --artifact-type application/vnd.sbom sbom.json:application/json",
        name("art:1")
    ));
    let discover = |repository: &str, options: &str| -> Value {
        let printed = oras(&format!("discover --format json {options} {}", name(repository)));
        serde_json::from_str(&printed).unwrap()
    };
    let found = discover("art:1", "");
    assert_eq!(found["referrers"][0]["artifactType"], "application/vnd.sbom", "{found}");
    let sbom = found["referrers"][0]["digest"].as_str().unwrap().to_owned();
    // A signature of the bill, so the graph has two levels.
    let signed = name(&format!("art@{sbom}"));
    oras(&format!("attach {signed} --artifact-type application/vnd.signature sbom.json:text/plain"));
    let none = discover("art:1", "--artifact-type application/vnd.other");
    assert_eq!(none["referrers"].as_array().map(Vec::len), Some(0), "{none}");

    oras(&format!("copy --recursive {} {}", name("art:1"), name("mirror/art:1")));
    let copied = discover("mirror/art:1", "");
    assert_eq!(copied["digest"], found["digest"]);
    assert_eq!(
        copied["referrers"][0]["referrers"][0]["artifactType"], "application/vnd.signature",
        "{copied}"
    );
    oras(&format!("pull {} --output pulled", name("mirror/art:1")));
    assert!(fs::read(guarded.path("pulled/model")).unwrap() == fs::read(guarded.path("model")).unwrap());

    // Only the API was used, no fallback tag.
    for api in ["v1.1-referrers-api", "v1.1-referrers-tag"] {
        let listed = discover("mirror/art:1", &format!("--distribution-spec {api}"));
        let referrers = listed["referrers"].as_array().map_or(0, Vec::len);
        assert_eq!(referrers, usize::from(api == "v1.1-referrers-api"), "{api}: {listed}");
    }
}

#[test]
#[ignore = "needs oras"]
fn oras_tags_lists_and_deletes() {
    let guarded = start();
    let oras = |arguments: &str| guarded.run("oras", arguments);
    let name = |rest: &str| guarded.name(rest);
    oras(&format!("push {} model", name("art:1")));
    oras(&format!("tag {} 2 3", name("art:1")));
    assert_eq!(oras(&format!("repo tags {}", name("art"))), "1\n2\n3");
    oras(&format!("push {} sbom.json", name("art:4")));
    assert_eq!(oras(&format!("repo ls {}", guarded.host())), "art");
    // It resolves the tag, and deletes the manifest with all its tags.
    oras(&format!("manifest delete --force {}", name("art:3")));
    assert_eq!(oras(&format!("repo tags {}", name("art"))), "4");

    oras(&format!("manifest index create {} 4", name("art:all")));
    let index: Value = serde_json::from_str(&oras(&format!("manifest fetch {}", name("art:all")))).unwrap();
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(1), "{index}");

    oras(&format!("blob push {} model", name("art")));
    let digest = sampan_engine::oci::Digest::sha256_of(&fs::read(guarded.path("model")).unwrap());
    oras(&format!("blob fetch --output fetched {}", name(&format!("art@{digest}"))));
    assert!(fs::read(guarded.path("fetched")).unwrap() == fs::read(guarded.path("model")).unwrap());
    oras(&format!("blob delete --force {}", name(&format!("art@{digest}"))));
    guarded.fail("oras", &format!("blob fetch --output fetched {}", name(&format!("art@{digest}"))));
}

#[test]
#[ignore = "needs oras"]
fn oras_backs_up_a_repository_and_restores_it_elsewhere() {
    let guarded = start();
    let oras = |arguments: &str| guarded.run("oras", arguments);
    let name = |rest: &str| guarded.name(rest);
    for (tag, file) in [("1", "model"), ("2", "sbom.json")] {
        oras(&format!("push {} {file}", name(&format!("art:{tag}"))));
        let subject = name(&format!("art:{tag}"));
        oras(&format!("attach {subject} --artifact-type application/vnd.sbom sbom.json"));
    }
    oras(&format!("backup --include-referrers --output backup.tar {}", name("art")));
    oras(&format!("restore --input backup.tar {}", name("restored")));
    assert_eq!(oras(&format!("repo tags {}", name("restored"))), "1\n2");
    for tag in ["1", "2"] {
        let digest = |repository: &str| oras(&format!("resolve {}", name(&format!("{repository}:{tag}"))));
        assert_eq!(digest("restored"), digest("art"));
        let found = oras(&format!("discover {}", name(&format!("restored:{tag}"))));
        assert!(found.contains("application/vnd.sbom"), "{found}");
    }
}
