//! The image that `Dockerfile` builds, run as users run `registry:3`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::support::{Dockerd, Process, fail, run, tool};
use crate::support::image_configs::GUIDE;

/// The other image, in which the registry is not root.
const NONROOT: &str = "sampan-nonroot";

#[test]
#[ignore = "needs docker, skopeo and htpasswd, as root"]
fn the_image_takes_the_place_of_registry_3() {
    let docker = Dockerd::start();
    build_images(&docker);
    it_has_the_registry_in_it_and_nothing_else(&docker);
    it_serves_without_any_configuration(&docker);
    the_other_image_names_the_directory_that_it_may_not_write(&docker);
    it_is_served_as_in_the_guide(&docker);
    it_comes_back_after_a_reload_and_a_crash(&docker);
    a_binary_that_it_cannot_run_ends_the_build(&docker);
    the_image_for_another_platform_says_so(&docker);
}

fn it_has_the_registry_in_it_and_nothing_else(docker: &Dockerd) {
    let config = docker.run(&["image", "inspect", "--format", "{{json .Config}}", "sampan"]);
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    // As in `registry:3`: no user is root.
    assert_eq!(config["User"].as_str().unwrap_or_default(), "");
    assert_eq!(config["StopSignal"], "SIGTERM");
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
    // Docker adds some files of its own: empty ones as mount points.
    for file in files.lines().filter(|file| !file.ends_with('/')) {
        let known = [
            "bin/registry",
            "etc/distribution/config.yml",
            "etc/ssl/certs/ca-certificates.crt",
            "tmp/.keep",
            "var/lib/registry/.keep",
        ];
        let dockers =
            [".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"];
        assert!(known.contains(&file) || dockers.contains(&file), "{files}");
    }
}

/// `docker run -d registry:3`, except for the port: the port of the image may be taken on this machine.
fn it_serves_without_any_configuration(docker: &Dockerd) {
    // A host name, because a binary without shared libraries must be able to resolve one.
    let registry = Container::run(docker, &["--env=REGISTRY_HTTP_ADDR=localhost:0"], &[]);
    let host = registry.host();
    let image = format!("{host}/some/app:1");
    docker.build(&image, &[b"a layer", b"another"]);
    docker.push_and_pull(&image);
    let version = docker.run(&["run", "--rm", "--network=none", "sampan", "--version"]);
    assert_eq!(version, format!("registry sampan v{}", env!("CARGO_PKG_VERSION")));
    let check = docker.run(&["image", "inspect", "--format", "{{.Config.Healthcheck.Test}}", "sampan"]);
    assert_eq!(check, "[CMD /bin/registry health]");
    let url = format!("http://{host}");
    assert_eq!(registry.exec(&["registry", "health", "--url", &url]), "ok");
    assert_eq!(registry.stop(), "0");
}

/// The non-root image over the data directory of a `registry:3` that runs as root.
fn the_other_image_names_the_directory_that_it_may_not_write(docker: &Dockerd) {
    let user = docker.run(&["image", "inspect", "--format", "{{.Config.User}}", NONROOT]);
    assert_eq!(user, "65532:65532");
    let directory = tempfile::tempdir().unwrap();
    let volume = format!("--volume={}:/var/lib/registry", directory.path().display());
    let mut command = docker.docker();
    command.args(["run", "--rm", "--network=host", "--env=REGISTRY_HTTP_ADDR=localhost:0", &volume, NONROOT]);
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("/var/lib/registry") && error.contains("65532"), "{error}");
}

/// Certificates, passwords, configuration and data at the mount points of the guide's compose file, readable by root alone.
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
        "--network=none",
        &format!("--volume={}:/certs", path("certs").display()),
        "sampan",
        "certificate",
        "--out=/certs",
        "127.0.0.1",
    ]);
    run(tool("htpasswd").arg("-Bbc").arg(path("auth/htpasswd")).args(["alice", "wonderland"]));
    for (name, mode) in
        [("auth", 0o700), ("auth/htpasswd", 0o600), ("certs/domain.key", 0o600), ("data", 0o700)]
    {
        assert_eq!(fs::metadata(path(name)).unwrap().uid(), 0, "{name}");
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
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

    // Another push of the tag leaves the old manifest untagged, and the collection finds it.
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
    // The guide names the path of version 2, where nothing is.
    registry.exec(&[
        "bin/registry",
        "garbage-collect",
        "--delete-untagged=true",
        "/etc/docker/registry/config.yml",
    ]);
    let users = registry.exec(&["registry", "htpasswd", "list", "/auth/htpasswd"]);
    assert!(users.contains("alice"), "{users}");
    // The guide mounts the file alone, and an editor replaces the file.
    let edited = GUIDE.replace("enabled: false", "enabled: true");
    assert_ne!(edited, GUIDE);
    fs::write(path("new.yml"), edited).unwrap();
    fs::rename(path("new.yml"), path("config.yml")).unwrap();
    docker.run(&["kill", "--signal=HUP", &registry.id]);
    registry.log.wait_for(|line| {
        (line.contains("SIGHUP: nothing has changed in") && line.contains("mount its directory"))
            .then_some(())
    });
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

    /// Waits until the registry serves, and returns its address.
    #[track_caller]
    fn host(&self) -> String {
        self.log.wait_for(|line| {
            line.split_once("listening on ")?.1.split(['"', ',', ' ']).next().map(str::to_owned)
        })
    }

    /// A command in the container, as with `docker exec`.
    #[track_caller]
    fn exec(&self, arguments: &[&str]) -> String {
        self.docker.run(&[&["exec", &self.id], arguments].concat())
    }

    /// Stops the container in the orderly way, and returns its exit code.
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

/// A registry in a container reads its configuration again on `docker kill --signal=HUP`.
fn it_comes_back_after_a_reload_and_a_crash(docker: &Dockerd) {
    let registry = Container::run(docker, &["--restart=always", "--env=REGISTRY_HTTP_ADDR=localhost:0"], &[]);
    registry.host();
    docker.run(&["kill", "--signal=HUP", &registry.id]);
    registry.log.wait_for(|line| line.contains("SIGHUP").then_some(()));
    let inspect = |format: &str| docker.run(&["inspect", "--format", format, &registry.id]);
    let pid = inspect("{{.State.Pid}}");
    run(tool("kill").args(["-KILL", &pid]));
    // The engine needs a moment to notice the exit, and another to start the container.
    while inspect("{{.State.Pid}} {{.State.Status}}") == format!("{pid} running") {}
    let mut status = inspect("{{.State.Status}}");
    while status == "restarting" {
        status = inspect("{{.State.Status}}");
    }
    assert_eq!((status.as_str(), inspect("{{.RestartCount}}").as_str()), ("running", "1"));
    docker.run(&["stop", &registry.id]);
}

/// The Dockerfile on its own, with a binary that the script would have refused.
fn a_binary_that_it_cannot_run_ends_the_build(docker: &Dockerd) {
    let directory = tempfile::tempdir().unwrap();
    let context = context(directory.path());
    fs::create_dir_all(context.join("target/image")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_registry"), context.join("target/image/registry")).unwrap();
    fs::write(context.join("target/image/ca-certificates.crt"), "").unwrap();
    let error = docker.fail(&["build", "--tag", "broken", context.to_str().unwrap()]);
    assert!(error.contains("needs a static binary for this architecture: ./image.sh builds it"), "{error}");
}

/// The binary is only a header: the script reads no more of it, and nothing here can run it.
fn the_image_for_another_platform_says_so(docker: &Dockerd) {
    let native = docker.run(&["version", "--format", "{{.Server.Arch}}"]);
    let (foreign, machine) = if native == "arm64" { ("amd64", 62) } else { ("arm64", 183) };
    let directory = tempfile::tempdir().unwrap();
    let context = context(directory.path());
    let mut header = fs::read(env!("CARGO_BIN_EXE_registry")).unwrap();
    header.truncate(64);
    // `e_machine`; no program headers, no sections.
    header[18] = machine;
    header[32..48].fill(0);
    header[56..64].fill(0);
    let binary = directory.path().join("registry");
    fs::write(&binary, header).unwrap();
    let script = |platform: &str| {
        let mut script = script(docker, directory.path(), &context);
        script.arg("--binary").arg(&binary).args(["--platform", &format!("linux/{platform}"), "foreign"]);
        script
    };
    let said = run(&mut script(foreign));
    assert!(said.contains(&format!("foreign is built for linux/{foreign}, and was not tried")), "{said}");
    let told = fail(&mut script(&native));
    assert!(told.contains(&format!("give --platform linux/{foreign}")), "{told}");
}

/// Builds both images by the script, except for the profile.
#[track_caller]
fn build_images(docker: &Dockerd) {
    let directory = tempfile::tempdir().unwrap();
    let context = context(directory.path());
    let binary = static_binary();
    for options in [&[][..], &["--nonroot"]] {
        let mut script = script(docker, directory.path(), &context);
        let said = run(script.arg("--binary").arg(&binary).args(options).arg("sampan"));
        let version = format!("registry sampan v{}", env!("CARGO_PKG_VERSION"));
        assert!(said.trim_end().ends_with(&format!("is built: {version}")), "{said}");
    }
}

/// The script of a context, with this engine.
fn script(docker: &Dockerd, directory: &Path, context: &Path) -> Command {
    // The script calls the client by name, so this client knows the engine.
    let client = directory.join("docker");
    let options: Vec<String> =
        docker.docker().get_args().map(|argument| format!("'{}'", argument.to_str().unwrap())).collect();
    fs::write(&client, format!("#!/bin/sh\nexec docker {} \"$@\"\n", options.join(" "))).unwrap();
    fs::set_permissions(&client, fs::Permissions::from_mode(0o755)).unwrap();
    let mut script = tool(context.join("image.sh").to_str().unwrap());
    script.env("DOCKER", &client).env("DOCKER_BUILDKIT", "0");
    script
}

/// A copy of the build context.
pub(super) fn context(directory: &Path) -> PathBuf {
    let context = directory.join("context");
    fs::create_dir_all(&context).unwrap();
    let mut copy = tool("cp");
    copy.current_dir(env!("CARGO_MANIFEST_DIR"));
    run(copy.args(["-r", ".dockerignore", "Dockerfile", "image.sh", "config-samples"]).arg(&context));
    context
}

/// Links the binary once more, without shared libraries. Reuses what was compiled for the tests, but puts the result where no
/// other test looks for the binary.
#[track_caller]
pub(super) fn static_binary() -> PathBuf {
    let compiled = Path::new(env!("CARGO_BIN_EXE_registry")).ancestors().nth(2).unwrap();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("static");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["rustc", "--quiet", "--locked", "--bin", "registry"]);
    cargo.arg("--config").arg(format!("build.build-dir = {compiled:?}"));
    cargo.arg("--target-dir").arg(&directory);
    run(cargo.args(["--", "-C", "target-feature=+crt-static", "-C", "strip=debuginfo"]));
    directory.join("debug/registry")
}
