//! Blobs of a bundle over real sockets: `sendfile` from the middle of a file, and a medium that rots.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use axum::Router;
use hyper::body::Bytes;
use sampan::auth::Anonymous;
use sampan::http::{Api, AppState, HttpOptions, HttpServices};
use sampan::serve::{Security, ServeOptions};
use sampan_bundle::Reader;
use sampan_engine::Registry;
use sampan_engine::oci::Digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::Running;
use crate::support::image::{manifest, noise};
use crate::support::{BundleFile, Server};

/// Several windows and a rest.
const LEN: usize = 3 * 1024 * 1024 + 12_345;

/// A bundle with a large layer.
async fn bundle() -> (BundleFile, Digest, Bytes) {
    let (server, content) = (Server::new(), noise(LEN));
    server.push_blob("a/b", "{}").await;
    let digest = server.push_blob("a/b", content.clone()).await;
    server.put_manifest("a/b", "1", &manifest(b"{}", &content)).await.expect(201);
    (BundleFile::of(&server.registry).await, digest, content)
}

async fn serve(bundle: &BundleFile) -> Running {
    let registry = Registry::builder(Arc::new(bundle.open().await)).build();
    registry.set_read_only(true);
    let state = AppState::new(registry, Arc::new(Anonymous), HttpOptions::default(), HttpServices::default());
    let router = Router::new().fallback_service(Api::new(state));
    Running::of(router, ServeOptions::default(), Security::Plain).await
}

/// The headers, and as much of the body as came.
async fn get(server: &Running, digest: &Digest, range: &str) -> (String, Vec<u8>) {
    let mut client = server.connect().await;
    let request =
        format!("GET /v2/a/b/blobs/{digest} HTTP/1.1\r\nhost: test\r\n{range}connection: close\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A broken connection is a reset or an early end.
    let _ = client.read_to_end(&mut answer).await;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(answer.len(), |end| end + 4);
    let body = answer.split_off(end);
    (String::from_utf8(answer).unwrap(), body)
}

#[tokio::test]
async fn a_part_of_a_file_is_sent_from_its_place() {
    let (bundle, digest, content) = bundle().await;
    let server = serve(&bundle).await;
    // The first answer follows the check of the content, and the others do not.
    for range in [0..LEN, 0..LEN, 7..LEN - 7, (1 << 20)..(2 << 20), LEN - 70_000..LEN] {
        let header = format!("range: bytes={}-{}\r\n", range.start, range.end - 1);
        let (head, body) = get(&server, &digest, if range.len() == LEN { "" } else { &header }).await;
        assert!(head.contains(&format!("content-length: {}\r\n", range.len())), "{head}");
        assert!(body == content[range.clone()], "{range:?}");
    }
}

#[tokio::test]
async fn a_blob_that_rots_breaks_the_connection_before_its_end() {
    let (bundle, digest, content) = bundle().await;
    let reader = Reader::open(&[bundle.path()]).await.unwrap();
    let index = reader.plan().contents.iter().position(|it| it.digest == digest).unwrap();
    let data = reader.layout().data(index, &reader.plan().contents[index]);
    let file = std::fs::File::options().write(true).open(bundle.path()).unwrap();
    file.write_all_at(&[!content[LEN - 1]], data.end - 1).unwrap();
    for range in ["", "range: bytes=0-9\r\n", "range: bytes=1000000-\r\n"] {
        let server = serve(&bundle).await;
        let (head, body) = get(&server, &digest, range).await;
        // The check may have ended before the answer began.
        let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        // A connection that breaks at once may take the head with it.
        let is_broken = match announced {
            Some(length) => body.len() < length.parse().unwrap(),
            None => !head.contains("\r\n\r\n"),
        };
        assert!(is_broken || head.starts_with("HTTP/1.1 500 "), "{range:?}: {head}");
        let (head, _) = get(&server, &digest, range).await;
        assert!(head.starts_with("HTTP/1.1 500 "), "{head}");
    }
}
