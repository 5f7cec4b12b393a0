//! Two registries over one bucket, behind a simple proxy that alternates between them.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::support::{
    Answer, Dockerd, Nginx, RegistryProcess, StoreServer, assert_same_blobs, copy, multi_platform_layout,
    random, registry,
};

/// Two of our registries over one bucket.
struct Replicas {
    a: RegistryProcess,
    b: RegistryProcess,
    directory: TempDir,
    _store: StoreServer,
}

/// The source of the bytes of blobs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Blobs {
    /// The registries themselves.
    Served,
    /// The store, to which the registries redirect clients.
    Redirected,
}

impl Replicas {
    #[track_caller]
    fn start(blobs: Blobs) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = StoreServer::ceph();
        // The smallest possible parts, so that uploads of some MiB have many.
        let config = store.config(&format!("replicas-{:016x}", rand::random::<u64>()), |section| {
            section["chunksize"] = (5 << 20).into();
        });
        let config = match blobs {
            Blobs::Served => config,
            Blobs::Redirected => config.replace("redirect: {disable: true}", "redirect: {disable: false}"),
        };
        let start = || registry(directory.path(), &config);
        Self { a: start(), b: start(), directory, _store: store }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}

#[test]
#[ignore = "needs ceph, nginx, docker, buildah and skopeo, as root"]
fn docker_and_skopeo_do_not_notice_that_there_are_two() {
    pushes_and_pulls(Blobs::Served);
}

#[test]
#[ignore = "needs ceph, nginx, docker, buildah and skopeo, as root"]
fn docker_and_skopeo_follow_two_registries_to_the_store() {
    pushes_and_pulls(Blobs::Redirected);
}

#[track_caller]
fn pushes_and_pulls(blobs: Blobs) {
    let replicas = Replicas::start(blobs);
    let nginx = Nginx::before(&[&replicas.a, &replicas.b], replicas.path());

    let docker = Dockerd::start();
    let image = format!("{}/team/app:1", nginx.address);
    let big = random(12_000_000);
    docker.build(&image, &[b"first", &big, b"third"]);
    docker.push_and_pull(&image);
    // One of the two mounts the same layers into another repository.
    let other = format!("{}/other:1", nginx.address);
    docker.run(&["tag", &image, &other]);
    let output = docker.run(&["push", &other]);
    assert!(output.contains("Mounted from team/app"), "{output}");

    let layout = multi_platform_layout(replicas.path());
    let remote = format!("docker://{}/multi:all", nginx.address);
    copy(&format!("oci:{}:all", layout.display()), &remote, true);
    let back = replicas.path().join("back");
    copy(&remote, &format!("oci:{}:all", back.display()), true);
    assert_same_blobs(&layout, &back);

    for method in ["POST", "PATCH", "PUT", "GET"] {
        for replica in [&replicas.a, &replicas.b] {
            assert!(nginx.requests(replica, method) > 0, "no {method} went to {}", replica.address);
        }
    }
    assert_eq!(nginx.answers(307) > 0, blobs == Blobs::Redirected);
}

#[test]
#[ignore = "needs ceph, as root"]
fn an_upload_goes_from_replica_to_replica() {
    let Replicas { a, b, directory: _directory, _store } = Replicas::start(Blobs::Served);
    let content = random(23_000_000);
    let digest = sampan_engine::oci::Digest::sha256_of(&content);
    let (first, rest) = content.split_at(12_000_000);
    let (second, third) = rest.split_at(7_000_000);

    let location = a.wire().send("POST", "/v2/app/blobs/uploads/", &[], b"").location();
    let patched = b.wire().send("PATCH", &location, &[], first);
    assert_eq!((patched.status, patched.header("range")), (202, Some("0-11999999")));
    let patched = a.wire().send("PATCH", &patched.location(), &[], second);
    assert_eq!((patched.status, patched.header("range")), (202, Some("0-18999999")));
    let url = format!("{}?digest={digest}", patched.location());
    assert_eq!(b.wire().send("PUT", &url, &[], third).status, 201);
    for replica in [&a, &b] {
        let pulled = replica.wire().send("GET", &format!("/v2/app/blobs/{digest}"), &[], b"");
        assert!(pulled.status == 200 && pulled.body == content);
    }

    // The client begins the upload at one and cancels it at the other.
    let location = a.wire().send("POST", "/v2/app/blobs/uploads/", &[], b"").location();
    assert_eq!(b.wire().send("PATCH", &location, &[], first).status, 202);
    assert_eq!(a.wire().send("DELETE", &location, &[], b"").status, 204);
    assert_eq!(b.wire().send("GET", &location, &[], b"").status, 404);
    assert_eq!(b.wire().send("PATCH", &location, &[], second).status, 404);
}

#[test]
#[ignore = "needs ceph, as root"]
fn a_replica_killed_in_mid_patch_costs_that_patch_alone() {
    let Replicas { a, mut b, directory: _directory, _store } = Replicas::start(Blobs::Served);
    let content = random(40_000_000);
    let digest = sampan_engine::oci::Digest::sha256_of(&content);

    let location = a.wire().send("POST", "/v2/app/blobs/uploads/", &[], b"").location();
    assert_eq!(b.wire().send("PATCH", &location, &[], &content[..12_000_000]).status, 202);
    // In the middle of the second chunk, of which the store already has whole parts.
    let mut wire = b.wire();
    wire.begin("PATCH", &location, &[("Content-Range", "12000000-31999999")], 20_000_000);
    wire.write(&content[12_000_000..30_000_000]);
    b.process.kill();

    let status = a.wire().send("GET", &location, &[], b"");
    assert_eq!(status.status, 204, "{status:?}");
    let last: usize = status.header("range").unwrap().split_once('-').unwrap().1.parse().unwrap();
    assert!((11_999_999..30_000_000).contains(&last), "{last}");
    // Another chunk with another length than the lost one, and the rest with the digest.
    let range = format!("{}-34999999", last + 1);
    let chunk = &content[last + 1..35_000_000];
    let patched = a.wire().send("PATCH", &status.location(), &[("Content-Range", &range)], chunk);
    assert_eq!(patched.status, 202, "{patched:?}");
    let url = format!("{}?digest={digest}", patched.location());
    let finished = a.wire().send("PUT", &url, &[], &content[35_000_000..]);
    assert_eq!(finished.status, 201, "{finished:?}");
    let pulled = a.wire().send("GET", &format!("/v2/app/blobs/{digest}"), &[], b"");
    assert!(pulled.status == 200 && pulled.body == content);
}

#[test]
#[ignore = "needs ceph, as root"]
fn what_one_replica_does_the_other_sees_at_once() {
    let Replicas { a, b, directory: _directory, _store } = Replicas::start(Blobs::Served);
    let send = |replica: &RegistryProcess, method: &str, path: &str, body: &[u8]| {
        replica.wire().send(method, path, &[("Content-Type", MANIFEST)], body)
    };
    let digest = |answer: &Answer| answer.header("docker-content-digest").unwrap().to_owned();
    let blob = b"{}";
    let blob_digest = sampan_engine::oci::Digest::sha256_of(blob);
    let location = send(&a, "POST", "/v2/app/blobs/uploads/", b"").location();
    assert_eq!(send(&a, "PUT", &format!("{location}?digest={blob_digest}"), blob).status, 201);
    let manifest = |version: u32, subject: &str| {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{blob_digest}","size":2}},"layers":[],"annotations":{{"version":"{version}"}}{subject}}}"#
        )
        .into_bytes()
    };

    // The test moves a tag to and fro and reads it from the other side each time, so that both have cached it.
    let mut digests = Vec::new();
    for version in 0..6 {
        let (writer, reader) = if version % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let put = send(writer, "PUT", "/v2/app/manifests/latest", &manifest(version, ""));
        assert_eq!(put.status, 201, "{put:?}");
        let got = send(reader, "GET", "/v2/app/manifests/latest", b"");
        assert_eq!((got.status, digest(&got)), (200, digest(&put)), "version {version}");
        digests.push(digest(&put));
    }
    // Catalog and tags.
    assert_eq!(json(&send(&b, "GET", "/v2/_catalog", b""))["repositories"], serde_json::json!(["app"]));
    assert_eq!(json(&send(&b, "GET", "/v2/app/tags/list", b""))["tags"], serde_json::json!(["latest"]));
    // The referrers.
    let first = &digests[0];
    let referrers = format!("/v2/app/referrers/{first}");
    let listed = |replica: &RegistryProcess| {
        json(&send(replica, "GET", &referrers, b""))["manifests"].as_array().unwrap().len()
    };
    assert_eq!((listed(&a), listed(&b)), (0, 0));
    let subject = format!(
        r#","subject":{{"mediaType":"{MANIFEST}","digest":"{first}","size":{}}}"#,
        manifest(0, "").len()
    );
    let put = send(&a, "PUT", "/v2/app/manifests/signature", &manifest(100, &subject));
    assert_eq!(put.status, 201, "{put:?}");
    assert_eq!((listed(&a), listed(&b)), (1, 1));
    // Both have read and cached every manifest; a deletion must hold all the same.
    for (number, digest) in digests.iter().enumerate() {
        let path = format!("/v2/app/manifests/{digest}");
        let (deleter, reader) = if number % 2 == 0 { (&a, &b) } else { (&b, &a) };
        assert_eq!(send(reader, "GET", &path, b"").status, 200);
        assert_eq!(send(deleter, "DELETE", &path, b"").status, 202);
        assert_eq!(send(reader, "GET", &path, b"").status, 404);
        assert_eq!(send(reader, "HEAD", &path, b"").status, 404);
    }
    assert_eq!(send(&a, "GET", "/v2/app/manifests/latest", b"").status, 404);
    assert_eq!(send(&b, "DELETE", "/v2/app/manifests/signature", b"").status, 202);
    assert_eq!(send(&a, "GET", "/v2/app/manifests/signature", b"").status, 404);
    let path = format!("/v2/app/blobs/{blob_digest}");
    assert_eq!(send(&b, "HEAD", &path, b"").status, 200);
    assert_eq!(send(&a, "DELETE", &path, b"").status, 202);
    assert_eq!(send(&b, "HEAD", &path, b"").status, 404);
    assert_eq!(send(&b, "GET", &path, b"").status, 404);
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
