//! Transfers of blobs that meet trouble: at the upstream, with their clients, and in the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use futures::FutureExt;
use futures::future::join_all;
use sampan_engine::caches::CachePrefixes;
use sampan_engine::fill::{Admission, FillOptions, UnstoredReason};
use sampan_engine::gc::Eviction;
use sampan_engine::oci::Digest;

use super::support::World;
use crate::support::failing_driver::Misbehaviour;
use crate::support::hostile_server::{Gate, Reply, Seen};
use crate::support::image::noise;
use crate::support::upstream::error;
use crate::support::{Answer, FailingDriver};

const SIZE: usize = 300_000;

impl World {
    /// Adds a blob to `app` there, and scripts the answers about it by the number of the request.
    async fn scripted(
        &self,
        script: impl Fn(usize, &Seen, &[u8], Reply) -> Reply + Send + Sync + 'static,
    ) -> (Digest, Bytes) {
        let content = noise(SIZE);
        let digest = self.upstream.blob("app", content.clone());
        let (number, bytes) = (AtomicUsize::new(0), content.clone());
        self.upstream
            .script(move |seen, reply| script(number.fetch_add(1, Ordering::Relaxed), seen, &bytes, reply));
        (digest, content)
    }

    /// The blob, or `None` if its answer breaks off.
    async fn try_blob(&self, digest: &Digest) -> Option<Answer> {
        let answer = self.server.call("GET", format!("/v2/up/app/blobs/{digest}")).try_send().await.ok();
        self.settle().await;
        answer
    }
}

fn rest(start: usize, content: &[u8]) -> Reply {
    let range = format!("bytes {start}-{}/{}", content.len() - 1, content.len());
    Reply::new(206).header("Content-Range", range).body(&content[start..])
}

#[tokio::test]
async fn a_transfer_outlives_its_clients() {
    let world = World::new().await;
    let gate = Gate::new();
    let held = gate.clone();
    let (digest, content) = world.scripted(move |_, _, _, reply| reply.behind(&held)).await;
    let path = format!("/v2/up/app/blobs/{digest}");
    tokio::select! {
        _ = world.get(&path) => panic!("the upstream has not answered"),
        () = gate.wait_for(1) => {}
    }
    gate.open_for_all();
    world.settle().await;
    assert_eq!(world.get(&path).await.expect(200).body, content);
    assert_eq!(world.upstream.requests().len(), 1);
}

/// Fails if transfers that no client wants keep all connections from those that one wants, whichever came first.
#[tokio::test]
async fn a_transfer_without_a_client_makes_way_for_one_that_waits() {
    for leaves_first in [true, false] {
        // Of these, three are for transfers.
        let world = World::with(|upstream, _| upstream.connections = 4).await;
        let slow: Vec<_> =
            (0..3).map(|number| world.upstream.blob("app", format!("slow {number}"))).collect();
        let wanted = world.upstream.blob("app", "wanted");
        let gate = Gate::new();
        let (held, path) = (gate.clone(), format!("/v2/app/blobs/{wanted}"));
        world.upstream.script(
            move |seen, reply| {
                if seen.path() == path { reply } else { reply.behind(&held) }
            },
        );
        let paths = slow.iter().map(|blob| format!("/v2/up/app/blobs/{blob}"));
        let mut clients = Box::pin(join_all(paths.map(|path| {
            let world = &world;
            async move { world.get(path).await }
        })));
        tokio::select! {
            _ = &mut clients => panic!("the upstream has not answered"),
            () = gate.wait_for(3) => {}
        }
        let path = format!("/v2/up/app/blobs/{wanted}");
        let mut client = Box::pin(world.get(&path));
        if leaves_first {
            drop(clients);
        } else {
            while world.caches.upstreams()[0].waiting() == 0 {
                assert!((&mut client).now_or_never().is_none());
                tokio::task::yield_now().await;
            }
            drop(clients);
        }
        assert_eq!(client.await.expect(200).body, "wanted");
        // The others continue.
        gate.open_for_all();
        world.settle().await;
        assert!(world.upstream.requests().len() >= 4);
    }
}

#[tokio::test]
async fn a_transfer_that_breaks_goes_on_where_it_broke() {
    // An answer takes its time on a busy machine, and only one part is to come too late.
    let world = World::with(|upstream, _| upstream.client.timeouts.stall = Duration::from_secs(2)).await;
    let script = |number, _: &Seen, bytes: &[u8], reply| match number {
        0 => Reply::new(200).body(bytes).cut_after(100_000),
        1 => error(503, "UNAVAILABLE"),
        2 => Reply::broken(),
        3 => rest(100_000, bytes).stalling_after(50_000),
        // All of it, although a part was asked for.
        4 => Reply::new(200).body(bytes).cut_after(200_000),
        _ => reply,
    };
    let (digest, content) = world.scripted(script).await;
    let answer = world.try_blob(&digest).await.unwrap().expect(200);
    assert_eq!(answer.body, content);
    assert_eq!(answer.header("content-length"), SIZE.to_string());
    let seen = world.upstream.seen();
    let ranges: Vec<_> = seen.iter().map(|seen| seen.header("range").unwrap_or_default()).collect();
    let hundred = "bytes=100000-";
    assert_eq!(ranges, ["", hundred, hundred, hundred, "bytes=150000-", "bytes=200000-"]);
    assert_eq!(world.try_blob(&digest).await.unwrap().header("cache-status"), "sampan; hit");
}

/// Signed URLs expire, so a resume begins at the registry again.
#[tokio::test]
async fn a_redirected_transfer_is_resumed_by_a_new_redirect() {
    let world = World::new().await;
    let (digest, content) = world
        .scripted(|number, seen, bytes, _| match seen.path() {
            "/cdn" if seen.query("sig") == ["0"] && number == 1 => {
                Reply::new(200).body(bytes).cut_after(1000)
            }
            "/cdn" if seen.query("sig") == ["0"] => error(403, "EXPIRED"),
            "/cdn" => rest(1000, bytes),
            _ => Reply::new(307).header("Location", format!("/cdn?sig={number}")),
        })
        .await;
    assert_eq!(world.try_blob(&digest).await.unwrap().expect(200).body, content);
    assert_eq!(world.upstream.requests().len(), 4);
}

#[tokio::test]
async fn a_transfer_that_goes_on_wrongly_breaks_and_the_next_one_begins_anew() {
    type Script = fn(&[u8]) -> Reply;
    let scripts: [Script; 5] = [
        |bytes| rest(99_999, bytes),
        |bytes| rest(100_000, &bytes[..SIZE - 1]),
        |bytes| Reply::new(206).body(&bytes[100_000..]),
        |_| error(404, "BLOB_UNKNOWN"),
        |_| Reply::new(416).header("Content-Range", "bytes */10"),
    ];
    for (index, again) in scripts.into_iter().enumerate() {
        let world = World::new().await;
        let (digest, content) = world
            .scripted(move |number, _, bytes, _| match number {
                0 => Reply::new(200).body(bytes).cut_after(100_000),
                _ => again(bytes),
            })
            .await;
        assert!(world.try_blob(&digest).await.is_none(), "{index}");
        assert_eq!(world.server.files().await, []);
        world.upstream.behave();
        assert_eq!(world.try_blob(&digest).await.unwrap().expect(200).body, content);
    }
}

#[tokio::test]
async fn a_transfer_that_stays_broken_is_given_up_after_a_while() {
    let world = World::new().await;
    let script = |_, _: &Seen, bytes: &[u8], _| Reply::new(200).body(bytes).cut_after(1000);
    let (digest, content) = world.scripted(script).await;
    assert!(world.try_blob(&digest).await.is_none());
    assert!(world.upstream.requests().len() < 30);
    assert_eq!(world.server.files().await, []);
    world.upstream.behave();
    assert_eq!(world.try_blob(&digest).await.unwrap().expect(200).body, content);
}

#[tokio::test]
async fn a_length_that_the_upstream_leaves_out_is_that_of_the_manifest() {
    for known in [true, false] {
        let world = World::new().await;
        let content = noise(SIZE);
        let image = world.upstream.image("app", "latest", &[&content]);
        if known {
            world.manifest("latest").await.expect(200);
        }
        world.upstream.script(|_, reply| reply.announcing(None));
        let digest = &image.blobs[1];
        let head = world.head(format!("/v2/up/app/blobs/{digest}")).await;
        assert_eq!(head.expect(200).header("content-length"), SIZE.to_string());
        let answer = world.blob(digest).await.expect(200);
        assert_eq!((answer.body.len(), answer.header("content-length")), (SIZE, "300000"));
        let head = world.head(format!("/v2/up/app/blobs/{digest}")).await.expect(200);
        assert_eq!(head.header("content-length"), SIZE.to_string());
    }
}

#[tokio::test]
async fn the_headers_of_a_missing_blob_cost_no_transfer() {
    for refused in [0, 401, 405] {
        let world = World::new().await;
        let script = move |_, seen: &Seen, _: &[u8], reply| match seen.method.as_str() {
            "HEAD" if refused > 0 => error(refused, "UNSUPPORTED"),
            _ => reply,
        };
        let (digest, _) = world.scripted(script).await;
        let path = format!("/v2/up/app/blobs/{digest}");
        let answer = world.head(&path).await.expect(200);
        assert_eq!(answer.header("content-length"), SIZE.to_string());
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        let call = world.server.call("GET", &path).header("if-none-match", &format!("\"{digest}\""));
        call.send().await.expect(304);
        // One byte where there is no HEAD.
        assert_eq!(world.upstream.blob_bytes(), if refused > 0 { 2 } else { 0 });
        assert_eq!(world.server.files().await, []);
    }
    let world = World::new().await;
    let digest = Digest::sha256_of(b"nothing");
    world.head(format!("/v2/up/app/blobs/{digest}")).await.expect(404);
    world.blob(&digest).await.expect_error(404, "BLOB_UNKNOWN");
}

/// Fails if one of the ranges is not of the whole blob.
#[tokio::test]
async fn ranges_of_a_missing_blob_are_those_of_a_stored_one() {
    for (range, status, expected) in [
        ("bytes=0-0", 206, Some(0..1)),
        ("bytes=100000-199999", 206, Some(100_000..200_000)),
        ("bytes=299999-", 206, Some(299_999..SIZE)),
        ("bytes=-10", 206, Some(SIZE - 10..SIZE)),
        ("bytes=0-", 206, Some(0..SIZE)),
        ("bytes=0-1,5-6", 200, Some(0..SIZE)),
        ("bytes=300000-", 416, None),
        ("pages=1", 200, Some(0..SIZE)),
    ] {
        let world = World::new().await;
        let (digest, content) = world.scripted(|_, _, _, reply| reply).await;
        let call = world.server.call("GET", format!("/v2/up/app/blobs/{digest}")).header("range", range);
        let answer = call.send().await.expect(status);
        match expected {
            Some(expected) => assert_eq!(answer.body, content[expected], "{range}"),
            None => assert_eq!(answer.header("content-range"), "bytes */300000"),
        }
        world.settle().await;
        let asked: Vec<_> =
            world.upstream.seen().iter().map(|seen| seen.header("range").map(str::to_owned)).collect();
        assert_eq!(asked, [None], "{range}");
        assert_eq!(world.try_blob(&digest).await.unwrap().body, content);
    }
}

#[tokio::test]
async fn a_blob_without_bytes_is_one() {
    let world = World::new().await;
    let digest = world.upstream.blob("app", "");
    for _ in 0..2 {
        assert_eq!(world.blob(&digest).await.expect(200).body, "");
    }
    assert_eq!(world.upstream.requests().len(), 1);
}

/// Fails if a client gets less because the store takes nothing.
#[tokio::test]
async fn a_store_that_takes_nothing_is_passed_by() {
    let driver = FailingDriver::new();
    let shared = driver.clone();
    let world = World::with(|_, setup| setup.driver = Arc::new(shared)).await;
    let (digest, content) = world.scripted(|_, _, _, reply| reply).await;
    driver.be(Misbehaviour::LosesStaged);
    for _ in 0..2 {
        assert_eq!(world.try_blob(&digest).await.unwrap().expect(200).body, content);
    }
    assert_eq!(world.upstream.requests().len(), 2);
    driver.behave();
    world.try_blob(&digest).await.unwrap().expect(200);
    world.upstream.requests();
    world.try_blob(&digest).await.unwrap().expect(200);
    assert_eq!(world.upstream.requests(), [""; 0]);
}

#[tokio::test]
async fn a_registry_that_only_reads_serves_what_it_does_not_store() {
    let world = World::with(|_, setup| setup.limits.read_only = true).await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    for _ in 0..2 {
        assert_eq!(world.manifest("latest").await.expect(200).body, image.manifest);
        assert_eq!(world.blob(&image.blobs[1]).await.expect(200).body, "one");
        world.head("/v2/up/app/manifests/latest").await.expect(200);
    }
    assert_eq!(world.server.files().await, []);
}

/// Below the floor of free space, and above 105 % of a bound; what stays young, no collection frees.
#[tokio::test]
async fn transfers_do_not_fill_a_store_that_has_no_room_for_them() {
    let refuses = Arc::new(AtomicBool::new(true));
    let is_refused = refuses.clone();
    let below_floor = Admission::default().unless(move || is_refused.load(Ordering::Relaxed));
    let bounds = Eviction { max_bytes: Some(SIZE as u64 * 2), ..Eviction::default() };
    let bounded = Admission::default().bounds(Some(bounds));
    for (admission, reason, stored) in
        [(below_floor, UnstoredReason::Refused, 0), (bounded, UnstoredReason::Bound, 2)]
    {
        let fills = FillOptions { admission, ..FillOptions::default() };
        let prefixes = CachePrefixes::below(["up".parse().unwrap()]);
        let world = World::over(fills, |_, setup| setup.prefixes = prefixes).await;
        for number in 0..4_u8 {
            let content = [&[number], &noise(SIZE)[1..]].concat();
            let digest = world.upstream.blob("app", content.clone());
            let path = format!("/v2/up/app/blobs/{digest}");
            let answer = world.server.call("GET", path).header("range", "bytes=0-0").send().await;
            assert_eq!(answer.expect(206).body, [number][..]);
            world.settle().await;
            assert_eq!(world.blob(&digest).await.expect(200).body, content);
        }
        let data =
            |files: Vec<(String, u64)>| files.iter().filter(|(path, _)| path.contains("/blobs/")).count();
        assert_eq!(data(world.server.files().await), stored, "{reason:?}");
        assert!(world.caches.fills().statistics().unstored_for(reason) > 0);
        let image = world.upstream.image("app", "latest", &[b"one"]);
        assert_eq!(world.manifest("latest").await.expect(200).body, image.manifest);
        let is_stored = world.server.files().await.iter().any(|(path, _)| path.contains("_manifests"));
        assert_eq!(is_stored, stored > 0);
    }
    refuses.store(false, Ordering::Relaxed);
}

#[tokio::test]
async fn a_blob_that_the_store_sends_is_a_hit() {
    let driver = FailingDriver::new();
    let shared = driver.clone();
    let world = World::with(|_, setup| setup.driver = Arc::new(shared)).await;
    let (digest, _) = world.scripted(|_, _, _, reply| reply).await;
    let url: url::Url = "https://bucket.example/x?signature=y".parse().unwrap();
    driver.be(Misbehaviour::Redirects(url));
    // The store cannot send a blob that it lacks.
    assert_eq!(
        world.try_blob(&digest).await.unwrap().expect(200).header("cache-status"),
        "sampan; fwd=uri-miss"
    );
    for method in ["GET", "HEAD"] {
        let answer = world.call(method, format!("/v2/up/app/blobs/{digest}")).await.expect(307);
        assert_eq!(answer.header("cache-status"), "sampan; hit");
    }
    assert_eq!(world.caches.statistics().blobs().hits(), 2);
}
