//! The image that `Dockerfile` makes, run as people run `registry:3`.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::support::{Dockerd, Process, run, tool};
use crate::support::image_configs::GUIDE;

/// Who the registry is in its container.
const USER: u32 = 65532;

#[test]
#[ignore = "needs docker, skopeo and htpasswd, as root"]
fn the_image_takes_the_place_of_registry_3() {
    let docker = Dockerd::start();
    build_image(&docker);
    it_has_the_registry_in_it_and_nothing_else(&docker);
    it_serves_without_any_configuration(&docker);
    it_names_the_directory_that_it_may_not_write(&docker);
    it_is_served_as_in_the_guide(&docker);
}

fn it_has_the_registry_in_it_and_nothing_else(docker: &Dockerd) {
    let config = docker.run(&["image", "inspect", "--format", "{{json .Config}}", "sampan"]);
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], json!(["/bin/registry"]));
    assert_eq!(config["Cmd"], json!(["serve", "/etc/distribution/config.yml"]));
    assert_eq!(config["ExposedPorts"], json!({"5000/tcp": {}}));
    assert_eq!(config["Volumes"], json!({"/var/lib/registry": {}}));

    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("files.tar");
    let id = docker.run(&["create", "sampan"]);
    docker.run(&["export", "--output", archive.to_str().unwrap(), &id]);
    docker.run(&["rm", "--volumes", &id]);
    let files = run(tool("tar").arg("-tf").arg(&archive));
    // Docker adds some of its own: empty files to mount things over.
    for file in files.lines().filter(|file| !file.ends_with('/')) {
        let known = ["bin/registry", "etc/distribution/config.yml", "tmp/.keep", "var/lib/registry/.keep"];
        let dockers =
            [".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"];
        assert!(known.contains(&file) || dockers.contains(&file), "{files}");
    }
}

/// `docker run -d registry:3`, but for the port: the one of the image may be taken on this machine.
fn it_serves_without_any_configuration(docker: &Dockerd) {
    // A name, because a binary without shared libraries must be able to look one up.
    let registry = Container::run(docker, &["--env=REGISTRY_HTTP_ADDR=localhost:0"], &[]);
    let image = format!("{}/some/app:1", registry.host());
    docker.build(&image, &[b"a layer", b"another"]);
    docker.push_and_pull(&image);
    let version = docker.run(&["run", "--rm", "--network=none", "sampan", "--version"]);
    assert_eq!(version, format!("registry sampan v{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(registry.stop(), "0");
}

/// What everybody meets who comes from `registry:3`, which is root in its container.
fn it_names_the_directory_that_it_may_not_write(docker: &Dockerd) {
    let directory = tempfile::tempdir().unwrap();
    let volume = format!("--volume={}:/var/lib/registry", directory.path().display());
    let mut command = docker.docker();
    command.args([
        "run",
        "--rm",
        "--network=host",
        "--env=REGISTRY_HTTP_ADDR=localhost:0",
        &volume,
        "sampan",
    ]);
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("/var/lib/registry") && error.contains("65532"), "{error}");
}

/// Certificates, passwords, configuration and data where the guide's compose file mounts them.
fn it_is_served_as_in_the_guide(docker: &Dockerd) {
    let site = tempfile::tempdir().unwrap();
    let path = |name: &str| site.path().join(name);
    for name in ["auth", "certs", "data"] {
        fs::create_dir(path(name)).unwrap();
    }
    fs::write(path("config.yml"), GUIDE).unwrap();
    docker.run(&[
        "run",
        "--rm",
        "--user=0:0",
        "--network=none",
        &format!("--volume={}:/certs", path("certs").display()),
        "sampan",
        "certificate",
        "--out=/certs",
        "127.0.0.1",
    ]);
    run(tool("htpasswd").arg("-Bbc").arg(path("auth/htpasswd")).args(["alice", "wonderland"]));
    for name in ["auth", "auth/htpasswd", "certs/domain.key", "data"] {
        chown(path(name), Some(USER), Some(USER)).unwrap();
    }
    let volume = |from: &str, to: &str| format!("--volume={}:{to}", path(from).display());
    let registry = Container::run(
        docker,
        &[
            &volume("data", "/var/lib/registry"),
            &volume("certs", "/certs:ro"),
            &volume("auth", "/auth"),
            &volume("config.yml", "/etc/distribution/config.yml:ro"),
            "--env=REGISTRY_HTTP_ADDR=127.0.0.1:0",
            "--env=REGISTRY_HTTP_TLS_CERTIFICATE=/certs/domain.crt",
            "--env=REGISTRY_HTTP_TLS_KEY=/certs/domain.key",
            "--env=REGISTRY_AUTH=htpasswd",
            "--env=REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd",
            "--env=REGISTRY_AUTH_HTPASSWD_REALM=Registry Realm",
        ],
        &["/etc/distribution/config.yml"],
    );
    let host = registry.host();
    docker.run(&["login", "--username=alice", "--password=wonderland", &host]);
    let image = format!("{host}/registry:3");
    docker.build(&image, &[b"a layer", b"another"]);
    docker.push_and_pull(&image);
    assert!(path("data/docker/registry/v2/repositories/registry").is_dir());

    // `latest` hides what it pointed at before, and the collection finds it.
    docker.build(&image, &[b"something else"]);
    docker.run(&["push", &image]);
    for binary in ["bin/registry", "registry"] {
        let collect = [
            "garbage-collect",
            "--dry-run",
            "--delete-untagged",
            "--grace=0s",
            "/etc/distribution/config.yml",
        ];
        let report = registry.exec(&[&[binary], collect.as_slice()].concat());
        assert!(report.contains("blob eligible for deletion: sha256:"), "{report}");
    }
    // The guide names the place of version 2, where nothing is.
    registry.exec(&[
        "bin/registry",
        "garbage-collect",
        "--delete-untagged=true",
        "/etc/docker/registry/config.yml",
    ]);
    let users = registry.exec(&["registry", "htpasswd", "list", "/auth/htpasswd"]);
    assert!(users.contains("alice"), "{users}");
    docker.run(&["kill", "--signal=HUP", &registry.id]);
    registry.log.wait_for(|line| line.contains("SIGHUP").then_some(()));
    docker.run(&["pull", &image]);
    assert_eq!(registry.stop(), "0");
}

/// A running container, removed at the end.
struct Container<'a> {
    docker: &'a Dockerd,
    id: String,
    log: Process,
}

impl<'a> Container<'a> {
    /// Runs the image with these options. There is no bridge in a sandbox: the container has the host's network.
    #[track_caller]
    fn run(docker: &'a Dockerd, options: &[&str], arguments: &[&str]) -> Self {
        let mut command = docker.docker();
        command.args(["run", "--detach", "--network=host", "--read-only", "--cap-drop=ALL"]);
        let id = run(command.args(options).arg("sampan").args(arguments)).trim().to_owned();
        let log = Process::start(docker.docker().args(["logs", "--follow", &id]));
        Self { docker, id, log }
    }

    /// Waits until it serves, and tells where.
    #[track_caller]
    fn host(&self) -> String {
        self.log.wait_for(|line| {
            line.split_once("listening on ")?.1.split(['"', ',', ' ']).next().map(str::to_owned)
        })
    }

    /// A command in it, as `docker exec` has it.
    #[track_caller]
    fn exec(&self, arguments: &[&str]) -> String {
        self.docker.run(&[&["exec", &self.id], arguments].concat())
    }

    /// Ends it in the orderly way, and gives its exit code.
    #[track_caller]
    fn stop(&self) -> String {
        self.docker.run(&["stop", &self.id]);
        self.docker.run(&["wait", &self.id])
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = self.docker.docker().args(["rm", "--force", "--volumes", &self.id]).output();
    }
}

/// Builds the image by the Dockerfile's own words, but for the profile.
#[track_caller]
fn build_image(docker: &Dockerd) {
    let directory = tempfile::tempdir().unwrap();
    let context = directory.path().join("context");
    fs::create_dir_all(context.join("target/release")).unwrap();
    let mut copy = tool("cp");
    copy.current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "-r",
        ".dockerignore",
        "Dockerfile",
        "config-samples",
    ]);
    run(copy.arg(&context));
    fs::copy(static_binary(directory.path()), context.join("target/release/registry")).unwrap();
    docker.run(&["build", "--quiet", "--tag", "sampan", context.to_str().unwrap()]);
}

/// Links the binary once more, without a need for shared libraries. What was compiled for the tests is used again, but the
/// result goes where no other test looks for the binary.
fn static_binary(directory: &Path) -> PathBuf {
    let compiled = Path::new(env!("CARGO_BIN_EXE_registry")).ancestors().nth(2).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["rustc", "--quiet", "--locked", "--bin", "registry"]);
    cargo.arg("--config").arg(format!("build.build-dir = {compiled:?}"));
    cargo.arg("--target-dir").arg(directory);
    run(cargo.args(["--", "-C", "target-feature=+crt-static", "-C", "strip=debuginfo"]));
    directory.join("debug/registry")
}
