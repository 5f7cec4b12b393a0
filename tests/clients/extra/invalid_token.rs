//! A token that ends in the middle of a push: the registry answers 401 `invalid_token`, and the client gets another one.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use crate::cli::support::{binary, end};
use crate::clients::support::{
    Dockerd, HeldLine, RegistryProcess, Wire, filesystem_config, oci_layout, random, registry, tool,
};
use crate::support::access_section;

/// The bytes of a connection after which the token ends: in the middle of a layer.
const MIDDLE: usize = 60_000;

/// A registry without TLS, with the rules of the sample and the user alice.
struct Fixture {
    directory: tempfile::TempDir,
    registry: RegistryProcess,
}

impl Fixture {
    #[track_caller]
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let htpasswd = directory.path().join("htpasswd");
        fs::write(&htpasswd, format!("alice:{}\n", bcrypt::hash("alice-password", 4).unwrap())).unwrap();
        let config = filesystem_config(&directory.path().join("data"))
            .replace("'127.0.0.1:0'", "'127.0.0.1:0', limits: {readtimeout: 10m, minbodyspeed: 0}")
            + &format!("auth: {{htpasswd: {{realm: Registry, path: {}}}}}\n", htpasswd.display())
            + access_section()
            // The line is held for longer than a token lives.
            + "  tokens: {lifetime: 1m}\n";
        let registry = registry(directory.path(), &config);
        Self { directory, registry }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A client's program in a home of its own.
    fn client(&self, program: &str) -> Command {
        let mut command = tool(program);
        command.current_dir(self.path("")).env("HOME", self.path(""));
        for name in
            ["DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "REGCTL_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"]
        {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, program: &str, arguments: &str) -> Output {
        self.client(program).args(arguments.split_whitespace()).output().unwrap()
    }

    #[track_caller]
    fn log_in(&self, program: &str, arguments: &str) {
        let ended = end(self.client(program).args(arguments.split_whitespace()), "alice-password");
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }

    /// The form of skopeo for an image that [`oci_layout`] made.
    fn image(&self) -> String {
        format!("oci:{}:v1", self.path("layout").display())
    }
}

/// A client's push of some layers, longer than [`MIDDLE`], to a host.
type Push = fn(&Fixture, &str) -> Output;

const CRANE: Push = |site, host| {
    site.log_in("crane", &format!("auth login -u alice --password-stdin {host}"));
    site.run("crane", &format!("push layout {host}/team/app:v1"))
};

const SKOPEO: Push = |site, host| {
    let options = "--dest-creds alice:alice-password --dest-tls-verify=false";
    site.run("skopeo", &format!("copy {options} {} docker://{host}/team/app:v1", site.image()))
};

const ORAS: Push = |site, host| {
    fs::write(site.path("model"), random(200_000)).unwrap();
    let options = "--plain-http -u alice -p alice-password";
    site.run("oras", &format!("push {options} {host}/team/app:v1 model:text/plain"))
};

const REGCTL: Push = |site, host| {
    site.run("regctl", &format!("registry set --tls disabled {host}"));
    site.log_in("regctl", &format!("registry login --user alice --pass-stdin {host}"));
    site.run("regctl", &format!("image copy ocidir://layout:v1 {host}/team/app:v1"))
};

const DOCKER: Push = |site, host| docker(site, host, "{}");

const DOCKER_WITH_CONTAINERD: Push =
    |site, host| docker(site, host, r#"{"features": {"containerd-snapshotter": true}}"#);

fn docker(site: &Fixture, host: &str, features: &str) -> Output {
    fs::create_dir_all(site.path("docker")).unwrap();
    fs::write(site.path("docker/daemon.json"), features).unwrap();
    fs::copy("/etc/hosts", site.path("hosts")).unwrap();
    let docker = Dockerd::start_with_etc(&site.path(""));
    let name = format!("{host}/team/app:v1");
    docker.build(&name, &[&random(100_000), &random(100_000), &random(100_000)]);
    docker.run(&["login", "-u", "alice", "-p", "alice-password", host]);
    docker.docker().args(["push", &name]).output().unwrap()
}

/// Why a token ends.
#[derive(Clone, Copy)]
enum End {
    /// It expires.
    Time,
    /// The hash of its user's password is another one, of the same password.
    Password,
}

/// Pushes through a line that is held in the middle of a layer until every token that was issued before has ended. Returns
/// the registry and the output of the push.
#[track_caller]
fn push(push: Push, why: End) -> (Fixture, Output) {
    let site = Fixture::start();
    oci_layout(&site.path(""), "v1", 3);
    let (registry, folder) = (site.registry.address, site.path(""));
    let line = HeldLine::to(registry, MIDDLE, move || end_tokens(registry, &folder, why));
    let output = push(&site, &line.address.to_string());
    assert!(line.was_held(), "the push was too short: {output:?}");
    (site, output)
}

/// A token for alice.
fn token(registry: SocketAddr) -> String {
    let form = b"grant_type=password&username=alice&password=alice-password";
    let answer = Wire::connect(registry).send("POST", "/auth/token", &[], form);
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    format!("Bearer {}", body["token"].as_str().unwrap())
}

fn end_tokens(registry: SocketAddr, folder: &Path, why: End) {
    let bearer = token(registry);
    if let End::Password = why {
        let mut add = binary(folder);
        let added = end(add.args(["user", "add", "alice", "--config", "sampan.yml"]), "alice-password");
        assert_eq!(added.code, Some(0), "{added:?}");
    }
    while Wire::connect(registry).send("GET", "/v2/", &[("Authorization", &bearer)], b"").status != 401 {
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
#[ignore = "needs crane, docker, oras, regctl, skopeo and umoci, as root"]
fn a_push_goes_on_after_its_token_has_expired() {
    thread::scope(|scope| {
        for client in [CRANE, SKOPEO, ORAS, REGCTL, DOCKER, DOCKER_WITH_CONTAINERD] {
            scope.spawn(move || {
                let (_, output) = push(client, End::Time);
                assert!(output.status.success(), "{output:?}");
            });
        }
    });
}

/// Some clients do not expect that a token ends before its time: they fail, and can push again, as the table of
/// `docs/access.md` says.
#[test]
#[ignore = "needs crane, docker, oras, regctl, skopeo and umoci, as root"]
fn a_push_goes_on_or_can_be_repeated_after_its_token_was_revoked() {
    for client in [CRANE, ORAS] {
        let (site, output) = push(client, End::Password);
        assert!(output.status.success(), "{output:?}");
        site.registry.process.wait_to_say("refused a token");
    }
    for client in [REGCTL, SKOPEO, DOCKER, DOCKER_WITH_CONTAINERD] {
        let (site, output) = push(client, End::Password);
        site.registry.process.wait_to_say("refused a token");
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || printed.contains("unauthorized"), "{output:?}");
        let again = client(&site, &site.registry.host());
        assert!(again.status.success(), "{again:?}");
    }
}
