//! Layers that registries do not check when they take a manifest, or that they read otherwise.

use sampan_cache::{CompleteOptions, Completion, Lack};
use serde_json::json;

use super::support::World;
use crate::support::image::{descriptor, manifest, noise};
use sampan_engine::oci::media_type;

const NONDISTRIBUTABLE: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Fails if a manifest that names a blob of another repository gives access to it.
#[tokio::test]
async fn a_layer_that_no_registry_checks_is_no_proof_of_access() {
    for (kind, urls) in [(NONDISTRIBUTABLE, true), (NONDISTRIBUTABLE, false), (LAYER, true)] {
        let world = World::new().await;
        let layer = noise(300_000);
        let private = world.upstream.image("private", "latest", &[&layer]);
        let digest = &private.blobs[1];
        world.get("/v2/up/private/manifests/latest").await.expect(200);
        world.get(format!("/v2/up/private/blobs/{digest}")).await.expect(200);
        world.settle().await;

        let config = b"{}";
        world.upstream.blob("evil", *config);
        let mut naming = manifest(config, b"");
        let mut foreign = descriptor(kind, &layer);
        if urls {
            foreign["urls"] = json!(["https://elsewhere.example/layer"]);
        }
        naming["layers"] = json!([foreign]);
        let naming = naming.to_string();
        world.upstream.manifest("evil", "latest", media_type::OCI_MANIFEST, naming.as_bytes());
        world.get("/v2/up/evil/manifests/latest").await.expect(200);
        world.upstream.requests();
        world.get(format!("/v2/up/evil/blobs/{digest}")).await.expect(404);
        let asked = world.upstream.requests();
        assert!(asked.iter().any(|request| request.contains("/evil/blobs/")), "{kind} {urls}: {asked:?}");

        // The repository that has it there gets it.
        world.upstream.blob("evil", layer.clone());
        assert_eq!(world.get(format!("/v2/up/evil/blobs/{digest}")).await.expect(200).body, layer);
        world.settle().await;
    }
}

/// Fails if what a registry in Go does not read gives access: of `layers` and `Layers`, the last counts there.
#[tokio::test]
async fn a_layer_that_the_upstream_read_otherwise_is_no_proof_of_access() {
    let (layer, own) = (noise(300_000), b"own");
    let same =
        |key: &str| (json!([descriptor(LAYER, &layer)]), key.to_owned(), json!([descriptor(LAYER, own)]));
    let mut digest_twice = descriptor(LAYER, &layer);
    digest_twice["Digest"] = descriptor(LAYER, own)["digest"].clone();
    for (layers, key, more) in
        [same("Layers"), same("layer\u{17f}"), (json!([digest_twice]), "other".to_owned(), json!([]))]
    {
        let world = World::new().await;
        let private = world.upstream.image("private", "latest", &[&layer]);
        let digest = &private.blobs[1];
        world.get("/v2/up/private/manifests/latest").await.expect(200);
        world.get(format!("/v2/up/private/blobs/{digest}")).await.expect(200);
        world.settle().await;

        world.upstream.blob("evil", *b"{}");
        world.upstream.blob("evil", *own);
        let mut naming = manifest(b"{}", b"");
        naming["layers"] = layers;
        naming[&key] = more;
        let naming = naming.to_string();
        world.upstream.manifest("evil", "latest", media_type::OCI_MANIFEST, naming.as_bytes());
        world.get("/v2/up/evil/manifests/latest").await.expect(200);
        world.get(format!("/v2/up/evil/blobs/{digest}")).await.expect(404);
        let options = CompleteOptions { wants: Box::new(|_| true), dry_run: false, jobs: 1 };
        let (mut completion, mut tell) = (Completion::default(), |_: &Lack| {});
        let (registry, name, tag) =
            (&world.server.registry, "up/evil".parse().unwrap(), "latest".parse().unwrap());
        let completing =
            world.caches.complete_tag(registry, &options, &name, &tag, &mut completion, &mut tell);
        completing.await.unwrap();
        world.settle().await;
        assert_eq!(completion.left, 1, "{key}");
        world.get(format!("/v2/up/evil/blobs/{digest}")).await.expect(404);
    }
}
