//! Other programs read a bundle.

use std::path::{Path, PathBuf};

use sampan_engine::oci::Digest;
use tempfile::TempDir;

use super::support::{
    Dockerd, Process, RegistryProcess, copy, fail, filesystem_config, multi_platform_layout, oci_layout,
    registry, run, tool,
};

/// A registry with an image `team/app:v1` and, if asked for, an index `team/multi:all`, both in a bundle.
struct Carried {
    directory: TempDir,
    registry: RegistryProcess,
}

impl Carried {
    fn new(has_index: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let registry = registry(directory.path(), &filesystem_config(&directory.path().join("data")));
        let layout = oci_layout(directory.path(), "v1", 3);
        let remote = |name: &str| format!("docker://{}/{name}", registry.host());
        copy(&format!("oci:{}:v1", layout.display()), &remote("team/app:v1"), false);
        if has_index {
            let layout = multi_platform_layout(directory.path());
            copy(&format!("oci:{}:all", layout.display()), &remote("team/multi:all"), true);
        }
        let carried = Self { directory, registry };
        carried.run(&["export", "team/**", "-c", "sampan.yml", "-o", "b.tar", "--name-host", "far.example"]);
        carried.run(&["bundle", "verify", "b.tar"]);
        carried
    }

    fn run(&self, args: &[&str]) -> String {
        run(tool(env!("CARGO_BIN_EXE_registry")).current_dir(self.path()).args(args))
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn bundle(&self) -> PathBuf {
        self.path().join("b.tar")
    }

    /// The digest of the manifest of an image in the registry.
    fn digest(&self, image: &str) -> String {
        let image = format!("docker://{}/{image}", self.registry.host());
        let manifest = run(tool("skopeo").args(["inspect", "--raw", "--tls-verify=false", &image]));
        Digest::sha256_of(manifest.as_bytes()).to_string()
    }
}

#[test]
#[ignore = "needs docker, buildah, skopeo and umoci, as root"]
fn docker_loads_a_bundle() {
    let carried = Carried::new(true);
    let docker = Dockerd::start();
    let loaded = docker.run(&["load", "--input", carried.bundle().to_str().unwrap()]);
    assert!(loaded.contains("far.example/team/app:v1"), "{loaded}");
    for image in ["far.example/team/app:v1", "far.example/team/multi:all"] {
        docker.run(&["image", "inspect", image]);
    }
}

#[test]
#[ignore = "needs podman, buildah, skopeo and umoci, as root"]
fn podman_loads_a_bundle() {
    let carried = Carried::new(true);
    let path = |name: &str| carried.path().join("podman").join(name).display().to_string();
    let (root, runroot) = (path("root"), path("run"));
    let podman = |args: &[&str]| {
        let store = ["--storage-driver", "vfs", "--root", &root, "--runroot", &runroot];
        run(tool("podman").args(store).args(args))
    };
    podman(&["load", "--input", carried.bundle().to_str().unwrap()]);
    let images = podman(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    for image in ["far.example/team/app:v1", "far.example/team/multi:all"] {
        assert!(images.contains(image), "{images}");
    }
}

#[test]
#[ignore = "needs skopeo, buildah and umoci"]
fn skopeo_copies_from_a_bundle() {
    let carried = Carried::new(true);
    let archive = format!("oci-archive:{}", carried.bundle().display());
    for image in ["team/multi:all", "team/app:v1"] {
        let target = format!("docker://{}/copied/{image}", carried.registry.host());
        copy(&format!("{archive}:{image}"), &target, true);
        assert_eq!(carried.digest(&format!("copied/{image}")), carried.digest(image));
    }
}

#[test]
#[ignore = "needs crane, skopeo and umoci"]
fn crane_pushes_a_bundle_of_one_image() {
    let carried = Carried::new(false);
    let target = format!("{}/pushed/app:v1", carried.registry.host());
    run(tool("crane").arg("push").arg(carried.bundle()).arg(&target));
    run(tool("crane").args(["validate", "--remote", &target]));
}

#[test]
#[ignore = "needs containerd, skopeo, buildah and umoci, as root"]
fn containerd_imports_a_bundle() {
    let carried = Carried::new(true);
    let path = |name: &str| carried.path().join("containerd").join(name).display().to_string();
    let (root, state, socket) = (path("root"), path("state"), path("socket"));
    let containerd =
        Process::start(tool("containerd").args(["--root", &root, "--state", &state, "--address", &socket]));
    containerd.wait_to_say("containerd successfully booted");
    let ctr = |args: &[&str]| run(tool("ctr").args(["--address", &socket]).args(args));
    ctr(&["images", "import", "--no-unpack", carried.bundle().to_str().unwrap()]);
    let images = ctr(&["images", "list"]);
    for image in ["team/app:v1", "team/multi:all"] {
        let line = images.lines().find(|line| line.contains(&format!("far.example/{image}")));
        assert!(line.is_some_and(|line| line.contains(&carried.digest(image))), "{images}");
    }
}

#[test]
#[ignore = "needs tar, openssl, sha256sum, skopeo and umoci"]
fn common_programs_check_a_bundle() {
    let carried = Carried::new(false);
    let listed = run(tool("tar").arg("--list").arg("--file").arg(carried.bundle()));
    assert!(listed.starts_with("oci-layout\nbundle.json\nindex.json\nmanifest.json\nblobs/\n"), "{listed}");
    let inside = |program: &str, args: &[&str]| run(tool(program).current_dir(carried.path()).args(args));
    inside("openssl", &["genpkey", "-algorithm", "ed25519", "-out", "key.pem"]);
    inside("openssl", &["pkey", "-in", "key.pem", "-pubout", "-out", "key.pub.pem"]);
    carried.run(&["export", "**", "-c", "sampan.yml", "-o", "signed.tar", "--sign", "key.pem"]);
    inside("tar", &["--extract", "--file", "signed.tar", "bundle.json", "bundle.json.sig"]);
    inside("openssl", &["base64", "-d", "-A", "-in", "bundle.json.sig", "-out", "signature"]);
    let verify = ["pkeyutl", "-verify", "-pubin", "-inkey", "key.pub.pem", "-rawin", "-in", "bundle.json"];
    inside("openssl", &[&verify[..], &["-sigfile", "signature"]].concat());
    carried.run(&["export", "**", "-c", "sampan.yml", "-o", "parts.tar", "--split", "1MiB"]);
    inside("sha256sum", &["--check", "parts.sums"]);
}

#[test]
#[ignore = "needs crane, skopeo, buildah and umoci"]
fn crane_and_skopeo_pull_from_a_served_bundle() {
    let carried = Carried::new(true);
    let mut command = tool(env!("CARGO_BIN_EXE_registry"));
    command.current_dir(carried.path()).args(["bundle", "serve", "b.tar", "--addr", "127.0.0.1:0"]);
    let served = RegistryProcess::start(&mut command);
    for image in ["team/app:v1", "team/multi:all"] {
        let remote = format!("{}/{image}", served.host());
        assert_eq!(run(tool("crane").args(["digest", &remote])).trim(), carried.digest(image));
        run(tool("crane").args(["validate", "--remote", &remote]));
        let target = format!("docker://{}/again/{image}", carried.registry.host());
        copy(&format!("docker://{remote}"), &target, true);
        assert_eq!(carried.digest(&format!("again/{image}")), carried.digest(image));
    }
    assert_eq!(run(tool("crane").args(["catalog", &served.host()])).trim(), "team/app\nteam/multi");
    let refused = fail(tool("crane").arg("tag").arg(format!("{}/team/app:v1", served.host())).arg("v2"));
    assert!(refused.contains("UNSUPPORTED"), "{refused}");
}

#[test]
#[ignore = "needs docker, buildah, skopeo and umoci, as root"]
fn docker_pulls_from_a_served_bundle() {
    let carried = Carried::new(true);
    let mut command = tool(env!("CARGO_BIN_EXE_registry"));
    command.current_dir(carried.path()).args([
        "bundle",
        "serve",
        "b.tar",
        "--addr",
        "127.0.0.1:0",
        "--verify",
    ]);
    let served = RegistryProcess::start(&mut command);
    let docker = Dockerd::start();
    for image in ["team/app:v1", "team/multi:all"] {
        docker.run(&["pull", &format!("{}/{image}", served.host())]);
    }
}
