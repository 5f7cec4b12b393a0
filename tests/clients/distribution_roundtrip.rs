//! One data directory, two registries: Debian's package of Distribution reads our writes, and vice versa.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use hmac::{Hmac, KeyInit, Mac};

use sampan_engine::oci::media_type::OCI_MANIFEST;
use sampan_engine::oci::{Algorithm, Digest};

use super::support::{
    DEBIAN_SECRET, RegistryProcess, debian_registry, filesystem_config, oci_layout, registry, run, tool,
    write_config,
};

#[test]
#[ignore = "needs docker-registry, skopeo and umoci"]
fn distribution_reads_what_we_wrote_and_we_read_what_it_wrote() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("data");
    let layout = oci_layout(directory.path(), "v1", 3);
    let source = format!("oci:{}:v1", layout.display());
    let skopeo = |args: &[&str]| {
        let flags = ["copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"];
        run(tool("skopeo").args(flags).args(args))
    };
    let digest = |host: &str, name: &str| {
        let image = format!("docker://{host}/{name}");
        run(tool("skopeo").args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &image]))
            .trim()
            .to_owned()
    };

    let ours = registry(directory.path(), &filesystem_config(&root));
    skopeo(&[&source, &format!("docker://{}/ours/app:v1", ours.host())]);
    skopeo(&["--format", "v2s2", &source, &format!("docker://{}/ours/docker:v1", ours.host())]);

    let theirs = debian_registry(directory.path(), &root);
    for name in ["ours/app:v1", "ours/docker:v1"] {
        let copy = directory.path().join(name.replace(['/', ':'], "-"));
        skopeo(&[&format!("docker://{}/{name}", theirs.host()), &format!("dir:{}", copy.display())]);
        assert_eq!(digest(&ours.host(), name), digest(&theirs.host(), name));
    }
    skopeo(&[&source, &format!("docker://{}/theirs/app:v1", theirs.host())]);
    skopeo(&["--format", "v2s2", &source, &format!("docker://{}/theirs/docker:v1", theirs.host())]);

    for name in ["theirs/app:v1", "theirs/docker:v1"] {
        let copy = directory.path().join(name.replace(['/', ':'], "-"));
        skopeo(&[&format!("docker://{}/{name}", ours.host()), &format!("dir:{}", copy.display())]);
        assert_eq!(digest(&ours.host(), name), digest(&theirs.host(), name));
    }
    for path in ["/v2/_catalog", "/v2/theirs/app/tags/list", "/v2/ours/docker/tags/list"] {
        let bodies = [&ours, &theirs].map(|registry| registry.wire().send("GET", path, &[], b""));
        let json = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).unwrap();
        assert_eq!(json(&bodies[0].body), json(&bodies[1].body), "{path}");
    }

    // A deletion by one registry holds for the other.
    run(tool("skopeo").args([
        "delete",
        "--tls-verify=false",
        &format!("docker://{}/theirs/app:v1", ours.host()),
    ]));
    let answer = theirs.wire().send("GET", "/v2/theirs/app/manifests/v1", &[], b"");
    assert_eq!(answer.status, 404);
}

#[test]
#[ignore = "needs docker-registry"]
fn distribution_resumes_an_upload_that_we_began() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("data");
    let content: Vec<u8> = (0..3_000_000).map(|_| rand::random()).collect();
    let (first, second) = content.split_at(2_000_001);

    let mut ours = registry(directory.path(), &filesystem_config(&root));
    let begun = ours.wire().send("POST", "/v2/app/blobs/uploads/", &[], b"");
    let location = begun.location();
    assert_eq!(ours.wire().send("PATCH", &location, &[], first).status, 202);
    let id = begun.header("docker-upload-uuid").unwrap().to_owned();
    ours.process.terminate();

    let theirs = debian_registry(directory.path(), &root);
    let location = format!("/v2/app/blobs/uploads/{id}?_state={}", signed_state(&id, first.len()));
    let patched = theirs.wire().send("PATCH", &location, &[], second);
    assert_eq!(patched.status, 202, "{patched:?}");
    let digest = Digest::sha256_of(&content);
    let location = patched.location();
    let separator = if location.contains('?') { '&' } else { '?' };
    let finished = theirs.wire().send("PUT", &format!("{location}{separator}digest={digest}"), &[], b"");
    assert_eq!(finished.status, 201, "{finished:?}");
}

#[test]
#[ignore = "needs docker-registry"]
fn distribution_reads_a_tag_that_was_pushed_by_sha512_and_keeps_it() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("data");
    let ours = registry(directory.path(), &filesystem_config(&root));
    let config = Digest::sha256_of(b"{}");
    let pushed = ours.wire().send("POST", &format!("/v2/app/blobs/uploads/?digest={config}"), &[], b"{}");
    assert_eq!(pushed.status, 201);
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"a/b","digest":"{config}","size":2}},"layers":[]}}"#
    );
    let [sha256, sha512] =
        [Algorithm::Sha256, Algorithm::Sha512].map(|algorithm| Digest::of(algorithm, manifest.as_bytes()));
    let kind = ("Content-Type", OCI_MANIFEST);
    let path = format!("/v2/app/manifests/{sha512}?tag=v1");
    assert_eq!(ours.wire().send("PUT", &path, &[kind], manifest.as_bytes()).status, 201);

    let digest_of = |registry: &RegistryProcess| {
        let accept = ("Accept", OCI_MANIFEST);
        let answer = registry.wire().send("GET", "/v2/app/manifests/v1", &[accept], b"");
        assert_eq!((answer.status, answer.body.as_slice()), (200, manifest.as_bytes()));
        answer.header("docker-content-digest").unwrap().to_owned()
    };
    let theirs = debian_registry(directory.path(), &root);
    assert_eq!([digest_of(&ours), digest_of(&theirs)], [sha512.to_string(), sha256.to_string()]);
    // If the link of the tag were the sha512 digest, Distribution would see the manifest as untagged.
    let yml = write_config(directory.path(), "collect.yml", &filesystem_config(&root));
    run(tool("docker-registry").args(["garbage-collect", "--delete-untagged"]).arg(yml));
    assert_eq!([digest_of(&ours), digest_of(&theirs)], [sha512.to_string(), sha256.to_string()]);
}

/// The signed state in the upload URL of Distribution, as if it had begun the upload: it keeps the offset at the client.
fn signed_state(id: &str, offset: usize) -> String {
    let state = serde_json::json!({
        "Name": "app", "UUID": id, "Offset": offset, "StartedAt": "2026-01-02T03:04:05Z",
    });
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(DEBIAN_SECRET.as_bytes()).unwrap();
    mac.update(state.to_string().as_bytes());
    let mut signed = mac.finalize().into_bytes().to_vec();
    signed.extend(state.to_string().bytes());
    URL_SAFE.encode(signed)
}
