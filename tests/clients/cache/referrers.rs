//! Signatures and SBOMs that are attached at the upstream, found through the cache by oras.

use std::fs;

use serde_json::Value;

use super::*;
use crate::clients::support::{run, tool};

#[test]
#[ignore = "needs oras and docker-registry"]
fn oras_finds_through_the_cache_what_is_attached_at_the_upstream() {
    let directory = tempfile::tempdir().unwrap();
    let hub = Hub::start(&directory.path().join("hub"), Login::Token);
    fs::write(directory.path().join("model"), "a model").unwrap();
    fs::write(directory.path().join("sbom.json"), "{\"a\": \"bill\"}").unwrap();
    let oras = |arguments: &str| {
        let mut command = tool("oras");
        command.current_dir(directory.path()).env("HOME", directory.path());
        run(command.args(arguments.split_whitespace())).trim().to_owned()
    };
    let there = format!("{}/team/model:1", hub.host());
    oras(&format!("login --plain-http --username anne --password secret {}", hub.host()));
    oras(&format!(
        "push --plain-http {there} --artifact-type application/vnd.model model:application/octet-stream"
    ));
    oras(&format!(
        "attach --plain-http {there} --artifact-type application/vnd.sbom sbom.json:application/json"
    ));

    let cache_folder = directory.path().join("cache");
    let mut cache_process = cache(&cache_folder, &upstream(&hub, ACCOUNT), "", "");
    let discover = |cache: &RegistryProcess| -> Value {
        let here = format!("{}/docker.io/team/model:1", cache.host());
        serde_json::from_str(&oras(&format!("discover --plain-http --format json {here}"))).unwrap()
    };
    let found = discover(&cache_process);
    assert_eq!(found["referrers"][0]["artifactType"], "application/vnd.sbom", "{found}");
    let sbom = found["referrers"][0]["digest"].as_str().unwrap().to_owned();
    let pull = |cache: &RegistryProcess| {
        let here = format!("{}/docker.io/team/model", cache.host());
        let _ = fs::remove_dir_all(directory.path().join("pulled"));
        oras(&format!("pull --plain-http {here}@{sbom} -o pulled"));
        oras(&format!("pull --plain-http {here}:1 -o pulled"));
        assert_eq!(
            fs::read_to_string(directory.path().join("pulled/sbom.json")).unwrap(),
            "{\"a\": \"bill\"}"
        );
    };
    pull(&cache_process);
    cache_process.process.terminate();

    // What was pulled is still attached while the upstream is away.
    drop(hub);
    let offline = "{name: hub, url: 'http://127.0.0.1:1', prefix: docker.io}";
    let alone = cache(&cache_folder, offline, "", "");
    assert_eq!(discover(&alone)["referrers"][0]["digest"], sbom);
    pull(&alone);
}
