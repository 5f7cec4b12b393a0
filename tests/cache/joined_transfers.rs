//! One transfer for several repositories: the answer about one of them says nothing of another.

use futures::FutureExt;
use futures::future::join_all;
use sampan_engine::layout::Entry;

use super::support::World;
use crate::support::hostile_server::{Gate, Reply};
use crate::support::image::noise;
use crate::support::upstream::error;

const SIZE: usize = 300_000;

/// Fails if an answer is what the upstream said of another repository.
#[tokio::test]
async fn a_transfer_that_another_repository_may_not_have_begins_anew() {
    let world = World::new().await;
    let layer = noise(SIZE);
    let (lacks, has) = (
        world.upstream.image("lacks", "latest", &[&layer]),
        world.upstream.image("app", "latest", &[&layer]),
    );
    let digest = has.blobs[1].clone();
    assert_eq!(lacks.blobs[1], digest);
    world.manifest("latest").await.expect(200);
    world.get("/v2/up/lacks/manifests/latest").await.expect(200);
    for reply in [error(404, "BLOB_UNKNOWN"), error(400, "UNSUPPORTED"), Reply::new(200).body("other")] {
        let gate = Gate::new();
        let held = gate.clone();
        world.upstream.script(move |seen, honest| match seen.path().contains("/lacks/") {
            true => reply.clone().behind(&held),
            false => honest,
        });
        let (theirs, ours) = (format!("/v2/up/lacks/blobs/{digest}"), format!("/v2/up/app/blobs/{digest}"));
        let joined = world.caches.fills().statistics().joined;
        let open = async {
            gate.wait_for(1).await;
            let open = async {
                while world.caches.fills().statistics().joined == joined {
                    tokio::task::yield_now().await;
                }
                gate.open_for_all();
            };
            futures::join!(world.get(&ours), open).0
        };
        let (refused, served) = futures::join!(world.get(&theirs), open);
        assert!(refused.status.as_u16() >= 400, "{refused:?}");
        assert_eq!(served.expect(200).body, layer);
        world.settle().await;
        world.call("DELETE", &ours).await.expect(202);
        let data = Entry::Blob(digest.clone()).path();
        world.server.driver().delete(&data).await.unwrap();
    }
}

/// Fails if a repository inherits the answer to the second other one whose transfer it joins.
#[tokio::test]
async fn a_blob_that_two_repositories_lack_is_found_in_the_third() {
    let world = World::new().await;
    let content = noise(1000);
    let mut blob = None;
    for name in ["one", "two", "three"] {
        let image = world.upstream.image(name, "latest", &[&content]);
        world.get(format!("/v2/up/{name}/manifests/latest")).await.expect(200);
        if name != "three" {
            world.upstream.lose_blob(name, &image.blobs[1]);
        }
        blob = Some(image.blobs[1].clone());
    }
    let (blob, gate) = (blob.unwrap(), Gate::new());
    let held = gate.clone();
    world.upstream.script(move |_, reply| reply.behind(&held));
    let paths = ["one", "two", "three"].map(|name| format!("/v2/up/{name}/blobs/{blob}"));
    let mut clients = Box::pin(join_all(paths.iter().map(|path| world.get(path))));
    // Twice, the others wait for an answer that is not for them.
    for (asked, joined) in [(1, 2), (2, 3)] {
        tokio::select! {
            _ = &mut clients => panic!("the upstream has not answered"),
            () = gate.wait_for(asked) => {}
        }
        while world.caches.fills().statistics().joined < joined {
            assert!((&mut clients).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        gate.open(1);
    }
    gate.open_for_all();
    let answers = clients.await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [404, 404, 200]);
    assert_eq!(answers[2].body, content);
}
