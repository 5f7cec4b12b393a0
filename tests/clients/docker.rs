//! The Docker engine and its client.

use super::support::{Dockerd, filesystem_config, multi_platform_layout, registry, run, tool};

#[test]
#[ignore = "needs docker, buildah and skopeo, as root"]
fn docker_pushes_and_pulls_what_it_pushed() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path(), &filesystem_config(&directory.path().join("data")));
    let docker = Dockerd::start();
    let image = format!("{}/some/where/app:1.0", registry.host());

    let big: Vec<u8> = (0..3_000_000).map(|_| rand::random()).collect();
    docker.build(&image, &[b"first", &big, b"third"]);
    docker.push_and_pull(&image);

    // The client mounts the same layers into another repository instead of sending them.
    let other = format!("{}/other:1.0", registry.host());
    docker.run(&["tag", &image, &other]);
    let output = docker.run(&["push", &other]);
    assert!(output.contains("Mounted from some/where/app"), "{output}");

    // On the second push, everything is there.
    let output = docker.run(&["push", &other]);
    assert!(output.contains("Layer already exists"), "{output}");
}

#[test]
#[ignore = "needs docker, as root"]
fn docker_pushes_an_imported_image() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path(), &filesystem_config(&directory.path().join("data")));
    let docker = Dockerd::start();
    let archive = directory.path().join("rootfs.tar");
    run(tool("tar").arg("--create").arg("--file").arg(&archive).args(["--directory", "/etc", "hostname"]));
    let image = format!("{}/imported:latest", registry.host());
    docker.run(&["import", archive.to_str().unwrap(), &image]);
    docker.push_and_pull(&image);
}

#[test]
#[ignore = "needs docker, buildah and skopeo, as root"]
fn docker_pulls_its_platform_from_an_index() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path(), &filesystem_config(&directory.path().join("data")));
    let layout = multi_platform_layout(directory.path());
    let image = format!("{}/multi:all", registry.host());
    let target = format!("docker://{image}");
    run(tool("skopeo")
        .args(["copy", "--all", "--dest-tls-verify=false"])
        .args([&format!("oci:{}:all", layout.display()), &target]));

    let docker = Dockerd::start();
    docker.run(&["pull", &image]);
    let platform = docker.run(&["image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", &image]);
    assert_eq!(platform, "linux/amd64");
    docker.run(&["pull", "--platform", "linux/arm64", &image]);
    let platform = docker.run(&["image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", &image]);
    assert_eq!(platform, "linux/arm64");
}
