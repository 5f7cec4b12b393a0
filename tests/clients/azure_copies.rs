//! Copies that Azure acknowledges before it has made them: Azurite behind a proxy that reports them as pending.

use sampan_engine::oci::Digest;

use super::support::{Fault, FlakyProxy, Sort, StoreServer, random, registry, without_purge};

#[test]
#[ignore = "needs azurite"]
fn a_copy_is_waited_for_and_one_that_fails_costs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = StoreServer::start("azurite");
    let account = store.text("serviceurl").rsplit_once('/').unwrap();
    let line = FlakyProxy::to(account.0);
    let url = format!("http://{}/{}", line.address, account.1);
    let config = store.config_as("azure", "copies", |section| section["serviceurl"] = url.into());
    let registry = registry(directory.path(), &without_purge(&config));
    let send = |method: &str, path: &str, body: &[u8]| registry.wire().send(method, path, &[], body);

    // The first check precedes the copy and finds nothing, whatever the proxy reports.
    for (status, times) in [("pending", 4), ("failed", 2), ("aborted", 2)] {
        // More than a part, and without its digest at the beginning, so the registry stages it elsewhere and copies it.
        let content = random(11_000_000);
        let blob = format!("/v2/app/blobs/{}", Digest::sha256_of(&content));
        let location = send("POST", "/v2/app/blobs/uploads/", b"").location();
        assert_eq!(send("PATCH", &location, &content).status, 202);
        line.take_seen();
        line.fail_at("/v2/blobs/", Sort::Head, Fault::CopyStatus(status), times);
        let finish = format!("{location}?digest={}", Digest::sha256_of(&content));
        let finished = send("PUT", &finish, b"");
        assert!(!line.heal(), "the copy was not looked at");
        let seen = line.take_seen();
        let copied = seen.iter().position(|(sort, _)| *sort == Sort::Copy).expect("nothing was copied");
        if status == "pending" {
            assert_eq!(finished.status, 201, "{finished:?}");
            // The registry checks a pending copy three times and a finished one once, and only then removes its source.
            let sorts: Vec<Sort> = seen[copied..].iter().map(|(sort, _)| *sort).collect();
            assert_eq!(
                sorts[1..6],
                [Sort::Head, Sort::Head, Sort::Head, Sort::Head, Sort::Delete],
                "{seen:?}"
            );
        } else {
            assert_eq!(finished.status, 503, "{status}: {finished:?}");
            registry.process.wait_to_say(&format!("ended as {status}"));
            line.fail_at("/v2/blobs/", Sort::Head, Fault::CopyStatus(status), 1);
            assert_eq!(send("HEAD", &blob, b"").status, 404, "{status}: what is left of a copy is no blob");
            assert!(!line.heal(), "HEAD did not look at the blob");
            let there = send("GET", &location, b"");
            assert_eq!(there.header("range"), Some("0-10999999"), "{status}: {there:?}");
            let finished = send("PUT", &finish, b"");
            assert_eq!(finished.status, 201, "{status}: {finished:?}");
        }
        // Another registry over the container would see such a blob before this one knows the result.
        for (method, sort) in [("HEAD", Sort::Head), ("GET", Sort::Get)] {
            line.fail_at("/v2/blobs/", sort, Fault::CopyStatus(status), 1);
            assert_eq!(send(method, &blob, b"").status, 404, "{method} of what is {status}");
            assert!(!line.heal(), "{method} did not look at the blob");
        }
        let pulled = send("GET", &blob, b"");
        assert!(pulled.status == 200 && pulled.body == content, "{status}: {}", pulled.status);
    }
}
