//! Inventories, and the deltas that they allow.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod support;

use sampan_engine::oci::{Algorithm, Digest};
use sampan_transfer::{Source, inventory, inventory_by_api, plan};
use support::{Store, Way, export, import_bytes, import_options, options, runtime, sample};

#[test]
fn the_api_shows_what_the_store_has_as_far_as_tags_lead_there() {
    runtime().block_on(async {
        let store = sample().await;
        let selectors = ["team/**".parse().unwrap()];
        let stored = inventory(&store.source(), &selectors, false).await.unwrap();
        assert_eq!(inventory_by_api(&store.source(), &selectors, false).await.unwrap(), stored);
        assert!(stored.len() > 15, "{stored:?}");
        let by_api = inventory_by_api(&store.source(), &[], false).await.unwrap();
        store.image("team/app", Algorithm::Sha256, "untagged", &[vec![8; 70]], false, &[]).await;
        assert_eq!(inventory_by_api(&store.source(), &[], false).await.unwrap(), by_api);
        assert!(inventory(&store.source(), &[], false).await.unwrap().len() > by_api.len());
        let tags = inventory(&store.source(), &[], true).await.unwrap();
        assert_eq!(inventory_by_api(&store.source(), &[], true).await.unwrap(), tags);
        assert_eq!(tags.len(), 4, "{tags:?}");
    });
}

#[test]
fn an_inventory_by_the_api_claims_no_layer_that_is_missing() {
    runtime().block_on(async {
        let store = Store::new();
        store.image("a", Algorithm::Sha256, "x", &[vec![1; 30]], true, &["1"]).await;
        let lines = inventory_by_api(&store.source(), &[], false).await.unwrap();
        assert!(lines.iter().any(|line| line.starts_with(&Digest::sha256_of(&[1; 30]).to_string())));
        assert!(!lines.iter().any(|line| line.starts_with(&Digest::sha256_of(b"foreign").to_string())));
    });
}

#[test]
fn tags_alone_are_enough_for_a_near_side_with_the_same_images() {
    runtime().block_on(async {
        let (near, far) = (sample().await, Store::new());
        let bundle = export(&near, &options(&["**"])).await.unwrap();
        import_bytes(&far, &bundle, Way::File, &import_options()).await.unwrap();
        let layer = vec![1; 3000];
        let new =
            near.image("third", Algorithm::Sha256, "new", &[layer.clone(), vec![5; 9]], false, &["1"]).await;
        // An image that only the far side has.
        far.image("own", Algorithm::Sha256, "own", &[vec![6; 9]], false, &["1"]).await;
        let tags = inventory(&far.source(), &[], true).await.unwrap().join("\n");
        let mut delta = options(&["third"]);
        delta.have.add_lines(tags.as_bytes()).unwrap();
        delta.have.expand(&near.source()).await.unwrap();
        let planned = plan(&near.source(), &delta).await.unwrap().plan;
        let presumed: Vec<&Digest> = planned.presumed.iter().map(|presumed| &presumed.digest).collect();
        assert_eq!(presumed, [&Digest::sha256_of(&layer)]);
        assert_eq!(planned.images().map(|(_, image)| &image.digest).collect::<Vec<_>>(), [&new.digest]);
        let bundle = export(&near, &delta).await.unwrap();
        import_bytes(&far, &bundle, Way::Pipe, &import_options()).await.unwrap();
        let third = far.source().tags(&"third".parse().unwrap()).await.unwrap();
        assert_eq!(third.len(), 1);
    });
}
