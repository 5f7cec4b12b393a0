//! regctl, and through it regclient: a client that uses what the specification has, chunks and sha512 included.

use std::fs;

use sampan_engine::oci::Digest;
use serde_json::Value;

use super::support::{Guarded, assert_same_blobs, oci_layout, random, run};

const LOGIN: &str = "registry login --user USER --pass-stdin HOST";

fn start() -> Guarded {
    let guarded = Guarded::start();
    for tag in ["v1", "v2"] {
        oci_layout(&guarded.path(""), tag, 3);
    }
    guarded
}

#[test]
#[ignore = "needs regctl and umoci"]
fn regctl_copies_tags_and_deletes_with_a_password() {
    let guarded = start();
    let regctl = |arguments: &str| guarded.run("regctl", arguments);
    let name = |rest: &str| guarded.name(rest);
    let failed = guarded.fail("regctl", &format!("tag ls {}", name("app")));
    assert!(failed.contains("unauthorized"), "{failed}");
    guarded.log_in("regctl", LOGIN);

    regctl(&format!("image copy ocidir://layout:v1 {}", name("app:v1")));
    let digest = regctl(&format!("image digest {}", name("app:v1")));
    regctl(&format!("image copy {} {}", name("app:v1"), name("app:v2")));
    regctl(&format!("image copy {} {}", name("app:v1"), name("other/place:v1")));
    assert_eq!(regctl(&format!("image digest {}", name("other/place:v1"))), digest);
    assert_eq!(regctl(&format!("tag ls {}", name("app"))), "v1\nv2");
    assert_eq!(regctl(&format!("repo ls {}", guarded.host())), "app\nother/place");

    regctl(&format!("image copy {} ocidir://back:v1", name("other/place:v1")));
    assert_same_blobs(&guarded.path("layout"), &guarded.path("back"));
    regctl(&format!("image export {} archive.tar", name("app:v1")));
    regctl(&format!("image import {} archive.tar", name("imported:v1")));
    assert_eq!(regctl(&format!("image digest {}", name("imported:v1"))), digest);

    regctl(&format!("tag delete {}", name("app:v2")));
    assert_eq!(regctl(&format!("tag ls {}", name("app"))), "v1");
    regctl(&format!("manifest delete {}", name(&format!("app@{digest}"))));
    assert_eq!(regctl(&format!("tag ls {}", name("app"))), "");
}

#[test]
#[ignore = "needs regctl and umoci"]
fn regctl_attaches_artifacts_and_copies_them_with_their_image() {
    let guarded = start();
    guarded.log_in("regctl", LOGIN);
    let regctl = |arguments: &str| guarded.run("regctl", arguments);
    let name = |rest: &str| guarded.name(rest);
    regctl(&format!("image copy ocidir://layout:v1 {}", name("app:v1")));
    for kind in ["sbom", "signature"] {
        fs::write(guarded.path(kind), kind).unwrap();
        let subject = name("app:v1");
        regctl(&format!(
            "artifact put --subject {subject} --artifact-type application/vnd.{kind} --file {kind}"
        ));
    }
    let list = |repository: &str, filter: &str| -> Vec<String> {
        let format = "{{range .Descriptors}}{{println .ArtifactType}}{{end}}";
        let mut command = guarded.client("regctl");
        command.args(["artifact", "list", "--format", format, &name(repository)]);
        let mut lines: Vec<String> =
            run(command.args(filter.split_whitespace())).split_whitespace().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let both = ["application/vnd.sbom", "application/vnd.signature"];
    assert_eq!(list("app:v1", ""), both);
    assert_eq!(list("app:v1", "--filter-artifact-type application/vnd.sbom"), both[..1]);
    let fetched =
        regctl(&format!("artifact get --subject {} --filter-artifact-type {}", name("app:v1"), both[1]));
    assert_eq!(fetched, "signature");

    regctl(&format!("image copy --referrers {} {}", name("app:v1"), name("mirror/app:v1")));
    assert_eq!(list("mirror/app:v1", ""), both);
    let digest = regctl(&format!("image digest {}", name("app:v1")));
    regctl(&format!("manifest delete --referrers {}", name(&format!("app@{digest}"))));
    assert_eq!(list("mirror/app:v1", ""), both);
    // The fallback tag of clients without the API was never needed.
    assert_eq!(regctl(&format!("tag ls {}", name("mirror/app"))), "v1");
}

#[test]
#[ignore = "needs regctl and umoci"]
fn regctl_makes_an_index_and_an_image_in_sha512() {
    let guarded = start();
    guarded.log_in("regctl", LOGIN);
    let regctl = |arguments: &str| guarded.run("regctl", arguments);
    let name = |rest: &str| guarded.name(rest);
    regctl(&format!("image copy ocidir://layout:v1 {}", name("app:v1")));
    regctl(&format!("image copy ocidir://layout:v2 {}", name("app:v2")));
    let (image, other) = (name("app:v1"), name("app:v2"));
    regctl(&format!("index create {} --ref {image} --platform linux/amd64", name("app:all")));
    regctl(&format!("index add {} --ref {other} --platform linux/arm64/v8", name("app:all")));
    let index = regctl(&format!("manifest get --format raw-body {}", name("app:all")));
    let index: Value = serde_json::from_str(&index).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2, "{index}");

    regctl(&format!("image mod {image} --create {} --digest-algo sha512", name("app:sha512")));
    let digest = regctl(&format!("image digest {}", name("app:sha512")));
    assert!(digest.starts_with("sha512:"), "{digest}");
    regctl(&format!("image copy {} {}", name("app:sha512"), name("other:sha512")));
    regctl(&format!("image copy {} ocidir://back:sha512", name("other:sha512")));
    assert_eq!(regctl("image digest ocidir://back:sha512"), digest);
}

#[test]
#[ignore = "needs regctl"]
fn regctl_sends_a_blob_in_chunks_and_goes_on_after_the_line_is_cut() {
    let guarded = Guarded::start_without_http2();
    let content = random(3_000_000);
    fs::write(guarded.path("content"), &content).unwrap();
    let digest = Digest::sha256_of(&content);
    let put = |host: &str, repository: &str| {
        // regctl reads a file that it gets as standard input again from its beginning, as a retry needs.
        let file = fs::File::open(guarded.path("content")).unwrap();
        let mut command = guarded.client("regctl");
        assert_eq!(
            run(command.args(["blob", "put", &format!("{host}/{repository}")]).stdin(file)).trim(),
            digest.to_string()
        );
    };
    let chunked = |host: &str| {
        guarded.run(
            "regctl",
            &format!("registry set {host} --blob-chunk 200000 --blob-max 200000 --skip-check"),
        );
    };
    guarded.log_in("regctl", LOGIN);
    chunked(&guarded.host());
    put(&guarded.host(), "chunked");
    let answers = |method: &str, repository: &str, status: u16| {
        let log = guarded.log();
        let (method, status) = (format!("method={method} "), format!("http.response.status={status}"));
        let path = format!("/v2/{repository}/blobs/uploads/");
        log.lines().filter(|line| [&method, &status, &path].iter().all(|part| line.contains(*part))).count()
    };
    assert_eq!(answers("PATCH", "chunked", 202), 15, "{}", guarded.log());

    // Enough for a chunk or two, and then the line is cut.
    let line = guarded.behind_a_cut_line(500_000);
    let host = line.address.to_string();
    let login = LOGIN.replace("HOST", &host);
    guarded.log_in("regctl", &login);
    chunked(&host);
    put(&host, "cut");
    assert_eq!(line.cuts(), 3);
    // A chunk broke off, and it began no other upload: it sent the chunk again, or the rest of which 416 says where it begins.
    assert!(answers("PATCH", "cut", 416) + answers("PATCH", "cut", 499) > 0, "{}", guarded.log());
    assert_eq!(answers("POST", "cut", 202), 1, "{}", guarded.log());
    let pulled = guarded
        .client("regctl")
        .args(["blob", "get", &guarded.name("cut"), &digest.to_string()])
        .output()
        .unwrap();
    assert!(pulled.status.success() && pulled.stdout == content, "{}", pulled.status);
}
