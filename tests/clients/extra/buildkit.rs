//! BuildKit: `docker buildx build` is a client of it, with an image for several platforms, provenance and a cache in the registry.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::clients::support::{Guarded, Process, run, tool};

/// A private buildkitd, over HTTPS with the registry of the test.
struct Buildkit<'a> {
    guarded: &'a Guarded,
    address: String,
    _process: Process,
}

impl<'a> Buildkit<'a> {
    #[track_caller]
    fn start(guarded: &'a Guarded) -> Self {
        let (host, path) = (guarded.host(), |name: &str| guarded.path(name).display().to_string());
        // It would speak plain HTTP to 127.0.0.1.
        let config = format!("[registry.\"{host}\"]\nhttp = false\nca = [{:?}]\n", path("certs/ca.crt"));
        fs::write(guarded.path("buildkitd.toml"), config).unwrap();
        let address = format!("unix://{}", path("buildkitd.sock"));
        let mut command = tool("buildkitd");
        command.args(["--config", &path("buildkitd.toml"), "--root", &path("buildkit"), "--addr", &address]);
        // No container runs: each build only copies files.
        command.args(["--containerd-worker=false", "--oci-worker=true", "--oci-worker-snapshotter=native"]);
        command.args(["--oci-worker-gc=false"]).env("TMPDIR", guarded.path(""));
        let process = Process::start(&mut command);
        process.wait_for(|line| line.contains("running server on").then_some(()));
        Self { guarded, address, _process: process }
    }

    fn buildctl(&self) -> Command {
        let mut command = self.guarded.client("buildctl");
        command.args(["--addr", &self.address]);
        command
    }

    /// Builds `context`, and returns what was printed.
    #[track_caller]
    fn build(&self, name: &str, more: &[&str]) -> String {
        let mut command = self.buildctl();
        command.args(["build", "--progress=plain", "--frontend=dockerfile.v0"]);
        command.args(["--local=context=context", "--local=dockerfile=context"]);
        command.args(["--output", &format!("type=image,name={name},push=true")]).args(more);
        let output = command.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{printed}");
        printed
    }
}

#[test]
#[ignore = "needs buildkitd, buildctl, crane and runc, as root"]
fn buildkit_pushes_platforms_with_provenance_and_reads_its_cache() {
    let guarded = Guarded::start();
    // buildctl takes credentials from Docker's file, which crane writes.
    guarded.log_in("crane", "auth login --username USER --password-stdin HOST");
    fs::create_dir(guarded.path("context")).unwrap();
    fs::write(guarded.path("context/file"), "built by buildkit").unwrap();
    fs::write(guarded.path("context/Dockerfile"), "FROM scratch\nCOPY file /file\n").unwrap();
    let (name, cache) = (guarded.name("team/app:v1"), guarded.name("team/cache:main"));
    let export = format!("type=registry,ref={cache},mode=max");
    let both = ["--opt=platform=linux/amd64,linux/arm64", "--opt=attest:provenance=mode=max"];
    {
        let buildkit = Buildkit::start(&guarded);
        buildkit.build(&name, &[&both[..], &["--export-cache", &export]].concat());
    }
    let index: Value = serde_json::from_str(&guarded.run("crane", &format!("manifest {name}"))).unwrap();
    let platforms: Vec<_> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|child| child["platform"]["architecture"].as_str().unwrap())
        .collect();
    assert_eq!(platforms, ["amd64", "arm64", "unknown", "unknown"], "{index}");
    guarded.run("crane", &format!("validate --platform linux/arm64 --remote {name}"));

    // A builder without a past: everything comes from the cache in the registry.
    fs::remove_dir_all(guarded.path("buildkit")).unwrap();
    let again = guarded.name("team/again:v1");
    let printed = {
        let buildkit = Buildkit::start(&guarded);
        buildkit
            .build(&again, &[&both[..], &["--import-cache", &format!("type=registry,ref={cache}")]].concat())
    };
    assert!(printed.contains("CACHED"), "{printed}");
    let digest = |name: &str| guarded.run("crane", &format!("digest --platform linux/arm64 {name}"));
    assert_eq!(digest(&again), digest(&name));
    let exported = run(guarded.client("crane").args(["export", "--platform=linux/arm64", &again, "-"]));
    assert!(exported.contains("built by buildkit"));
}
