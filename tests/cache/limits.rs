//! Bounds of connections, requests and bytes at the upstream.

use std::time::Duration;

use futures::future::join_all;

use super::support::World;
use crate::support::hostile_server::Gate;
use crate::support::image::noise;

/// Fails if requests or transfers have more places than were configured.
#[tokio::test]
async fn an_upstream_never_has_more_requests_at_a_time_than_configured() {
    for connections in [1, 2, 4] {
        let world = World::with(|upstream, _| upstream.connections = connections).await;
        let mut paths = Vec::new();
        for number in 0..6 {
            let image = world.upstream.image(&format!("app{number}"), "latest", &[b"one"]);
            paths.push(format!("/v2/up/app{number}/manifests/latest"));
            paths.push(format!("/v2/up/app{number}/blobs/{}", image.blobs[0]));
            paths.push(format!("/v2/up/app{number}/tags/list"));
        }
        let gate = Gate::new();
        let held = gate.clone();
        world.upstream.script(move |_, reply| reply.behind(&held));
        let clients = join_all(paths.iter().map(|path| world.get(path)));
        // A tag is asked for twice: a HEAD and a GET.
        let all = 6 * 4;
        let watch = async {
            gate.wait_for(connections).await;
            for opened in 0..all {
                gate.wait_for(opened + 1).await;
                let open = gate.arrived() - opened;
                assert!(open <= connections, "{open} of {connections}");
                gate.open(1);
            }
        };
        let (answers, ()) = futures::join!(clients, watch);
        for answer in answers {
            answer.expect(200);
        }
        assert_eq!(gate.arrived(), all);
    }
}

#[tokio::test]
async fn requests_beyond_the_rate_wait() {
    let world = World::with(|upstream, _| upstream.requests_per_second = 2).await;
    for number in 0..10 {
        world.head(format!("/v2/up/app/manifests/{number}")).await.expect(404);
    }
    assert_eq!(world.upstream.requests().len(), 10);
    // The first second is free.
    assert_eq!(world.clock.elapsed(), Duration::from_secs(4));
}

#[tokio::test]
async fn bytes_beyond_the_bandwidth_wait() {
    let world = World::with(|upstream, _| upstream.bytes_per_second = 100_000).await;
    let content = noise(500_000);
    let blob = world.upstream.blob("app", content.clone());
    assert_eq!(world.blob(&blob).await.expect(200).body, content);
    assert_eq!(world.clock.elapsed(), Duration::from_secs(4));
    // Stored content has no bound.
    assert_eq!(world.blob(&blob).await.expect(200).body, content);
    assert_eq!(world.clock.elapsed(), Duration::from_secs(4));
}
