//! Images of all kinds arrive whole and unchanged.

use axum::body::Bytes;
use sampan_driver::PutMode;
use sampan_engine::oci::Digest;

use super::support::{copy_of_app, entry, job, pull, signature_tag};
use crate::cache::support::World;
use crate::support::image::noise;
use crate::support::upstream::Image;

/// An index of two platforms with an SBOM of the index, a signature of a child, and one in cosign's tag.
fn push_all(world: &World) -> (Image, [String; 3]) {
    let upstream = &world.upstream;
    let amd64 = upstream.image("app", "amd64", &[b"common", &noise(200_000)]);
    let arm64 = upstream.image("app", "arm64", &[b"common", b"arm"]);
    let index = upstream.index("app", "1.0", &[("linux/amd64", &amd64), ("linux/arm64", &arm64)]);
    upstream.untag("app", "amd64");
    upstream.untag("app", "arm64");
    for kind in ["application/spdx", "application/signature", "{}"] {
        upstream.blob("app", kind);
    }
    let sbom = upstream.attach("app", &index, "application/spdx");
    let signature = upstream.attach("app", &amd64, "application/signature");
    let tag = signature_tag(&index.digest);
    upstream.image("app", &tag, &[b"cosign"]);
    (index, [sbom.to_string(), signature.to_string(), tag])
}

async fn assert_all(world: &World, name: &str, index: &Image, attached: &[String; 3]) {
    world.caches.set_offline(true);
    let server = &world.server;
    assert_eq!(pull(server, name, "1.0", &[]).await, index.digest);
    let [sbom, signature, tag] = attached;
    for (subject, referrer) in [(&index.digest, sbom), (&index.blobs[0], signature)] {
        let listed = server.call("GET", format!("/v2/{name}/referrers/{subject}")).send().await.expect(200);
        assert_eq!(listed.json()["manifests"][0]["digest"], **referrer);
        assert_eq!(pull(server, name, referrer, &[]).await.to_string(), *referrer);
    }
    pull(server, name, tag, &[]).await;
    let listed = server.call("GET", format!("/v2/{name}/tags/list")).send().await.expect(200);
    assert_eq!(listed.json()["tags"], serde_json::json!(["1.0", tag]));
    world.caches.set_offline(false);
}

#[tokio::test]
async fn an_index_with_all_that_is_attached_is_copied_into_an_ordinary_repository() {
    let world = World::new().await;
    let (index, attached) = push_all(&world);
    let report = world.whole(&copy_of_app()).await;
    assert_eq!((report.repositories, report.copied, report.unchanged, report.failed), (1, 1, 0, 0));
    // Two configurations and three layers, two of each artifact with a common configuration, and two of cosign's.
    assert_eq!(report.blobs, 5 + 3 + 2);
    assert_all(&world, "copy", &index, &attached).await;
    world.server.call("GET", "/v2/up/app/tags/list").send().await.expect(200);
    let again = world.whole(&copy_of_app()).await;
    assert_eq!((again.copied, again.unchanged, again.blobs, again.bytes), (0, 1, 0, 0));
}

/// Fails if a disk that has cut off or changed what was copied leaves it so.
#[tokio::test]
async fn what_is_damaged_here_is_copied_again() {
    let world = World::new().await;
    let image = world.upstream.image("app", "1.0", &[b"content of a layer"]);
    let job = copy_of_app();
    world.whole(&job).await;
    let data = |digest: &Digest| {
        format!("/docker/registry/v2/blobs/sha256/{}/{}/data", &digest.hex()[..2], digest.hex())
    };
    let link = "/docker/registry/v2/repositories/copy/_manifests/tags/1.0/current/link".to_owned();
    for (path, content) in
        [(data(&image.blobs[1]), "content"), (link, "garbage"), (data(&image.digest), "{\"schema")]
    {
        let driver = world.server.driver();
        let path = path.parse().unwrap();
        driver.put_content(&path, Bytes::from_static(content.as_bytes()), PutMode::Overwrite).await.unwrap();
        let report = world.whole(&job).await;
        assert_eq!(report.failed, 0, "{path}");
        world.caches.set_offline(true);
        assert_eq!(pull(&world.server, "copy", "1.0", &[]).await, image.digest, "{path}");
        let layer = format!("/v2/copy/blobs/{}", image.blobs[1]);
        assert_eq!(world.get(layer).await.expect(200).body, "content of a layer", "{path}");
        world.caches.set_offline(false);
    }
}

#[tokio::test]
async fn the_same_is_copied_into_the_cache() {
    let world = World::new().await;
    let (index, attached) = push_all(&world);
    world.whole(&job(vec![entry("app", None)])).await;
    assert_all(&world, "up/app", &index, &attached).await;
    world.upstream.requests();
    let answer = world.manifest("1.0").await.expect(200);
    assert_eq!(answer.body, index.manifest);
    for child in &index.blobs {
        world.manifest(child).await.expect(200);
    }
    // Only the tag is compared.
    assert_eq!(world.upstream.requests(), ["HEAD /v2/app/manifests/1.0"]);
}

#[tokio::test]
async fn what_is_attached_stays_there_without_referrers() {
    let world = World::new().await;
    let (index, [sbom, _, tag]) = push_all(&world);
    let mut job = copy_of_app();
    job.repositories[0].referrers = false;
    world.whole(&job).await;
    world.assert_pullable("copy", "1.0").await;
    assert_eq!(world.tag("copy", &sbom).await, None);
    assert_eq!(world.tag("copy", &tag).await, None);
    let asked = world.upstream.requests();
    assert!(!asked.iter().any(|request| request.contains("/referrers/")), "{asked:?}");
    // With them later, although the image is here.
    let report = world.whole(&copy_of_app()).await;
    assert_eq!(report.copied, 1);
    world.assert_pullable("copy", &tag).await;
    assert_eq!(world.tag("copy", &sbom).await, Some(sbom));
    assert_eq!(world.tag("copy", "1.0").await, Some(index.digest.to_string()));
}

/// Fails if what is attached later is not found, since the image is here.
#[tokio::test]
async fn what_is_attached_to_an_image_later_is_copied_later() {
    let world = World::new().await;
    let image = world.upstream.image("app", "1.0", &[b"one"]);
    world.whole(&copy_of_app()).await;
    world.upstream.blob("app", "{}");
    world.upstream.blob("app", "application/spdx");
    let sbom = world.upstream.attach("app", &image, "application/spdx");
    world.whole(&copy_of_app()).await;
    world.assert_pullable("copy", &sbom.to_string()).await;
    let tag = signature_tag(&image.digest);
    world.upstream.image("app", &tag, &[b"cosign"]);
    world.whole(&copy_of_app()).await;
    world.assert_pullable("copy", &tag).await;
}

#[tokio::test]
async fn a_tag_that_moves_there_moves_here() {
    let world = World::new().await;
    let before = world.upstream.image("app", "1.0", &[b"one"]);
    world.whole(&copy_of_app()).await;
    let after = world.upstream.image("app", "1.0", &[b"two"]);
    let (report, changes) = world.sync_by(&copy_of_app(), super::support::options()).await;
    assert!(report.is_whole() && report.copied == 1, "{report:?}");
    assert_eq!((changes[0].from.clone(), changes[0].to.clone()), (Some(before.digest), after.digest));
    assert_eq!(changes.len(), 1);
    world.assert_pullable("copy", "1.0").await;
}
