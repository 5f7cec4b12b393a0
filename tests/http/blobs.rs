//! end-2, end-10: blobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use sampan::auth::Anonymous;
use sampan::http::{Api, AppState, HttpOptions, HttpServices};
use sampan_driver::{DriverPath, PutMode, StorageDriver};
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::oci::{Algorithm, Digest};
use sampan_engine::{Clock, Limits, Registry};

use crate::support::client::Call;
use crate::support::failing_driver::Misbehaviour;
use crate::support::{FailingDriver, Server, Setup};

const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[tokio::test]
async fn a_blob_comes_back_byte_for_byte() {
    let server = Server::new();
    let content = crate::support::image::noise(3_000_000);
    let digest = server.push_blob("a/b", content.clone()).await;
    let answer = server.call("GET", format!("/v2/a/b/blobs/{digest}")).send().await.expect(200);
    assert_eq!(answer.body, content);
    let head = server.call("HEAD", format!("/v2/a/b/blobs/{digest}")).send().await.expect(200);
    assert!(head.body.is_empty());
    for answer in [answer, head] {
        assert_eq!(answer.header("content-length"), "3000000");
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        assert_eq!(answer.header("etag"), format!("\"{digest}\""));
        assert_eq!(answer.header("cache-control"), "max-age=31536000");
        assert_eq!(answer.header("accept-ranges"), "bytes");
    }
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let server = Server::new();
    server.push_blob("a", "").await;
    let answer = server.call("GET", format!("/v2/a/blobs/{EMPTY}")).send().await.expect(200);
    assert_eq!((answer.header("content-length"), answer.body.len()), ("0", 0));
    server.call("HEAD", format!("/v2/a/blobs/{EMPTY}")).send().await.expect(200);
    server.call("GET", format!("/v2/a/blobs/{EMPTY}")).header("range", "bytes=0-").send().await.expect(200);
}

#[tokio::test]
async fn a_small_blob_comes_from_memory_where_there_is_a_link() {
    let driver = Arc::new(InMemoryDriver::new());
    let server = Server::with(Setup { driver: driver.clone(), ..Setup::default() });
    let digest = server.push_blob("a", "content").await;
    let url = format!("/v2/a/blobs/{digest}");
    for _ in 0..2 {
        server.call("GET", &url).send().await.expect(200);
    }
    let files = server.files().await;
    let (data, _) = files.iter().find(|(path, _)| path.ends_with("/data")).unwrap();
    driver.delete(&data.parse().unwrap()).await.unwrap();

    let answer = server.call("GET", &url).send().await.expect(200);
    assert_eq!((answer.header("content-length"), answer.body.as_ref()), ("7", b"content".as_ref()));
    // Only the content is in memory. The store decides whether a push can skip the upload.
    server.call("HEAD", &url).send().await.expect(404);
    server.call("GET", format!("/v2/b/blobs/{digest}")).send().await.expect(404);
    server.call("DELETE", &url).send().await.expect(202);
    server.call("GET", &url).send().await.expect(404);
}

#[tokio::test]
async fn a_range_of_a_small_blob_is_the_same_from_memory() {
    let server = Server::new();
    let digest = server.push_blob("a", "content").await;
    let url = format!("/v2/a/blobs/{digest}");
    for _ in 0..3 {
        let part = server.call("GET", &url).header("range", "bytes=2-4").send().await.expect(206);
        assert_eq!((part.header("content-range"), part.body.as_ref()), ("bytes 2-4/7", b"nte".as_ref()));
        server.call("GET", &url).header("range", "bytes=7-").send().await.expect(416);
        server.call("GET", &url).send().await.expect(200);
    }
}

#[tokio::test]
async fn a_damaged_small_blob_is_not_kept() {
    let driver = Arc::new(InMemoryDriver::new());
    let server = Server::with(Setup { driver: driver.clone(), ..Setup::default() });
    let digest = server.push_blob("a", "content").await;
    let files = server.files().await;
    let (data, _) = files.iter().find(|(path, _)| path.ends_with("/data")).unwrap();
    for content in ["con", "con", "content"] {
        driver.put_content(&data.parse().unwrap(), content.into(), PutMode::Overwrite).await.unwrap();
        let answer = server.call("GET", format!("/v2/a/blobs/{digest}")).send().await.expect(200);
        assert_eq!(answer.body, content);
    }
}

/// A power failure leaves such files if they were never synced: the data, or the layer link.
#[tokio::test]
async fn an_empty_blob_file_or_link_counts_as_absent_and_a_push_heals_it() {
    for name in ["/data", "/link"] {
        let driver = Arc::new(InMemoryDriver::new());
        let server = Server::with(Setup { driver: driver.clone(), ..Setup::default() });
        let digest = server.push_blob("a", "content").await;
        let files = server.files().await;
        let (path, _) = files.iter().find(|(path, _)| path.ends_with(name)).unwrap();
        driver.put_content(&path.parse().unwrap(), "".into(), PutMode::Overwrite).await.unwrap();
        for method in ["HEAD", "GET"] {
            server.call(method, format!("/v2/a/blobs/{digest}")).send().await.expect(404);
        }
        server.push_blob("a", "content").await;
        let answer = server.call("GET", format!("/v2/a/blobs/{digest}")).send().await.expect(200);
        assert_eq!(answer.body, "content");
        // Other content is a different fault, and is reported as such.
        driver.put_content(&path.parse().unwrap(), "x".into(), PutMode::Overwrite).await.unwrap();
        let expected = if name == "/link" { 500 } else { 200 };
        server.call("HEAD", format!("/v2/a/blobs/{digest}")).send().await.expect(expected);
    }
}

#[tokio::test]
async fn a_blob_is_answered_in_the_requested_algorithm() {
    let server = Server::new();
    for algorithm in [Algorithm::Sha384, Algorithm::Sha512] {
        let digest = Digest::of(algorithm, b"content");
        let path = format!("/v2/a/blobs/uploads/?digest={digest}");
        let pushed = server.call("POST", path).body("content").send().await.expect(201);
        assert_eq!(pushed.header("docker-content-digest"), digest.to_string());
        for asked in [digest, Digest::sha256_of(b"content")] {
            let answer = server.call("GET", format!("/v2/a/blobs/{asked}")).send().await.expect(200);
            assert_eq!(answer.header("docker-content-digest"), asked.to_string());
            assert_eq!(answer.header("etag"), format!("\"{asked}\""));
        }
    }
}

#[tokio::test]
async fn a_percent_encoded_colon_is_a_colon() {
    let server = Server::new();
    let digest = server.push_blob("a", "x").await.to_string().replace(':', "%3A");
    server.call("GET", format!("/v2/a/blobs/{digest}")).send().await.expect(200);
}

#[tokio::test]
async fn an_unknown_blob_is_not_found_even_if_another_repository_has_it() {
    let server = Server::new();
    let digest = server.push_blob("mine", "x").await;
    for method in ["GET", "DELETE"] {
        let answer = server.call(method, format!("/v2/other/blobs/{digest}")).send().await;
        let answer = answer.expect_error(404, "BLOB_UNKNOWN");
        assert_eq!(answer.details(), [digest.to_string()]);
    }
    server.call("HEAD", format!("/v2/other/blobs/{digest}")).send().await.expect(404);
    // An entity tag does not prove that the blob was ever here.
    let conditional = server.call("GET", format!("/v2/other/blobs/{digest}")).header("if-none-match", "*");
    conditional.send().await.expect_error(404, "BLOB_UNKNOWN");
}

#[tokio::test]
async fn the_error_for_a_malformed_digest_names_the_fault() {
    let server = Server::new();
    let hex = &EMPTY["sha256:".len()..];
    for (digest, reason) in [
        ("sha256:abc".to_owned(), "64 hexadecimal"),
        (format!("md5:{hex}"), "sha256, sha384 or sha512"),
        (format!("sha256:{}", hex.to_uppercase()), "lower-case"),
        ("nonsense".to_owned(), "colon"),
        ("%ff".to_owned(), "colon"),
    ] {
        let answer = server.call("GET", format!("/v2/a/blobs/{digest}")).send().await;
        let answer = answer.expect_error(400, "DIGEST_INVALID");
        assert!(answer.details()[0].as_str().unwrap().contains(reason), "{answer:?}");
    }
}

#[tokio::test]
async fn a_client_that_has_the_blob_gets_a_304() {
    let server = Server::new();
    let digest = server.push_blob("a", "content").await;
    let tag = format!("\"{digest}\"");
    for (value, status) in [
        (tag.clone(), 304),
        (format!("W/{tag}"), 304),
        (format!("\"x\", {tag}"), 304),
        ("*".to_owned(), 304),
        ("\"x\"".to_owned(), 200),
    ] {
        for method in ["GET", "HEAD"] {
            let call = server.call(method, format!("/v2/a/blobs/{digest}")).header("if-none-match", &value);
            let answer = call.send().await.expect(status);
            assert_eq!(answer.header("etag"), tag);
            assert_eq!(answer.body.is_empty(), status == 304 || method == "HEAD");
        }
    }
}

#[tokio::test]
async fn deletion_is_immediate_and_of_this_repository_alone() {
    let server = Server::new();
    let digest = server.push_blob("a", "content").await;
    server.push_blob("b", "content").await;
    let answer = server.call("DELETE", format!("/v2/a/blobs/{digest}")).send().await.expect(202);
    assert_eq!(answer.header("content-length"), "0");
    server.call("GET", format!("/v2/a/blobs/{digest}")).send().await.expect_error(404, "BLOB_UNKNOWN");
    server.call("DELETE", format!("/v2/a/blobs/{digest}")).send().await.expect_error(404, "BLOB_UNKNOWN");
    server.call("GET", format!("/v2/b/blobs/{digest}")).send().await.expect(200);
}

#[tokio::test]
async fn deletion_has_to_be_enabled() {
    let server = Server::with(Setup { limits: Limits::default(), ..Setup::default() });
    let digest = server.push_blob("a", "content").await;
    let answer = server.call("DELETE", format!("/v2/a/blobs/{digest}")).send().await;
    let answer = answer.expect_error(405, "UNSUPPORTED");
    assert!(answer.details()[0].as_str().unwrap().contains("deletion is not enabled"), "{answer:?}");
    assert_eq!(answer.header("allow"), "GET, HEAD");
    server.call("GET", format!("/v2/a/blobs/{digest}")).send().await.expect(200);
}

#[tokio::test]
async fn a_client_is_redirected_to_a_store_that_can_serve_it() {
    for (redirect, status) in [(true, 307), (false, 200)] {
        let driver = FailingDriver::new();
        let options = HttpOptions { redirect, ..HttpOptions::default() };
        let server = Server::with(Setup { driver: Arc::new(driver.clone()), options, ..Setup::default() });
        let digest = server.push_blob("a", "content").await;
        driver.be(Misbehaviour::Redirects("https://store.example/x?sig=1".parse().unwrap()));
        for method in ["GET", "HEAD"] {
            let answer = server.call(method, format!("/v2/a/blobs/{digest}")).send().await.expect(status);
            if redirect {
                assert_eq!(answer.header("location"), "https://store.example/x?sig=1");
            }
        }
        let unknown = Digest::sha256_of(b"unknown");
        server.call("GET", format!("/v2/a/blobs/{unknown}")).send().await.expect_error(404, "BLOB_UNKNOWN");
    }
}

/// A redirected `HEAD` confirms the blob to the client, so it must take a lease.
#[tokio::test]
async fn a_head_that_is_redirected_renews_the_layer_link() {
    const HOUR: Duration = Duration::from_secs(3600);
    let driver = FailingDriver::new();
    let (ahead, clock) = (Arc::new(AtomicBool::new(false)), Clock::default());
    let seen = ahead.clone();
    let clock =
        Clock::new(move || clock.now() + if seen.load(Ordering::Relaxed) { HOUR } else { Duration::ZERO });
    let registry = Registry::builder(Arc::new(driver.clone())).gc_grace(Some(HOUR)).clock(clock).build();
    let api = Api::new(AppState::new(
        registry.clone(),
        Arc::new(Anonymous),
        HttpOptions::default(),
        HttpServices::default(),
    ));
    let blobs = registry.repository("a".parse().unwrap());
    let digest = Digest::sha256_of(b"content");
    let body = futures::stream::iter([Ok(axum::body::Bytes::from("content"))]).boxed();
    blobs.uploads().put(&digest, None, body).await.unwrap();
    driver.be(Misbehaviour::Redirects("https://store.example/x".parse().unwrap()));

    let link: DriverPath =
        format!("/docker/registry/v2/repositories/a/_layers/sha256/{}/link", digest.hex()).parse().unwrap();
    let written = driver.stat(&link).await.unwrap().modified;
    let path = format!("/v2/a/blobs/{digest}");
    Call::new(api.clone(), "HEAD", &path).send().await.expect(307);
    assert_eq!(driver.stat(&link).await.unwrap().modified, written, "it is young");
    ahead.store(true, Ordering::Relaxed);
    Call::new(api.clone(), "GET", &path).send().await.expect(307);
    assert_eq!(driver.stat(&link).await.unwrap().modified, written, "pulls write nothing");
    Call::new(api, "HEAD", &path).send().await.expect(307);
    assert!(driver.stat(&link).await.unwrap().modified > written);
}
