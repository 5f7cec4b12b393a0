//! Images that take longer to copy than a collection spares what is new in a cache.

use sampan_engine::gc;
use sampan_sync::{RunOptions, Running, run};

use super::support::{entry, job, options, pull};
use crate::cache::pair::{CACHE_GRACE, GRACE, Pair, evicting};
use crate::support::hostile_server::Gate;
use crate::support::image::noise;

/// Fails if a collection takes the first layers of an image while the last ones come.
#[tokio::test(start_paused = true)]
async fn an_image_that_comes_for_longer_than_the_grace_period_of_caches_becomes_whole() {
    let pair = Pair::patient().await;
    let layers = [1, 2].map(|number| noise(300_000 + number));
    let layers: Vec<&[u8]> = layers.iter().map(|layer| &layer[..]).collect();
    let image = pair.upstream.image("app", "latest", &layers);
    let old = pair.upstream.image("app", "old", &[b"old"]);
    let [one, other] = &pair.replicas;
    other.server.call("GET", "/v2/up/app/manifests/old").send().await.expect(200);
    let (gate, last) = (Gate::new(), format!("/v2/app/blobs/{}", image.blobs[2]));
    let held = gate.clone();
    pair.upstream.script(move |seen, reply| if seen.path() == last { reply.behind(&held) } else { reply });

    let mut job = job(vec![entry("app", None)]);
    job.repositories[0].tags.wants = std::sync::Arc::new(|tag| tag.as_str() == "latest");
    let (running, options) = (Running::default(), RunOptions { blobs_at_a_time: 1, ..options() });
    let copy = run(&job, &one.caches, &one.server.registry, options, &running, &|_| {});
    let collect = async |expected: u64| {
        let evict = evicting(None, Some(0));
        let report = pair.paced(gc::collect(&other.server.registry, &evict)).await.unwrap();
        assert_eq!(report.evicted.size.count, expected, "{report:?}");
    };
    let meanwhile = async {
        gate.wait_for(1).await;
        pair.advance(CACHE_GRACE + (GRACE - CACHE_GRACE) / 2).await;
        // What was there before goes.
        collect(1).await;
        gate.open_for_all();
    };
    futures::join!(copy, meanwhile);
    let report = running.report();
    assert!(report.is_whole() && report.copied == 1, "{report:?}");
    // Its bytes count for the bounds.
    assert!(one.server.registry.cache_bytes().added() > 600_000);
    collect(0).await;
    other.caches.set_offline(true);
    assert_eq!(pull(&other.server, "up/app", "latest", &[]).await, image.digest);
    other.server.call("GET", format!("/v2/up/app/manifests/{}", old.digest)).send().await.expect(404);
}
