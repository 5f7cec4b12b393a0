//! `middleware.storage`: where the binary sends clients for blobs.

use sampan_engine::oci::Digest;

use crate::clients::support::{filesystem_config, registry};

#[test]
fn clients_fetch_blobs_where_the_middleware_sends_them_and_manifests_here() {
    let directory = tempfile::tempdir().unwrap();
    let config = filesystem_config(&directory.path().join("data"))
        + "middleware:
  storage:
  - {name: redirect, options: {baseurl: 'http://store.example/images/'}}
  - {name: rewrite, options: {scheme: https, host: 'cdn.example:8443', trimpathprefix: /images}}
  - {name: redirect, disabled: true, options: {baseurl: 'http://elsewhere.example'}}
";
    let registry = registry(directory.path(), &config);
    let mut wire = registry.wire();
    let digest = Digest::sha256_of(b"content");
    let push = wire.send("POST", &format!("/v2/app/blobs/uploads/?digest={digest}"), &[], b"content");
    assert_eq!(push.status, 201);

    let hex = digest.to_string().replace("sha256:", "");
    let expected =
        format!("https://cdn.example:8443/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
    for method in ["GET", "HEAD"] {
        let answer = wire.send(method, &format!("/v2/app/blobs/{digest}"), &[], b"");
        assert_eq!((answer.status, answer.header("location")), (307, Some(expected.as_str())), "{method}");
    }
    assert_eq!(wire.send("GET", &format!("/v2/other/blobs/{digest}"), &[], b"").status, 404);
    assert_eq!(wire.send("GET", "/v2/app/manifests/latest", &[], b"").status, 404);
}
