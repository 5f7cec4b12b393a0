//! An upstream that sends other content than its digest says.

use sampan_engine::oci::Digest;

use super::support::World;
use crate::support::hostile_server::Reply;
use crate::support::image::noise;

const SIZE: usize = 300_000;

/// The content with another last byte.
fn wrong(content: &[u8]) -> Vec<u8> {
    let mut content = content.to_vec();
    *content.last_mut().unwrap() ^= 1;
    content
}

/// The status of the answer about a blob of `up/app`, or 0 if it breaks off.
async fn broken(world: &World, digest: &Digest, range: Option<&str>) -> u16 {
    let mut call = world.server.call("GET", format!("/v2/up/app/blobs/{digest}"));
    if let Some(range) = range {
        call = call.header("range", range);
    }
    match call.try_send().await {
        Ok(answer) => {
            assert!(answer.status.is_client_error() || answer.status.is_server_error(), "{answer:?}");
            answer.status.as_u16()
        }
        Err(_) => 0,
    }
}

/// Fails if the last bytes leave before the digest is verified, or if the content is stored.
#[tokio::test]
async fn a_wrong_blob_is_never_complete_and_never_stored_nor_asked_for_again_at_once() {
    for known in [true, false] {
        let world = World::new().await;
        let content = noise(SIZE);
        let image = world.upstream.image("app", "latest", &[&content]);
        let digest = image.blobs[1].clone();
        if known {
            world.manifest("latest").await.expect(200);
        }
        let files = world.server.files().await;
        world.upstream.requests();
        world.upstream.answer_all(Reply::new(200).body(wrong(&content)));
        assert_eq!(broken(&world, &digest, None).await, 0);
        world.settle().await;
        assert_eq!(world.server.files().await, files);
        assert_eq!(world.upstream.requests().len(), 1);
        for range in
            [None, Some("bytes=0-"), Some("bytes=-1000"), Some("bytes=299999-299999"), Some("bytes=0-9")]
        {
            assert_eq!(broken(&world, &digest, range).await, 502, "{range:?}");
        }
        assert_eq!(world.upstream.requests(), [""; 0]);
        // Other blobs are.
        world.upstream.behave();
        world.blob(&image.blobs[0]).await.expect(200);
    }
}

/// Fails if a range leaves out the verification.
#[tokio::test]
async fn a_range_of_a_wrong_blob_ends_before_its_last_bytes() {
    for range in ["bytes=0-", "bytes=200000-", "bytes=-100000", "bytes=299990-299999", "bytes=240000-299998"]
    {
        let world = World::new().await;
        let content = noise(SIZE);
        let digest = world.upstream.blob("app", content.clone());
        world.upstream.answer_all(Reply::new(200).body(wrong(&content)));
        let status = broken(&world, &digest, Some(range)).await;
        assert!(status == 0 || status == 502, "{range}: {status}");
        world.settle().await;
        assert_eq!(world.server.files().await, []);
    }
}

#[tokio::test]
async fn a_blob_of_another_length_is_never_complete() {
    let content = noise(SIZE);
    let replies = |content: &[u8]| {
        let longer = [content, b"x"].concat();
        let shorter = content[1..].to_vec();
        vec![
            Reply::new(200).body(longer.clone()),
            Reply::new(200).body(longer).announcing(None),
            Reply::new(200).body(shorter.clone()),
            Reply::new(200).body(shorter).announcing(None),
            Reply::new(200).body(content).announcing(Some(1 << 50)),
            Reply::new(200),
            Reply::new(200).header("Content-Encoding", "gzip").body(noise(1000)),
            Reply::new(206)
                .header("Content-Range", format!("bytes 1-{}/{SIZE}", SIZE - 1))
                .body(&content[1..]),
            Reply::new(206).header("Content-Range", format!("bytes 0-99/{SIZE}")).body(&content[..100]),
        ]
    };
    for known in [true, false] {
        for (index, reply) in replies(&content).into_iter().enumerate() {
            let world = World::new().await;
            let image = world.upstream.image("app", "latest", &[&content]);
            let digest = image.blobs[1].clone();
            if known {
                world.manifest("latest").await.expect(200);
            }
            let files = world.server.files().await;
            world.upstream.answer_all(reply);
            let status = broken(&world, &digest, None).await;
            assert!(status == 0 || status == 502, "{known} {index}: {status}");
            world.settle().await;
            assert_eq!(world.server.files().await, files, "{known} {index}");
        }
    }
}

#[tokio::test]
async fn a_wrong_manifest_is_neither_served_nor_stored() {
    let world = World::new().await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    let other = world.upstream.image("app", "other", &[b"two"]);
    world.manifest("latest").await.expect(200);
    let files = world.server.files().await;
    // Under the digest of another one, and under its own.
    for digest in [other.digest.to_string(), image.digest.to_string()] {
        let reply = Reply::new(200)
            .header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
            .header("Docker-Content-Digest", digest)
            .body(image.manifest.clone());
        world.upstream.answer_all(reply);
        world.manifest(&other.digest).await.expect_error(502, "UNAVAILABLE");
        world.head(format!("/v2/up/app/manifests/{}", other.digest)).await.expect(502);
    }
    assert_eq!(world.server.files().await, files);
}

/// A network that wants a login answers every request with 200 and its own page.
#[tokio::test]
async fn a_captive_portal_never_becomes_content() {
    for (kind, page) in [
        ("text/html", "<html>log in</html>"),
        ("application/json", r#"{"login":"http://portal"}"#),
        ("application/json", "[]"),
        ("application/json", ""),
        ("application/vnd.oci.image.manifest.v1+json", r#"{"login":"http://portal"}"#),
    ] {
        let world = World::with(|upstream, _| upstream.tags.fresh = std::time::Duration::ZERO).await;
        let image = world.upstream.image("app", "latest", &[b"one"]);
        world.manifest("latest").await.expect(200);
        let files = world.server.files().await;
        world.upstream.answer_all(Reply::new(200).header("Content-Type", kind).body(page));
        for _ in 0..2 {
            let answer = world.manifest("latest").await.expect(200);
            assert_eq!(answer.body, image.manifest, "{kind} {page}");
            let answer = world.head("/v2/up/app/manifests/latest").await.expect(200);
            assert_eq!(answer.header("docker-content-digest"), image.digest.to_string());
        }
        for reference in ["other".to_owned(), Digest::sha256_of(b"other").to_string()] {
            for method in ["GET", "HEAD"] {
                world.call(method, format!("/v2/up/app/manifests/{reference}")).await.expect(502);
            }
        }
        let listed = world.get("/v2/up/app/tags/list").await.expect(200);
        assert_eq!(listed.json()["tags"], serde_json::json!(["latest"]), "{kind} {page}");
        let blob = &image.blobs[1];
        assert!([0, 502].contains(&broken(&world, blob, None).await));
        world.head(format!("/v2/up/app/blobs/{blob}")).await.expect(502);
        world.settle().await;
        assert_eq!(world.server.files().await, files, "{kind} {page}");
        world.upstream.behave();
        world.manifest("latest").await.expect(200);
    }
}
