//! What clients print of a refusal: of an error's body, most show the `message` alone.

use std::fs;

use super::support::{Dockerd, RegistryProcess, fail, filesystem_config, oci_layout, registry, run, tool};

/// What a client prints of each refusal, behind words of its own.
const READ_ONLY: &str = "read-only at the moment (maintenance)";
const NO_DELETION: &str = "deletion is not enabled in this registry's configuration";

fn read_only(directory: &std::path::Path) -> RegistryProcess {
    let config = filesystem_config(&directory.join("data"));
    let config = config.replace("  delete:", "  maintenance: {readonly: {enabled: true}}\n  delete:");
    fs::create_dir_all(directory.join("data")).unwrap();
    registry(directory, &config)
}

#[test]
#[ignore = "needs docker, as root"]
fn docker_says_why_it_may_not_push() {
    let directory = tempfile::tempdir().unwrap();
    let registry = read_only(directory.path());
    let docker = Dockerd::start();
    let image = format!("{}/app:1.0", registry.host());
    docker.build(&image, &[b"a layer"]);
    let told = docker.fail(&["push", &image]);
    assert!(told.contains(READ_ONLY), "{told}");
}

#[test]
#[ignore = "needs skopeo and umoci"]
fn skopeo_says_why_it_may_not_push_or_delete() {
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(directory.path(), "v1", 1);
    let source = format!("oci:{}:v1", layout.display());
    let read_only = read_only(directory.path());
    let target = format!("docker://{}/app:v1", read_only.host());
    let told = fail(tool("skopeo").args(["copy", "--dest-tls-verify=false", &source, &target]));
    assert!(told.contains(READ_ONLY), "{told}");
    drop(read_only);

    let config = filesystem_config(&directory.path().join("data"))
        .replace("delete: {enabled: true}", "delete: {enabled: false}");
    let registry = registry(directory.path(), &config);
    let target = format!("docker://{}/app:v1", registry.host());
    run(tool("skopeo").args(["copy", "--dest-tls-verify=false", &source, &target]));
    let told = fail(tool("skopeo").args(["delete", "--tls-verify=false", &target]));
    assert!(told.contains(NO_DELETION), "{told}");
}
