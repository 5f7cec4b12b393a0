//! One bucket, two registries in turn: Debian's package of Distribution over its `s3` driver, and ours.

use std::path::Path;

use super::support::{
    RegistryProcess, StoreServer, copy, debian_registry_with, oci_layout, random, registry, run, tool,
    write_config,
};

/// A bucket and the images that were pushed into it.
struct Bucket {
    directory: tempfile::TempDir,
    store: StoreServer,
    root: String,
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Ours,
    Theirs,
}

impl Bucket {
    #[track_caller]
    fn new() -> Self {
        // Distribution requires the leading slash; the keys are the same without it.
        let root = format!("/peer-{:016x}", rand::random::<u64>());
        Self { directory: tempfile::tempdir().unwrap(), store: StoreServer::ceph(), root }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn config(&self) -> String {
        // A fraction of a chunk, so that some layers have many parts and others none.
        self.store.config(&self.root, |section| section["chunksize"] = (5 << 20).into())
    }

    #[track_caller]
    fn start(&self, side: Side) -> RegistryProcess {
        match side {
            Side::Ours => registry(self.path(), &self.config()),
            Side::Theirs => debian_registry_with(self.path(), &self.config()),
        }
    }

    /// Pushes an image `name:tag` of which the registry knows nothing yet, through `side`.
    #[track_caller]
    fn push(&self, side: Side, name: &str, tag: &str) {
        let registry = self.start(side);
        let own = self.path().join(format!("{name}-{tag}"));
        std::fs::create_dir_all(&own).unwrap();
        let layout = oci_layout(&own, tag, 2);
        let large = own.join("large");
        std::fs::write(&large, random(12_000_000)).unwrap();
        let image = format!("{}:{tag}", layout.display());
        run(tool("umoci").args(["insert", "--image", &image]).arg(&large).arg("/files/large"));
        copy(&format!("oci:{image}"), &format!("docker://{}/{name}:{tag}", registry.host()), false);
    }

    /// Pulls all `images` through `side`.
    #[track_caller]
    fn pull(&self, side: Side, images: &[&str]) {
        let registry = self.start(side);
        for image in images {
            let back = tempfile::tempdir().unwrap();
            // skopeo compares every digest.
            copy(
                &format!("docker://{}/{image}", registry.host()),
                &format!("dir:{}", back.path().display()),
                false,
            );
        }
    }

    /// Removes a tag's manifest through `side`.
    #[track_caller]
    fn delete(&self, side: Side, image: &str) {
        let registry = self.start(side);
        run(tool("skopeo").args([
            "delete",
            "--tls-verify=false",
            &format!("docker://{}/{image}", registry.host()),
        ]));
    }

    /// Collects garbage while no registry runs, and returns the output.
    #[track_caller]
    fn collect(&self, side: Side) -> String {
        let config = write_config(self.path(), "collect.yml", &self.config());
        match side {
            Side::Ours => run(tool(env!("CARGO_BIN_EXE_registry"))
                .args(["garbage-collect", "--grace", "0s"])
                .arg(config)),
            Side::Theirs => {
                run(tool("docker-registry").env_remove("AWS_CA_BUNDLE").arg("garbage-collect").arg(config))
            }
        }
    }

    #[track_caller]
    fn list(&self, side: Side, path: &str) -> serde_json::Value {
        let answer = self.start(side).wire().send("GET", path, &[], b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_slice(&answer.body).unwrap()
    }
}

#[test]
#[ignore = "needs ceph, docker-registry, skopeo and umoci, as root"]
fn distribution_and_ours_take_turns_over_one_bucket() {
    let bucket = Bucket::new();
    bucket.push(Side::Ours, "ours/app", "kept");
    bucket.push(Side::Theirs, "theirs/app", "kept");
    // Each registry adds to the other's content.
    bucket.push(Side::Theirs, "ours/app", "gone");
    bucket.push(Side::Ours, "theirs/app", "gone");
    let all = ["ours/app:kept", "ours/app:gone", "theirs/app:kept", "theirs/app:gone"];
    for side in [Side::Ours, Side::Theirs] {
        bucket.pull(side, &all);
    }
    for path in ["/v2/_catalog", "/v2/ours/app/tags/list", "/v2/theirs/app/tags/list"] {
        let sorted = |side| {
            let mut listed = bucket.list(side, path);
            // Distribution does not order tags.
            if let Some(tags) = listed["tags"].as_array_mut() {
                tags.sort_by_key(ToString::to_string);
            }
            listed
        };
        assert_eq!(sorted(Side::Ours), sorted(Side::Theirs), "{path}");
    }

    // One registry deletes, the other collects.
    let kept = ["ours/app:kept", "theirs/app:kept"];
    bucket.delete(Side::Theirs, "ours/app:gone");
    let collected = bucket.collect(Side::Ours);
    assert!(collected.contains("blob eligible for deletion"), "{collected}");
    bucket.pull(Side::Theirs, &["ours/app:kept", "theirs/app:kept", "theirs/app:gone"]);
    bucket.delete(Side::Ours, "theirs/app:gone");
    let collected = bucket.collect(Side::Theirs);
    assert!(collected.contains("blob eligible for deletion"), "{collected}");
    for side in [Side::Ours, Side::Theirs] {
        bucket.pull(side, &kept);
    }
    // Each collector leaves the other nothing to do.
    for side in [Side::Ours, Side::Theirs] {
        let collected = bucket.collect(side);
        assert!(!collected.contains("blob eligible for deletion"), "{side:?}: {collected}");
    }
    // Clients can push collected content again, though both registries once had it.
    bucket.push(Side::Ours, "theirs/app", "again");
    bucket.push(Side::Theirs, "ours/app", "again");
    for side in [Side::Ours, Side::Theirs] {
        bucket.pull(side, &["ours/app:again", "theirs/app:again"]);
    }
}
