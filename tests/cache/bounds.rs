//! The bounds of caches: what is stored up to them, and what makes room.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures::future::join_all;
use sampan_engine::Clock;
use sampan_engine::caches::CachePrefixes;
use sampan_engine::fill::{Admission, FillOptions};
use sampan_engine::gc::{self, Eviction};
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;

use super::pair::evicting;
use super::support::World;
use crate::support::hostile_server::Gate;
use crate::support::image::noise;

const SIZE: usize = 300_000;

/// A cache of at most so many bytes, and how many seconds its clock is ahead.
async fn bounded(max_bytes: u64) -> (World, Arc<AtomicU64>) {
    let bounds = Eviction { max_bytes: Some(max_bytes), ..Eviction::default() };
    let fills =
        FillOptions { admission: Admission::default().bounds(Some(bounds)), ..FillOptions::default() };
    let ahead_secs = Arc::new(AtomicU64::new(0));
    let (base, ahead) = (SystemTime::now(), Arc::clone(&ahead_secs));
    let world = World::over(fills, |_, setup| {
        setup.prefixes = CachePrefixes::below(["up".parse().unwrap()]);
        setup.clock = Clock::new(move || base + Duration::from_secs(ahead.load(Ordering::Relaxed)));
    });
    (world.await, ahead_secs)
}

async fn has_data(world: &World, digest: &Digest) -> bool {
    let path = Entry::Blob(digest.clone()).path().to_string();
    world.server.files().await.iter().any(|(file, _)| *file == path)
}

/// Fails if each of many transfers has all the room that is left.
#[tokio::test]
async fn transfers_that_run_at_a_time_do_not_exceed_the_bound_together() {
    let size = 400;
    let (world, _) = bounded(3 * size as u64).await;
    let gate = Gate::new();
    let held = gate.clone();
    world.upstream.script(move |_, reply| reply.behind(&held).byte_by_byte(Duration::from_millis(1)));
    let blobs: Vec<_> = (0..8_u8).map(|number| vec![number; size]).collect();
    let digests: Vec<_> = blobs.iter().map(|blob| world.upstream.blob("app", blob.clone())).collect();
    let answers = join_all(digests.iter().map(|digest| world.get(format!("/v2/up/app/blobs/{digest}"))));
    let open = async {
        gate.wait_for(digests.len()).await;
        gate.open_for_all();
    };
    let (answers, ()) = futures::join!(answers, open);
    for (answer, blob) in answers.into_iter().zip(&blobs) {
        assert_eq!(answer.expect(200).body, *blob);
    }
    world.settle().await;
    let mut stored = 0;
    for digest in &digests {
        stored += usize::from(has_data(&world, digest).await);
    }
    assert_eq!(stored, 3);
    // What a transfer had reserved and did not use is free again.
    assert_eq!(world.server.registry.cache_bytes().all(), 3 * size as u64);
}

/// Fails if a cache that is nearly full, and never more, serves a large blob again and again without storing it.
#[tokio::test]
async fn a_collection_makes_room_for_what_had_none() {
    let bound = 10 * SIZE as u64 / 3;
    let (world, ahead_secs) = bounded(bound).await;
    let mut layers = Vec::new();
    for number in 0..4_u8 {
        ahead_secs.store(u64::from(number) * 60 * 60, Ordering::Relaxed);
        let content = [&[number], &noise(SIZE)[1..]].concat();
        let image = world.upstream.image("app", &format!("{number}"), &[&content]);
        world.manifest(number).await.expect(200);
        assert_eq!(world.blob(&image.blobs[1]).await.expect(200).body, content);
        layers.push(image.blobs[1].clone());
    }
    let [oldest, _, _, large] = &layers[..] else { unreachable!() };
    let caches = world.server.registry.cache_bytes();
    assert!(!has_data(&world, large).await && caches.wants_room() && caches.all() < bound);
    ahead_secs.store(24 * 60 * 60, Ordering::Relaxed);
    let options = evicting(None, Some(bound));
    let report = gc::collect(&world.server.registry, &options).await.unwrap();
    assert_eq!(report.evicted.size.count, 1, "{report:?}");
    let grace = Duration::from_secs(12 * 60 * 60);
    let bounds = Eviction { grace, ..options.evict.unwrap() };
    assert_eq!((caches.wants_room(), caches.rest(&bounds)), (false, grace));
    world.blob(large).await.expect(200);
    assert!(has_data(&world, large).await && !has_data(&world, oldest).await);
}

/// Fails if a transfer that no client wants continues although the store does not take it.
#[tokio::test]
async fn a_transfer_that_is_not_stored_ends_with_its_clients() {
    let (world, _) = bounded(1000).await;
    world.upstream.script(|_, reply| reply.stalling_after(SIZE / 2));
    let digest = world.upstream.blob("app", noise(SIZE));
    let (status, body) = world.server.call("GET", format!("/v2/up/app/blobs/{digest}")).begin().await;
    assert_eq!((status.as_u16(), world.caches.fills().running()), (200, 1));
    drop(body);
    // The upstream never sends the rest.
    world.settle().await;
}

/// Fails if a blob that does not say how long it is fills the store.
#[tokio::test]
async fn a_blob_without_a_length_is_stored_as_far_as_there_is_room_for_all_of_it() {
    for (max_bytes, is_stored) in [(SIZE as u64, false), (100 * SIZE as u64, true)] {
        let (world, _) = bounded(max_bytes).await;
        world.upstream.script(|_, reply| reply.announcing(None));
        let content = noise(2 * SIZE);
        let digest = world.upstream.blob("app", content.clone());
        assert_eq!(world.blob(&digest).await.expect(200).body, content);
        assert_eq!(has_data(&world, &digest).await, is_stored);
        let stored = if is_stored { content.len() as u64 } else { 0 };
        assert_eq!(world.server.registry.cache_bytes().all(), stored);
    }
}
