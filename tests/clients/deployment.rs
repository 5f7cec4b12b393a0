//! The deployment guide for `registry:3`, step by step, with this binary in its place.

use std::fs;
use std::path::{Path, PathBuf};

use super::support::{Dockerd, Process, RegistryProcess, run, tool};

/// The guide's file: no `version`, no `http`.
const CONFIG: &str = "\
storage:
  filesystem:
    rootdirectory: DATA
  delete:
    enabled: true
  maintenance:
    readonly:
      enabled: false
";

struct Fixture {
    directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn registry(&self) -> std::process::Command {
        let mut command = tool(env!("CARGO_BIN_EXE_registry"));
        command.current_dir(self.directory.path());
        command
    }

    fn write_config(&self, read_only: bool) {
        let text = CONFIG.replace("DATA", &self.path("data").display().to_string());
        let text = if read_only { text.replace("      enabled: false", "      enabled: true") } else { text };
        fs::write(self.path("config.yml"), text).unwrap();
    }

    /// Starts the service as the compose file does.
    fn start(&self, address: &str, tls: bool) -> RegistryProcess {
        let mut command = self.registry();
        command.arg(self.path("config.yml"));
        command.env("REGISTRY_HTTP_ADDR", address);
        command.env("REGISTRY_AUTH", "htpasswd");
        command.env("REGISTRY_AUTH_HTPASSWD_PATH", self.path("auth/htpasswd"));
        command.env("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm");
        if tls {
            command.env("REGISTRY_HTTP_TLS_CERTIFICATE", self.path("certs/domain.crt"));
            command.env("REGISTRY_HTTP_TLS_KEY", self.path("certs/domain.key"));
        }
        let process = Process::start(&mut command);
        let address = process
            .wait_for(|line| line.split_once("listening on ")?.1.split(['"', ',', ' ']).next()?.parse().ok());
        RegistryProcess { process, address }
    }

    fn add_user_with_apaches_tool(&self, user: &str, password: &str) {
        fs::create_dir_all(self.path("auth")).unwrap();
        let file = self.path("auth/htpasswd");
        let create = if file.exists() { "-Bb" } else { "-Bbc" };
        run(tool("htpasswd").arg(create).arg(&file).args([user, password]));
    }
}

#[test]
#[ignore = "needs docker, skopeo and htpasswd, as root"]
fn the_guide_works_step_by_step() {
    let site = Fixture::new();
    run(site.registry().args(["certificate", "--out", "certs", "127.0.0.1"]));
    site.add_user_with_apaches_tool("alice", "wonderland");
    site.write_config(false);
    let mut service = site.start("127.0.0.1:0", true);
    let address = service.host();

    // skopeo takes as an option the directory that docker would find below /etc/docker/certs.d.
    let certs = site.path("client-certs");
    fs::create_dir_all(&certs).unwrap();
    fs::copy(site.path("certs/ca.crt"), certs.join("ca.crt")).unwrap();
    let image = format!("{address}/registry:3");

    let docker = Dockerd::start();
    docker.build(&image, &[b"a layer", b"another"]);
    let refused =
        docker.docker().args(["login", "--username", "alice", "--password", "wrong", &address]).output();
    assert!(!refused.unwrap().status.success(), "a wrong password was accepted");
    let denied = docker.docker().args(["push", &image]).output().unwrap();
    assert!(!denied.status.success(), "pushed without a login");
    docker.run(&["login", "--username", "alice", "--password", "wonderland", &address]);
    docker.push_and_pull(&image);
    let inspect = |tag: &str| {
        let mut command = tool("skopeo");
        command.args(["inspect", "--creds", "alice:wonderland", "--cert-dir"]).arg(&certs);
        command.args(["--format", "{{.Digest}}", &format!("docker://{address}/registry:{tag}")]);
        command
    };
    // The client verifies the certificate here.
    let first = run(&mut inspect("3"));

    // A new user, while the registry runs.
    run(site.registry().args(["htpasswd", "list", "auth/htpasswd"]));
    site.add_user_with_apaches_tool("bob", "builder");

    // Another push of the tag leaves the old manifest untagged.
    docker.build(&image, &[b"something else entirely"]);
    docker.run(&["push", &image]);
    assert_ne!(run(&mut inspect("3")), first);

    // Read-only, restart: pulls work, pushes do not.
    assert!(service.process.terminate().success());
    site.write_config(true);
    service = site.start(&address, true);
    docker.run(&["rmi", &image]);
    docker.run(&["pull", &image]);
    docker.build(&image, &[b"more"]);
    let refused = docker.docker().args(["push", &image]).output().unwrap();
    assert!(!refused.status.success(), "pushed to a read-only registry");

    // The collection, in both spellings.
    let config = site.path("config.yml");
    let blobs = || count_blobs(&site.path("data/docker/registry/v2/blobs"));
    let before = blobs();
    let dry = run(site.registry().args(["garbage-collect", "--dry-run", "--delete-untagged"]).arg(&config));
    assert!(dry.contains("blob eligible for deletion: sha256:"), "{dry}");
    assert_eq!(blobs(), before);
    run(site.registry().args(["garbage-collect", "--delete-untagged=true"]).arg(&config));
    assert!(blobs() < before, "nothing was collected of {before} blobs");

    // Writable again, restart: clients can pull the remaining images.
    assert!(service.process.terminate().success());
    site.write_config(false);
    let _service = site.start(&address, true);
    docker.run(&["pull", &image]);
    run(&mut inspect("3"));
}

#[test]
#[ignore = "needs docker and htpasswd, as root"]
fn without_tls_docker_logs_in_to_an_insecure_registry() {
    let site = Fixture::new();
    site.add_user_with_apaches_tool("alice", "wonderland");
    site.write_config(false);
    let service = site.start("127.0.0.1:0", false);
    let docker = Dockerd::start();
    let image = format!("{}/app:1", service.host());
    docker.build(&image, &[b"a layer"]);
    docker.run(&["login", "--username", "alice", "--password", "wonderland", &service.host()]);
    docker.push_and_pull(&image);
}

fn count_blobs(directory: &Path) -> usize {
    let output = run(tool("find").arg(directory).args(["-name", "data", "-type", "f"]));
    output.lines().count()
}
