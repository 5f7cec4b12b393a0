//! The whole way across an air gap: fifty images, a delta in parts of which one gets lost, and the bundles served in place.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use sampan_client::ClientOptions;
use sampan_engine::oci::Digest;
use tempfile::TempDir;

use super::support::{
    ApiClient, Dockerd, RegistryProcess, copy, filesystem_config, oci_layout, random, registry, run, tool,
};

/// One side of the gap: a directory with the configuration `sampan.yml`, and the registry that serves it.
struct Side {
    directory: TempDir,
    registry: RegistryProcess,
}

impl Side {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let registry = registry(directory.path(), &filesystem_config(&directory.path().join("data")));
        Self { directory, registry }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs a command of the registry beside the configuration.
    fn run(&self, args: &[&str]) -> String {
        run(tool(env!("CARGO_BIN_EXE_registry")).current_dir(self.path()).args(args))
    }

    /// Pushes the image `tag` of the layout in this directory.
    fn push(&self, tag: &str, image: &str) {
        let layout = oci_layout(self.path(), tag, 2);
        let from = format!("oci:{}:{tag}", layout.display());
        copy(&from, &format!("docker://{}/{image}", self.registry.host()), false);
    }

    /// The digest of an image, without its host.
    fn digest(&self, image: &str) -> String {
        let image = format!("docker://{}/{image}", self.registry.host());
        let manifest = run(tool("skopeo").args(["inspect", "--raw", "--tls-verify=false", &image]));
        Digest::sha256_of(manifest.as_bytes()).to_string()
    }
}

/// Pushes `count` images that share a layer, by our client.
fn push_many(host: &str, count: usize) {
    let client = ApiClient::new(&format!("http://{host}"), ClientOptions::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shared = Bytes::from(random(300_000));
    for number in 0..count {
        let layers = [shared.clone(), Bytes::from(random(20_000 + number))];
        runtime.block_on(client.push_image(&format!("team/app-{number:02}"), "v1", &layers));
    }
}

#[test]
#[ignore = "needs docker, sha256sum, skopeo and umoci, as root"]
fn fifty_images_cross_the_gap_and_a_delta_in_parts_follows() {
    const CHANGED: [&str; 3] = ["team/one", "team/two", "other/three"];
    let (near, far) = (Side::new(), Side::new());
    let stick = tempfile::tempdir().unwrap();
    let on_stick = |name: &str| stick.path().join(name).display().to_string();
    let (full, update, inventory) = (on_stick("full.tar"), on_stick("update.tar"), on_stick("far.txt"));

    push_many(&near.registry.host(), 47);
    for image in CHANGED {
        near.push("old", &format!("{image}:latest"));
    }
    near.run(&["export", "**", "-c", "sampan.yml", "-o", &full]);
    far.run(&["import", &full, "-c", "sampan.yml"]);
    assert_eq!(far.run(&["ls", "-c", "sampan.yml"]).lines().count(), 50);

    for (image, tag) in CHANGED.into_iter().zip(["one", "two", "three"]) {
        let layout = oci_layout(near.path(), tag, 1);
        let large = near.path().join("large");
        fs::write(&large, random(45 << 20)).unwrap();
        let layout = format!("{}:{tag}", layout.display());
        run(tool("umoci").args(["insert", "--image", &layout]).arg(large).arg("/large"));
        copy(&format!("oci:{layout}"), &format!("docker://{}/{image}:latest", near.registry.host()), false);
    }

    far.run(&["inventory", "-c", "sampan.yml", "-o", &inventory]);
    let delta = ["export", "**", "-c", "sampan.yml", "-o", &update, "--have", &inventory, "--split", "64MiB"];
    near.run(&delta);
    let second = stick.path().join("update.tar.002");
    let lost = fs::read(&second).unwrap();
    fs::remove_file(&second).unwrap();
    near.run(&["export", "-c", "sampan.yml", "-o", &update, "--part", "2"]);
    assert!(fs::read(&second).unwrap() == lost, "the second part has other bytes now");
    run(tool("sha256sum").current_dir(stick.path()).args(["--check", "update.sums"]));
    far.run(&["bundle", "verify", &update]);
    far.run(&["import", &update, "-c", "sampan.yml"]);

    let served = RegistryProcess::start(
        tool(env!("CARGO_BIN_EXE_registry"))
            .args(["bundle", "serve", &full, &update, "--addr", "127.0.0.1:0"])
            .current_dir(stick.path()),
    );
    let docker = Dockerd::start();
    for image in CHANGED {
        let digest = near.digest(&format!("{image}:latest"));
        assert_eq!(far.digest(&format!("{image}:latest")), digest);
        for host in [far.registry.host(), served.host()] {
            let name = format!("{host}/{image}@{digest}");
            docker.run(&["pull", &name]);
            // The next pull is to fetch its layers again.
            docker.run(&["image", "rm", &name]);
        }
    }
    run(tool("skopeo")
        .args(["list-tags", "--tls-verify=false"])
        .arg(format!("docker://{}/team/app-46", served.host())));
}
