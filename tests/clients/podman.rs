//! podman and buildah.

use std::fs;

use super::support::{filesystem_config, registry, run, tool};

#[test]
#[ignore = "needs podman and buildah, as root"]
fn buildah_pushes_and_podman_pulls() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path(), &filesystem_config(&directory.path().join("data")));
    let store = |name: &str| {
        let path = |kind: &str| directory.path().join(name).join(kind).display().to_string();
        [
            "--storage-driver".into(),
            "vfs".into(),
            "--root".into(),
            path("root"),
            "--runroot".into(),
            path("run"),
        ]
    };
    let file = directory.path().join("file");
    fs::write(&file, b"from buildah").unwrap();
    let buildah = |args: &[&str]| run(tool("buildah").args(store("buildah")).args(args)).trim().to_owned();
    let podman = |args: &[&str]| run(tool("podman").args(store("podman")).args(args)).trim().to_owned();

    let container = buildah(&["from", "scratch"]);
    buildah(&["copy", &container, file.to_str().unwrap(), "/file"]);
    let image = format!("{}/built/by/buildah:1", registry.host());
    buildah(&["commit", &container, &image]);
    buildah(&["push", "--tls-verify=false", &image]);

    podman(&["pull", "--tls-verify=false", &image]);
    let again = format!("{}/pushed/by/podman:1", registry.host());
    podman(&["tag", &image, &again]);
    podman(&["push", "--tls-verify=false", &again]);
    let search = podman(&[
        "search",
        "--tls-verify=false",
        "--list-tags",
        &format!("{}/pushed/by/podman", registry.host()),
    ]);
    assert!(search.contains("pushed/by/podman"), "{search}");
}
