//! Inventories, and the deltas that they allow.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod support;

use sampan_driver::PutMode;
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Algorithm, Digest, Reference};
use sampan_transfer::{
    ExportOptions, Holdings, Inventory, Progress, Source, inventory, inventory_by_api, plan,
};
use support::{Store, Way, export, import_bytes, import_options, options, runtime, sample};

#[test]
fn the_api_shows_what_the_store_has_as_far_as_tags_lead_there() {
    runtime().block_on(async {
        let store = sample().await;
        let selectors = ["team/**".parse().unwrap()];
        let stored = inventory(&store.source(), &selectors, false, &Progress::default()).await.unwrap().lines;
        assert_eq!(
            inventory_by_api(&store.source(), &selectors, false, &Progress::default()).await.unwrap().lines,
            stored
        );
        assert!(stored.len() > 15, "{stored:?}");
        let by_api = inventory_by_api(&store.source(), &[], false, &Progress::default()).await.unwrap().lines;
        store.image("team/app", Algorithm::Sha256, "untagged", &[vec![8; 70]], false, &[]).await;
        assert_eq!(
            inventory_by_api(&store.source(), &[], false, &Progress::default()).await.unwrap().lines,
            by_api
        );
        assert!(
            inventory(&store.source(), &[], false, &Progress::default()).await.unwrap().lines.len()
                > by_api.len()
        );
        let tags = inventory(&store.source(), &[], true, &Progress::default()).await.unwrap().lines;
        assert_eq!(
            inventory_by_api(&store.source(), &[], true, &Progress::default()).await.unwrap().lines,
            tags
        );
        assert_eq!(tags.len(), 4, "{tags:?}");
    });
}

#[test]
fn an_inventory_by_the_api_claims_no_layer_that_is_missing() {
    runtime().block_on(async {
        let store = Store::new();
        store.image("a", Algorithm::Sha256, "x", &[vec![1; 30]], true, &["1"]).await;
        let lines = inventory_by_api(&store.source(), &[], false, &Progress::default()).await.unwrap().lines;
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
        let tags = inventory(&far.source(), &[], true, &Progress::default()).await.unwrap().lines.join("\n");
        let mut delta = options(&["third"]);
        delta.have.add_lines(tags.as_bytes()).unwrap();
        delta.have.expand(&near.source()).await.unwrap();
        let planned = plan(&near.source(), &delta).await.unwrap().plan;
        let presumed: Vec<&Digest> = planned.presumed.iter().map(|presumed| &presumed.digest).collect();
        assert_eq!(presumed, [&Digest::sha256_of(&layer)]);
        assert_eq!(planned.images().map(|(_, image)| &image.digest).collect::<Vec<_>>(), [&new.digest]);
        let bundle = export(&near, &delta).await.unwrap();
        import_bytes(&far, &bundle, Way::Pipe, &import_options()).await.unwrap();
        let third = far.source().tags(&"third".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(third.len(), 1);
    });
}

/// What the inventory of a store says.
async fn have(store: &Store) -> Holdings {
    let mut have = Holdings::default();
    have.add_lines(
        inventory(&store.source(), &[], false, &Progress::default())
            .await
            .unwrap()
            .lines
            .join("\n")
            .as_bytes(),
    )
    .unwrap();
    have
}

#[test]
fn a_delta_carries_the_platforms_that_the_far_side_lacks() {
    runtime().block_on(async {
        let (near, far) = (Store::new(), Store::new());
        let one = near.image("team/app", Algorithm::Sha256, "one", &[vec![1; 90]], false, &[]).await;
        let two = near.image("team/app", Algorithm::Sha256, "two", &[vec![2; 90]], false, &[]).await;
        near.index("team/app", &[one, two], &["1.0"]).await;
        let mut sparse = options(&["team/app"]);
        sparse.platforms = vec!["linux/arm64".parse().unwrap()];
        let first = export(&near, &sparse).await.unwrap();
        import_bytes(&far, &first, Way::File, &import_options()).await.unwrap();

        sparse.have = have(&far).await;
        let again = plan(&near.source(), &sparse).await.unwrap();
        assert_eq!((again.plan.images().count(), again.unchanged), (0, 1), "all that was asked for is there");
        let mut by_plan = Holdings::default();
        let planned =
            plan(&near.source(), &ExportOptions { have: Holdings::default(), ..sparse }).await.unwrap();
        by_plan.add_plan(&planned.plan, Digest::sha256_of(b"first"));
        for have in [have(&far).await, by_plan] {
            let far = Store::new();
            import_bytes(&far, &first, Way::File, &import_options()).await.unwrap();
            let whole = ExportOptions { have, ..options(&["team/app"]) };
            let delta = plan(&near.source(), &whole).await.unwrap();
            assert_eq!(
                (delta.plan.images().count(), delta.unchanged),
                (1, 0),
                "{:?}",
                delta.plan.repositories
            );
            let delta = export(&near, &whole).await.unwrap();
            import_bytes(&far, &delta, Way::Pipe, &import_options()).await.unwrap();
            let arrived = export(&far, &options(&["team/app"])).await.unwrap();
            assert!(arrived == export(&near, &options(&["team/app"])).await.unwrap(), "the index is whole");
        }
    });
}

#[test]
fn a_far_side_with_everything_gets_nothing() {
    runtime().block_on(async {
        // Some of it is named by sha512.
        let near = sample().await;
        let delta = ExportOptions { have: have(&near).await, ..options(&["**"]) };
        let planned = plan(&near.source(), &delta).await.unwrap();
        assert_eq!((planned.plan.images().count(), planned.unchanged), (0, 3));
        let by_api = inventory_by_api(&near.source(), &[], false, &Progress::default()).await.unwrap().lines;
        let mut have = Holdings::default();
        have.add_lines(by_api.join("\n").as_bytes()).unwrap();
        let planned = plan(&near.source(), &ExportOptions { have, ..delta }).await.unwrap();
        assert_eq!((planned.plan.images().count(), planned.unchanged), (0, 3));
    });
}

#[test]
fn a_delta_mends_an_image_whose_layer_the_far_side_has_lost() {
    runtime().block_on(async {
        let (near, far) = (sample().await, Store::new());
        let bundle = export(&near, &options(&["team/app"])).await.unwrap();
        import_bytes(&far, &bundle, Way::File, &import_options()).await.unwrap();
        let lost = Digest::sha256_of(&[2; 500]);
        far.driver.delete(&Entry::Blob(lost.clone()).path()).await.unwrap();

        let delta = ExportOptions { have: have(&far).await, ..options(&["team/app"]) };
        let planned = plan(&near.source(), &delta).await.unwrap().plan;
        assert!(planned.contents.iter().any(|content| content.digest == lost));
        let delta = export(&near, &delta).await.unwrap();
        import_bytes(&far, &delta, Way::File, &import_options()).await.unwrap();
        assert!(export(&far, &options(&["team/app"])).await.unwrap() == bundle);
    });
}

/// The same index in two repositories, with a signature in each, and another one that shares an image with it.
async fn shared() -> Store {
    let store = Store::new();
    for repository in ["dev/app", "prod/app"] {
        let mut children = Vec::new();
        for (config, layer) in [("one", 1), ("two", 2)] {
            let layers = [vec![layer; 90]];
            children.push(store.image(repository, Algorithm::Sha256, config, &layers, false, &[]).await);
        }
        let index = store.index(repository, &children, &["1.0"]).await;
        store.index(repository, &children[..1], &["one"]).await;
        store.referrer(repository, &index, "signature", &[]).await;
    }
    store
}

#[test]
fn what_one_repository_has_another_may_lack() {
    runtime().block_on(async {
        let near = shared().await;
        let mut sparse = options(&["prod/**"]);
        sparse.platforms = vec!["linux/amd64".parse().unwrap()];
        sparse.referrers = false;
        let firsts = [options(&["dev/**"]), sparse];
        let far = Store::new();
        let mut by_plans = Holdings::default();
        for first in &firsts {
            by_plans.add_plan(&plan(&near.source(), first).await.unwrap().plan, Digest::sha256_of(b"first"));
            import_bytes(&far, &export(&near, first).await.unwrap(), Way::File, &import_options())
                .await
                .unwrap();
        }
        for have in [have(&far).await, by_plans] {
            let far = Store::new();
            for first in &firsts {
                let first = export(&near, first).await.unwrap();
                import_bytes(&far, &first, Way::File, &import_options()).await.unwrap();
            }
            let delta = export(&near, &ExportOptions { have, ..options(&["prod/**"]) }).await.unwrap();
            import_bytes(&far, &delta, Way::File, &import_options()).await.unwrap();
            assert_eq!(far.state().await, near.state().await);
        }
    });
}

#[test]
fn what_several_repositories_have_is_not_carried_again() {
    runtime().block_on(async {
        let (near, far) = (shared().await, Store::new());
        let first = plan(&near.source(), &options(&["**"])).await.unwrap().plan;
        let mut import = import_options();
        import.receipt = true;
        let bundle = export(&near, &options(&["**"])).await.unwrap();
        let report = import_bytes(&far, &bundle, Way::File, &import).await.unwrap();
        let (mut by_plan, mut by_receipt) = (Holdings::default(), Holdings::default());
        by_plan.add_plan(&first, Digest::sha256_of(b"first"));
        by_receipt.add_lines(report.receipt.join("\n").as_bytes()).unwrap();
        for have in [by_plan, by_receipt, have(&far).await] {
            let again = plan(&near.source(), &ExportOptions { have, ..options(&["**"]) }).await.unwrap();
            assert_eq!((again.plan.images().count(), again.unchanged), (0, 4));
        }
    });
}

#[test]
fn a_damaged_manifest_is_named_and_the_rest_listed() {
    runtime().block_on(async {
        let store = sample().await;
        let whole = inventory(&store.source(), &[], true, &Progress::default()).await.unwrap();
        assert_eq!((whole.lines.len(), whole.unreadable.len()), (4, 0));
        let tag = Reference::Tag("v2".parse().unwrap());
        let found = store.source().manifest(&"other".parse().unwrap(), &tag).await.unwrap().unwrap();
        let path = Entry::Blob(Digest::sha256_of(&found.bytes)).path();
        store.driver.put_content(&path, "short".into(), PutMode::Overwrite).await.unwrap();
        for tags_only in [true, false] {
            let of_store = inventory(&store.source(), &[], tags_only, &Progress::default()).await.unwrap();
            let by_api =
                inventory_by_api(&store.source(), &[], tags_only, &Progress::default()).await.unwrap();
            for Inventory { lines, unreadable } in [of_store, by_api] {
                assert_eq!(unreadable, ["other:v2"]);
                let tags: Vec<&String> = lines.iter().filter(|line| !line.starts_with("sha")).collect();
                assert_eq!(tags.len(), 3, "{tags:?}");
            }
        }
    });
}

#[test]
fn a_delta_mends_what_is_damaged_on_the_far_side() {
    runtime().block_on(async {
        let (near, far) = (sample().await, Store::new());
        let bundle = export(&near, &options(&["team/app"])).await.unwrap();
        import_bytes(&far, &bundle, Way::File, &import_options()).await.unwrap();
        let tag = Reference::Tag("1.0".parse().unwrap());
        let index = near.source().manifest(&"team/app".parse().unwrap(), &tag).await.unwrap().unwrap().digest;
        for digest in [Digest::sha256_of(&[2; 500]), index] {
            let path = Entry::Blob(digest.clone()).path();
            far.driver.put_content(&path, "short".into(), PutMode::Overwrite).await.unwrap();
        }
        let have = have(&far).await;
        let delta = export(&near, &ExportOptions { have, ..options(&["team/app"]) }).await.unwrap();
        import_bytes(&far, &delta, Way::File, &import_options()).await.unwrap();
        assert!(export(&far, &options(&["team/app"])).await.unwrap() == bundle);
    });
}

#[test]
fn a_selector_that_matches_nothing_is_no_empty_inventory() {
    runtime().block_on(async {
        let source = sample().await.source();
        for selector in ["elsewhere", "team/*:3.*", "nothing/**"] {
            let selectors = ["other".parse().unwrap(), selector.parse().unwrap()];
            for error in [
                inventory(&source, &selectors, false, &Progress::default()).await.unwrap_err(),
                inventory_by_api(&source, &selectors, true, &Progress::default()).await.unwrap_err(),
            ] {
                assert_eq!(error.to_string(), format!("nothing matches `{selector}`"));
            }
        }
    });
}
