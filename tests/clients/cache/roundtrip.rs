//! One directory, two caches: Debian's docker-registry fills it, ours continues, and Debian's serves all of it again.

use super::*;
use crate::clients::support::{assert_same_blobs, copy, debian_registry_with, oci_layout};

#[test]
#[ignore = "needs docker-registry, skopeo and umoci"]
fn a_directory_that_distribution_filled_is_served_and_goes_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let hub = Hub::start(&path("hub"), Login::Token);
    let layout = oci_layout(directory.path(), "v1", 3);
    for name in ["library/first:1", "library/partly:1", "library/second:1"] {
        hub.push(&format!("{}:v1", layout.display()), name);
    }
    let root = path("data");
    let config = format!(
        "{}proxy: {{remoteurl: 'http://{}', username: anne, password: secret}}\n",
        filesystem_config(&root),
        hub.host()
    );
    let pull = |registry: &RegistryProcess, name: &str, back: &str| {
        let back = path(back);
        copy(&format!("docker://{}/{name}", registry.host()), &format!("oci:{}:v1", back.display()), false);
        assert_same_blobs(&layout, &back);
    };
    let accept = ("Accept", "application/vnd.oci.image.manifest.v1+json");

    let mut theirs = debian_registry_with(directory.path(), &config);
    pull(&theirs, "library/first:1", "first");
    // A manifest whose content no client asked for.
    assert_eq!(theirs.wire().send("GET", "/v2/library/partly/manifests/1", &[accept], b"").status, 200);
    // It writes its own state some seconds later, and at its end.
    while !root.join("scheduler-state.json").exists() {
        std::thread::yield_now();
    }
    theirs.process.terminate();

    hub.asked();
    let mut ours = registry(directory.path(), &config);
    pull(&ours, "library/first:1", "first-by-ours");
    assert_eq!(hub.asked(), ["HEAD manifests 200"], "with `remoteurl` the tag is compared each time");
    pull(&ours, "library/partly:1", "partly");
    assert_eq!(hub.asked().iter().filter(|asked| *asked == "GET blobs 200").count(), 4);
    pull(&ours, "library/second:1", "second");
    assert!(root.join("scheduler-state.json").exists(), "it is Distribution's and stays");
    let refused = ours.wire().send("POST", "/v2/library/first/blobs/uploads/", &[], b"");
    assert_eq!(refused.status, 405);
    ours.process.terminate();

    let theirs = debian_registry_with(directory.path(), &config);
    hub.asked();
    for (name, back) in [("first", "a"), ("partly", "b"), ("second", "c")] {
        pull(&theirs, &format!("library/{name}:1"), back);
    }
    let asked = hub.asked();
    assert!(!asked.iter().any(|asked| asked.contains("blobs")), "{asked:?}");
}
