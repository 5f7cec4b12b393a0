//! `registry import` of what real tools write; digests are compared with what the tools say.

use std::path::{Path, PathBuf};

use sampan_engine::oci::Digest;
use serde_json::Value;
use tempfile::TempDir;

use super::support::{
    Dockerd, Process, RegistryProcess, copy, filesystem_config, multi_platform_layout, oci_layout, registry,
    run, tool,
};

/// A registry with an image `team/app:v1` and an index `team/multi:all`; what tools make of them goes below `back`.
struct Carried {
    directory: TempDir,
    registry: RegistryProcess,
}

impl Carried {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let registry = registry(directory.path(), &filesystem_config(&directory.path().join("data")));
        let carried = Self { directory, registry };
        let layout = oci_layout(carried.path(), "v1", 3);
        copy(&format!("oci:{}:v1", layout.display()), &carried.remote("team/app:v1"), false);
        let layout = multi_platform_layout(carried.path());
        copy(&format!("oci:{}:all", layout.display()), &carried.remote("team/multi:all"), true);
        carried
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The image as docker and others name it.
    fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.registry.host())
    }

    fn remote(&self, image: &str) -> String {
        format!("docker://{}", self.name(image))
    }

    /// Imports a file or directory while the registry serves.
    #[track_caller]
    fn import(&self, name: &str, options: &[&str]) {
        let mut command = tool(env!("CARGO_BIN_EXE_registry"));
        command.current_dir(self.path()).args(["import", name, "-c", "sampan.yml"]).args(options);
        run(command.args(["--map", "=back"]));
    }

    /// The bytes of a manifest in the registry.
    #[track_caller]
    fn manifest(&self, image: &str) -> String {
        run(tool("skopeo").args(["inspect", "--raw", "--tls-verify=false", &self.remote(image)]))
    }

    #[track_caller]
    fn digest(&self, image: &str) -> String {
        Digest::sha256_of(self.manifest(image).as_bytes()).to_string()
    }

    /// The digest of an image's configuration, which docker and podman call its id.
    #[track_caller]
    fn id(&self, image: &str) -> String {
        let manifest: Value = serde_json::from_str(&self.manifest(image)).unwrap();
        manifest["config"]["digest"].as_str().unwrap().to_owned()
    }

    /// Copies an image of the registry whole, so that clients compare everything.
    #[track_caller]
    fn check_whole(&self, image: &str) {
        let target = self.file("whole");
        copy(&self.remote(image), &format!("dir:{}", target.display()), true);
        std::fs::remove_dir_all(target).unwrap();
    }
}

#[test]
#[ignore = "needs skopeo, buildah and umoci"]
fn what_skopeo_writes_is_imported() {
    let carried = Carried::new();
    let (app, multi) = (carried.digest("team/app:v1"), carried.digest("team/multi:all"));
    for (form, name, options) in [
        ("oci-archive:multi.oci.tar:registry.example/a/multi:all", "multi.oci.tar", vec![]),
        ("oci:multi.oci:all", "multi.oci", vec!["--map", ":all=b/multi:all"]),
        ("dir:multi.dir", "multi.dir", vec!["--map", "@DIGEST=c/multi:all"]),
    ] {
        let mut command = tool("skopeo");
        command.current_dir(carried.path()).args(["copy", "--quiet", "--all", "--src-tls-verify=false"]);
        run(command.args([&carried.remote("team/multi:all"), form]));
        let options: Vec<String> = options.iter().map(|it| it.replace("DIGEST", &multi)).collect();
        carried.import(name, &options.iter().map(String::as_str).collect::<Vec<_>>());
    }
    for image in ["back/a/multi:all", "back/b/multi:all", "back/c/multi:all"] {
        assert_eq!(carried.digest(image), multi);
        carried.check_whole(image);
    }
    let archive = format!("docker-archive:{}:team/docker:v1", carried.file("docker.tar").display());
    copy(&carried.remote("team/app:v1"), &archive, false);
    carried.import("docker.tar", &[]);
    assert_ne!(carried.digest("back/team/docker:v1"), app, "an archive without manifests");
    assert_eq!(carried.id("back/team/docker:v1"), carried.id("team/app:v1"));
    carried.check_whole("back/team/docker:v1");
}

#[test]
#[ignore = "needs docker, gzip, zstd, skopeo, buildah and umoci, as root"]
fn what_docker_saves_is_imported() {
    let carried = Carried::new();
    let docker = Dockerd::start();
    let images = [carried.name("team/app:v1"), carried.name("team/multi:all")];
    for image in &images {
        docker.run(&["pull", image]);
    }
    docker.build("built:1", &[b"one", b"two"]);
    let file = carried.file("saved.tar").display().to_string();
    docker.run(&["save", "--output", &file, &images[0], &images[1], "built:1"]);
    carried.import("saved.tar", &[]);
    for (image, name) in [
        ("back/team/app:v1", &images[0]),
        ("back/team/multi:all", &images[1]),
        ("back/library/built:1", &"built:1".to_owned()),
    ] {
        let id = docker.run(&["image", "inspect", "--format", "{{.Id}}", name]);
        assert!([carried.id(image), carried.digest(image)].contains(&id), "{image} is not {id}");
        carried.check_whole(image);
    }
    for (program, extension) in [("gzip", "gz"), ("zstd", "zst")] {
        run(tool(program).arg("--keep").arg(&file));
        carried.import(&format!("saved.tar.{extension}"), &["--tags", "fail"]);
    }
    // An engine takes back what came from it.
    docker.run(&["rmi", &images[0]]);
    docker.run(&["pull", &carried.name("back/team/app:v1")]);
}

#[test]
#[ignore = "needs containerd, skopeo, buildah and umoci, as root"]
fn what_containerd_exports_is_imported() {
    let carried = Carried::new();
    let path = |name: &str| carried.file("containerd").join(name).display().to_string();
    let (root, state, socket) = (path("root"), path("state"), path("socket"));
    let containerd =
        Process::start(tool("containerd").args(["--root", &root, "--state", &state, "--address", &socket]));
    containerd.wait_to_say("containerd successfully booted");
    let ctr = |args: &[&str]| run(tool("ctr").args(["--address", &socket]).args(args));
    let (app, multi) = (carried.name("team/app:v1"), carried.name("team/multi:all"));
    for image in [&app, &multi] {
        ctr(&["content", "fetch", "--plain-http", "--all-platforms", image]);
    }
    let file = |name: &str| carried.file(name).display().to_string();
    ctr(&["images", "export", "--all-platforms", &file("all.tar"), &app, &multi]);
    carried.import("all.tar", &[]);
    let index = carried.digest("team/multi:all");
    assert_eq!(carried.digest("back/team/app:v1"), carried.digest("team/app:v1"));
    assert_eq!(carried.digest("back/team/multi:all"), index);
    carried.check_whole("back/team/multi:all");
    // The index whole, and one of its images.
    ctr(&["images", "export", "--platform", "linux/arm64", &file("part.tar"), &multi]);
    carried.import("part.tar", &["--map", "=part"]);
    assert_eq!(carried.digest("part/team/multi:all"), index);
}

#[test]
#[ignore = "needs podman, skopeo, buildah and umoci, as root"]
fn what_podman_saves_is_imported() {
    let carried = Carried::new();
    let path = |name: &str| carried.file("podman").join(name).display().to_string();
    let (root, runroot) = (path("root"), path("run"));
    let podman = |args: &[&str]| {
        let store = ["--storage-driver", "vfs", "--root", &root, "--runroot", &runroot];
        run(tool("podman").args(store).args(args)).trim().to_owned()
    };
    let image = carried.name("team/app:v1");
    podman(&["pull", "--tls-verify=false", &image]);
    let id = format!("sha256:{}", podman(&["image", "inspect", "--format", "{{.Id}}", &image]));
    for (format, repository) in [("docker-archive", "one"), ("oci-archive", "two"), ("oci-dir", "three")] {
        let file = carried.file(format).display().to_string();
        podman(&["save", "--quiet", "--format", format, "--output", &file, &image]);
        carried.import(format, &["--map", &format!("team={repository}")]);
    }
    for repository in ["one", "two", "three"] {
        let image = format!("{repository}/app:v1");
        assert_eq!(carried.id(&image), id);
        carried.check_whole(&image);
    }
}

#[test]
#[ignore = "needs crane, regctl, oras, skopeo, buildah and umoci"]
fn what_crane_regctl_and_oras_write_is_imported() {
    let carried = Carried::new();
    let (app, multi) = (carried.digest("team/app:v1"), carried.digest("team/multi:all"));
    let inside = |program: &str, args: &[&str]| {
        run(tool(program).current_dir(carried.path()).env("HOME", carried.path()).args(args))
    };
    let host = carried.registry.host();
    inside("crane", &["pull", "--insecure", &carried.name("team/app:v1"), "crane.tar"]);
    carried.import("crane.tar", &["--map", "team=crane"]);
    assert_eq!(carried.id("crane/app:v1"), carried.id("team/app:v1"));
    inside("crane", &["pull", "--insecure", "--format=oci", &carried.name("team/multi:all"), "crane.oci"]);
    carried.import("crane.oci", &["--map", &format!("@{multi}=crane/multi:all")]);
    assert_eq!(carried.digest("back/crane/multi:all"), multi);

    inside("regctl", &["registry", "set", "--tls", "disabled", &host]);
    inside("regctl", &["image", "export", &carried.name("team/multi:all"), "regctl.tar"]);
    carried.import("regctl.tar", &[]);
    assert_eq!(carried.digest("back/team/multi:all"), multi);
    carried.check_whole("back/team/multi:all");

    std::fs::write(carried.file("sbom.json"), "{}").unwrap();
    let attach = ["attach", "--plain-http", "--artifact-type", "application/vnd.sbom"];
    inside("oras", &[&attach[..], &[&carried.name("team/app:v1"), "sbom.json:application/json"]].concat());
    let backup = ["backup", "--plain-http", "--include-referrers", "--output", "oras.tar"];
    inside("oras", &[&backup[..], &[&carried.name("team/app:v1")]].concat());
    carried.import("oras.tar", &["--map", ":=oras/app"]);
    assert_eq!(carried.digest("back/oras/app:v1"), app);
    let image = carried.name("back/oras/app:v1");
    let found = inside("oras", &["discover", "--plain-http", "--format", "json", &image]);
    assert!(found.contains("application/vnd.sbom"), "{found}");
}
