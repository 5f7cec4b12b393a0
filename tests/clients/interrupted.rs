//! Interrupted pushes.

use super::support::{filesystem_config, registry};

#[test]
#[ignore = "real processes and signals"]
fn a_push_goes_on_where_a_killed_registry_left_it() {
    let directory = tempfile::tempdir().unwrap();
    let config = filesystem_config(&directory.path().join("data"));
    let content: Vec<u8> = (0..20_000_000).map(|_| rand::random()).collect();
    let digest = sampan_engine::oci::Digest::sha256_of(&content);

    let mut first = registry(directory.path(), &config);
    let begun = first.wire().send("POST", "/v2/app/blobs/uploads/", &[], b"");
    let location = begun.location();
    assert_eq!(first.wire().send("PATCH", &location, &[], &content[..5_000_000]).status, 202);
    // In the middle of the second chunk, of which some bytes have arrived.
    let mut wire = first.wire();
    wire.begin("PATCH", &location, &[("Content-Range", "5000000-14999999")], 10_000_000);
    wire.write(&content[5_000_000..9_000_000]);
    first.process.kill();

    let second = registry(directory.path(), &config);
    let status = second.wire().send("GET", &location, &[], b"");
    assert_eq!(status.status, 204, "{status:?}");
    let last: usize = status.header("range").unwrap().split_once('-').unwrap().1.parse().unwrap();
    assert!((4_999_999..9_000_000).contains(&last), "{last}");
    let rest = &content[last + 1..];
    let finished = second.wire().send("PUT", &format!("{}?digest={digest}", status.location()), &[], rest);
    assert_eq!(finished.status, 201, "{finished:?}");

    let pulled = second.wire().send("GET", &format!("/v2/app/blobs/{digest}"), &[], b"");
    assert!(pulled.status == 200 && pulled.body == content);
}
