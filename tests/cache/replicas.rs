//! Two replicas over one store.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use http_body_util::BodyExt;
use sampan::maintenance::save_cache_uses;
use sampan_engine::gc;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;

use super::pair::{CACHE_GRACE, GRACE, Pair, Replica, evicting};
use super::support::clean;
use crate::support::failing_driver::{Held, Misbehaviour};
use crate::support::hostile_server::Gate;
use crate::support::image::noise;
use crate::support::{Answer, FailingDriver};

const FRESH: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const SIZE: usize = 300_000;

impl Replica {
    async fn get(&self, path: impl AsRef<str>) -> Answer {
        clean(self.server.call("GET", path).send().await)
    }

    async fn manifest(&self, reference: impl std::fmt::Display) -> Answer {
        self.get(format!("/v2/up/app/manifests/{reference}")).await
    }

    async fn blob(&self, digest: &Digest) -> Answer {
        self.get(format!("/v2/up/app/blobs/{digest}")).await
    }
}

impl Pair {
    /// The number of files that `is_wanted`.
    async fn count(&self, is_wanted: impl Fn(&str) -> bool) -> usize {
        let files = self.replicas[0].server.files().await;
        files.iter().filter(|(path, _)| is_wanted(path)).count()
    }

    async fn collect(&self, place: usize, options: &gc::Options) -> gc::Report {
        self.paced(gc::collect(&self.replicas[place].server.registry, options)).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_has_fetched_the_other_serves_without_a_request() {
    let pair = Pair::new().await;
    let content = noise(SIZE);
    let image = pair.upstream.image("app", "latest", &[&content]);
    let [one, other] = &pair.replicas;
    one.manifest(&image.digest).await.expect(200);
    one.blob(&image.blobs[1]).await.expect(200);
    pair.settle().await;
    pair.upstream.requests();
    assert_eq!(other.manifest(&image.digest).await.expect(200).body, image.manifest);
    let answer = other.blob(&image.blobs[1]).await.expect(200);
    assert_eq!((answer.header("cache-status"), &answer.body), ("sampan; hit", &content));
    assert_eq!(pair.upstream.requests(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_one_has_confirmed_is_compared_by_the_other_once() {
    let pair = Pair::new().await;
    let image = pair.upstream.image("app", "latest", &[b"one"]);
    let [one, other] = &pair.replicas;
    one.manifest("latest").await.expect(200);
    let compared = ["HEAD /v2/app/manifests/latest"];
    for expected in [&compared[..], &[]] {
        pair.upstream.requests();
        assert_eq!(other.manifest("latest").await.expect(200).body, image.manifest);
        assert_eq!(pair.upstream.requests(), expected);
    }
    // What the other has stored since is what this one serves, once it looks.
    let moved = pair.upstream.image("app", "latest", &[b"two"]);
    pair.advance(FRESH).await;
    assert_eq!(other.manifest("latest").await.expect(200).body, moved.manifest);
    pair.upstream.requests();
    assert_eq!(one.manifest("latest").await.expect(200).body, moved.manifest);
    assert_eq!(pair.upstream.requests(), compared);
}

#[tokio::test(start_paused = true)]
async fn a_blob_that_both_fetch_at_once_is_one() {
    let pair = Pair::new().await;
    let content = noise(SIZE);
    let digest = pair.upstream.blob("app", content.clone());
    let gate = Gate::new();
    let held = gate.clone();
    pair.upstream.script(move |_, reply| reply.behind(&held));
    let [one, other] = &pair.replicas;
    let open = async {
        gate.wait_for(2).await;
        gate.open_for_all();
    };
    let (one, other, ()) = futures::join!(one.blob(&digest), other.blob(&digest), open);
    for answer in [one, other] {
        assert_eq!(answer.expect(200).body, content);
    }
    pair.settle().await;
    assert_eq!(pair.upstream.requests().len(), 2);
    for replica in &pair.replicas {
        assert_eq!(replica.blob(&digest).await.expect(200).header("cache-status"), "sampan; hit");
    }
    assert_eq!(pair.upstream.requests(), [""; 0]);
    // The data and their link.
    assert_eq!(pair.count(|_| true).await, 2);
    assert_eq!(pair.count(|path| path == Entry::Blob(digest.clone()).path().to_string()).await, 1);
}

/// Fails if an eviction cuts off an answer, or a transfer whose blob no manifest explains yet.
#[tokio::test(start_paused = true)]
async fn one_evicts_what_the_other_is_serving() {
    let pair = Pair::new().await;
    let content = noise(SIZE);
    let image = pair.upstream.image("app", "latest", &[&content]);
    let digest = &image.blobs[1];
    let [one, other] = &pair.replicas;
    let all = evicting(None, Some(0));
    // From the upstream: its manifest goes while the blob comes.
    let gate = Gate::new();
    let held = gate.clone();
    one.manifest("latest").await.expect(200);
    pair.advance(DAY).await;
    pair.upstream.script(move |_, reply| reply.behind(&held));
    let evict = async {
        gate.wait_for(1).await;
        let report = pair.collect(1, &all).await;
        gate.open_for_all();
        report
    };
    let (answer, report) = futures::join!(one.blob(digest), evict);
    assert_eq!(answer.expect(200).body, content);
    assert_eq!(report.evicted.size.count, 1);
    pair.upstream.behave();
    pair.settle().await;
    // From the store: the last byte is still to come.
    one.manifest("latest").await.expect(200);
    pair.advance(DAY).await;
    let call = one.server.call("GET", format!("/v2/up/app/blobs/{digest}"));
    let (status, mut body) = call.begin().await;
    assert_eq!(status, 200);
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let report = pair.collect(1, &all).await;
    assert_eq!((report.evicted.size.count, report.caches.last().unwrap().bytes), (1, 0));
    assert_eq!(pair.count(|path| path.contains("/blobs/") || path.contains("/up/app/")).await, 0);
    let rest = body.collect().await.unwrap().to_bytes();
    assert_eq!(Bytes::from([first, rest].concat()), content);
    // Neither takes for stored what is gone.
    for replica in [one, other] {
        assert_eq!(replica.manifest("latest").await.expect(200).body, image.manifest);
        assert_eq!(replica.blob(digest).await.expect(200).body, content);
        pair.settle().await;
    }
}

/// As a copy on a schedule leaves blobs before the manifest, and a client that pulls by digest.
#[tokio::test(start_paused = true)]
async fn a_blob_whose_manifest_is_still_to_come_has_the_whole_grace_period() {
    let pair = Pair::new().await;
    let (waiting, evicted) = (noise(SIZE), noise(SIZE / 2));
    let digest = pair.upstream.blob("app", waiting);
    let image = pair.upstream.image("app", "latest", &[&evicted]);
    let [one, _] = &pair.replicas;
    one.manifest("latest").await.expect(200);
    for digest in [&digest, &image.blobs[1]] {
        one.blob(digest).await.expect(200);
        pair.settle().await;
    }
    pair.advance(CACHE_GRACE + (GRACE - CACHE_GRACE) / 2).await;
    let report = pair.collect(0, &evicting(None, Some(0))).await;
    assert_eq!(report.evicted.size.count, 1);
    let data = |digest: &Digest| Entry::Blob(digest.clone()).path().to_string();
    let (waiting, evicted) = (data(&digest), data(&image.blobs[1]));
    assert_eq!(pair.count(|path| path == waiting).await, 1);
    // That of an evicted manifest has the shorter one.
    assert_eq!(pair.count(|path| path == evicted).await, 0);
    pair.advance(GRACE).await;
    pair.collect(0, &evicting(None, Some(0))).await;
    assert_eq!(pair.count(|path| path == waiting).await, 0);
}

/// Fails if another process, such as a command, evicts what cannot be fetched again.
#[tokio::test(start_paused = true)]
async fn nothing_is_evicted_while_one_is_offline() {
    let pair = Pair::new().await;
    let image = pair.upstream.image("app", "latest", &[b"one"]);
    let [one, other] = &pair.replicas;
    other.manifest("latest").await.expect(200);
    pair.advance(2 * DAY).await;
    one.server.registry.note_offline(true).await.unwrap();
    let count = async || pair.collect(1, &evicting(Some(DAY), Some(0))).await.evicted.ttl.count;
    assert_eq!(count().await, 0);
    assert_eq!(other.manifest(&image.digest).await.expect(200).header("cache-status"), "sampan; hit");
    pair.advance(2 * DAY).await;
    // Killed while it was offline: the notice counts for an hour.
    assert!(!other.server.registry.is_any_offline().await.unwrap());
    one.server.registry.note_offline(true).await.unwrap();
    assert_eq!(count().await, 0);
    one.server.registry.note_offline(false).await.unwrap();
    assert_eq!(count().await, 1);
}

/// Fails if a collection continues evicting what it had chosen before a process went offline.
#[tokio::test(start_paused = true)]
async fn a_collection_evicts_nothing_from_the_moment_on_when_one_goes_offline() {
    let driver = FailingDriver::new();
    let pair = Pair::over(Arc::new(driver.clone()), Duration::ZERO).await;
    let content = noise(SIZE);
    let image = pair.upstream.image("app", "latest", &[&content]);
    let [one, other] = &pair.replicas;
    other.manifest("latest").await.expect(200);
    other.blob(&image.blobs[1]).await.expect(200);
    pair.advance(2 * DAY).await;
    // It looks which tags point at what it has chosen.
    let held = Held::new();
    driver.be(Misbehaviour::HoldsTags("latest", Arc::clone(&held)));
    let options = evicting(Some(DAY), Some(0));
    let go_offline = async {
        held.reached().await;
        one.server.registry.note_offline(true).await.unwrap();
        held.permits.add_permits(1000);
    };
    let (report, ()) = futures::join!(pair.collect(1, &options), go_offline);
    assert_eq!((report.evicted.ttl.count, report.blobs.count), (0, 0));
    driver.behave();
    pair.upstream.requests();
    assert_eq!(other.manifest(&image.digest).await.expect(200).body, image.manifest);
    assert_eq!(other.blob(&image.blobs[1]).await.expect(200).body, content);
    assert_eq!(pair.upstream.requests(), [""; 0]);
    one.server.registry.note_offline(false).await.unwrap();
    pair.advance(2 * DAY).await;
    assert_eq!(pair.collect(1, &options).await.evicted.ttl.count, 1);
}

#[tokio::test(start_paused = true)]
async fn what_one_has_used_is_not_evicted_by_the_other_once_the_record_is_saved() {
    for is_saved in [true, false] {
        let pair = Pair::new().await;
        let used = pair.upstream.image("app", "used", &[b"one"]);
        let unused = pair.upstream.image("app", "unused", &[b"two"]);
        let [one, other] = &pair.replicas;
        for tag in ["used", "unused"] {
            one.manifest(tag).await.expect(200);
        }
        save_cache_uses(&one.server.registry).await;
        pair.advance(2 * DAY).await;
        other.manifest("used").await.expect(200);
        if is_saved {
            save_cache_uses(&other.server.registry).await;
        }
        let report = pair.collect(0, &evicting(Some(DAY), None)).await;
        assert_eq!(report.evicted.ttl.count, if is_saved { 1 } else { 2 });
        let link = |image: &crate::support::upstream::Image| {
            Entry::RevisionLink("up/app".parse().unwrap(), image.digest.clone()).path().to_string()
        };
        let (used, unused) = (link(&used), link(&unused));
        assert_eq!(pair.count(|path| path == used).await, usize::from(is_saved));
        assert_eq!(pair.count(|path| path == unused).await, 0);
    }
}
