//! Selection on export, and policies on import.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod support;

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use sampan_engine::oci::{Algorithm, Digest, Manifest, Reference, Tag};
use sampan_transfer::{Error, ExportOptions, ImportOptions, Renames, Source, TagPolicy, places, plan};
use support::{Store, Way, assemble, export, import_bytes, import_options, name, options, runtime, sample};

/// The tags of a plan, in order.
async fn planned(store: &Store, options: &ExportOptions) -> Vec<String> {
    let planned = plan(&store.source(), options).await.unwrap();
    let images = planned.plan.images();
    images
        .flat_map(|(repository, image)| {
            image.tags.iter().map(move |tag| format!("{}:{tag}", repository.name))
        })
        .collect()
}

async fn versions() -> Store {
    let store = Store::new();
    for tag in ["1.9", "v1.10", "1.2", "2.0-rc.1", "latest"] {
        store.image("app", Algorithm::Sha256, tag, &[], false, &[tag]).await;
    }
    store.image("team/other", Algorithm::Sha256, "x", &[], false, &["nightly"]).await;
    store
}

#[test]
fn selectors_choose_and_order() {
    runtime().block_on(async {
        let store = versions().await;
        for (selectors, exclude, latest, expected) in [
            (&["team/*", "app:latest"][..], &[][..], None, &["team/other:nightly", "app:latest"][..]),
            (&["app:>=1.5,<2"], &[], None, &["app:1.9", "app:v1.10"]),
            (&["app"], &["app:~.*rc.*", "*:latest"], None, &["app:1.2", "app:1.9", "app:v1.10"]),
            (&["app"], &[], Some(2), &["app:2.0-rc.1", "app:v1.10"]),
            (&["app:1.9", "app:1.*"], &[], None, &["app:1.9", "app:1.2"]),
        ] {
            let mut options = options(selectors);
            options.exclude = exclude.iter().map(|selector| selector.parse().unwrap()).collect();
            options.latest = latest;
            assert_eq!(planned(&store, &options).await, expected, "{selectors:?}");
        }
    });
}

#[test]
fn only_tags_that_were_set_since_then_go_along() {
    runtime().block_on(async {
        let store = versions().await;
        let mut options = options(&["**"]);
        let latest = Tag::from_str("latest").unwrap();
        options.since = store.source().tag_time(&name("app"), &latest).await.unwrap();
        assert_eq!(planned(&store, &options).await, ["app:latest", "team/other:nightly"]);
        // An old tag is new once it moves.
        store.image("app", Algorithm::Sha256, "moved", &[], false, &["1.2"]).await;
        assert_eq!(planned(&store, &options).await, ["app:1.2", "app:latest", "team/other:nightly"]);
        options.latest = Some(1);
        options.selectors = vec!["app".parse().unwrap()];
        assert_eq!(planned(&store, &options).await, ["app:1.2"]);
        options.latest = None;
        options.since = Some(SystemTime::now() + Duration::from_secs(3600));
        let plan = plan(&store.source(), &options).await.unwrap().plan;
        assert_eq!(plan.images().count(), 0, "nothing is new, which is no error");
    });
}

#[test]
fn fallback_tags_go_along_with_the_latest_version() {
    runtime().block_on(async {
        let store = versions().await;
        let tag = Reference::Tag("v1.10".parse().unwrap());
        let image = store.source().manifest(&name("app"), &tag).await.unwrap().unwrap().digest;
        let signature = format!("{}.sig", image.to_string().replacen(':', "-", 1));
        store.image("app", Algorithm::Sha256, "signature", &[], false, &[&signature]).await;
        let mut options = options(&["app:~.*"]);
        options.exclude = vec!["app:2.0-rc.1".parse().unwrap()];
        options.latest = Some(1);
        assert_eq!(planned(&store, &options).await, ["app:v1.10".to_owned(), format!("app:{signature}")]);
    });
}

#[test]
fn what_cannot_be_meant_is_refused() {
    runtime().block_on(async {
        let store = versions().await;
        for selector in ["nothing", "app:3.*", "app:>=5"] {
            let error = export(&store, &options(&[selector])).await.unwrap_err();
            assert_eq!(error.to_string(), format!("nothing matches `{selector}`"));
        }
        let mut latest = options(&["team/other"]);
        latest.latest = Some(1);
        assert!(matches!(export(&store, &latest).await.unwrap_err(), Error::NoVersions(_)));
        let mut platform = options(&["**"]);
        platform.platforms = vec!["plan9/amd64".parse().unwrap()];
        let sample = sample().await;
        let error = export(&sample, &platform).await.unwrap_err().to_string();
        assert!(error.contains("team/app:1.0") && error.contains("no image for plan9/amd64"), "{error}");
    });
}

#[test]
fn an_image_is_excluded_by_its_digest() {
    runtime().block_on(async {
        let store = versions().await;
        let tag = Reference::Tag("1.9".parse().unwrap());
        let digest = store.source().manifest(&name("app"), &tag).await.unwrap().unwrap().digest;
        let mut options = options(&["app:1.*", &format!("app@{digest}")]);
        assert_eq!(planned(&store, &options).await, ["app:1.2", "app:1.9"]);
        for (exclude, expected) in [
            (format!("app@{digest}"), &["app:1.2"][..]),
            (format!("*:1.9@{digest}"), &["app:1.2"]),
            (format!("app:1.2@{digest}"), &["app:1.2", "app:1.9"]),
        ] {
            options.exclude = vec![exclude.parse().unwrap()];
            assert_eq!(planned(&store, &options).await, expected, "{exclude}");
        }
    });
}

#[test]
fn a_layer_of_many_repositories_names_a_few_of_them() {
    runtime().block_on(async {
        let near = Store::new();
        let image = near.image("team/app", Algorithm::Sha256, "x", &[vec![7; 100]], false, &["1"]).await;
        let layer = sampan_engine::oci::Digest::sha256_of(&[7; 100]);
        let lines: String = (0..500).map(|number| format!("{layer} 100 a{number}\n")).collect();
        let mut options = options(&["team/app"]);
        options.have.add_lines(format!("{lines}{layer} 100 team/app\n").as_bytes()).unwrap();
        let plan = plan(&near.source(), &options).await.unwrap().plan;
        assert_eq!(plan.presumed[0].digest, layer);
        assert_eq!(plan.presumed[0].repositories[..2], [name("team/app"), name("a0")]);
        assert!(plan.presumed[0].repositories.len() <= 8);
        assert_eq!(plan.repositories[0].images[0].digest, image.digest);
    });
}

#[test]
fn an_image_by_its_digest_needs_no_tag() {
    runtime().block_on(async {
        let (near, far) = (Store::new(), Store::new());
        let image = near.image("a", Algorithm::Sha256, "x", &[], false, &[]).await;
        let bundle = export(&near, &options(&[&format!("a@{}", image.digest)])).await.unwrap();
        import_bytes(&far, &bundle, Way::File, &import_options()).await.unwrap();
        assert_eq!(far.state().await, near.state().await);
    });
}

#[test]
fn a_platform_filter_keeps_the_index() {
    runtime().block_on(async {
        let (near, far) = (sample().await, Store::new());
        let mut options = options(&["team/app:1.0"]);
        options.platforms = vec!["linux/arm64".parse().unwrap()];
        let planned = plan(&near.source(), &options).await.unwrap();
        let image = &planned.plan.repositories[0].images[0];
        assert_eq!(image.left_out.len(), 1);
        assert_eq!(image.left_out[0].platform, "linux/amd64");
        assert!(!planned.plan.repositories[0].complete, "a tag was not selected");
        let bundle = export(&near, &options).await.unwrap();
        import_bytes(&far, &bundle, Way::Pipe, &import_options()).await.unwrap();
        let tag = Reference::Tag("1.0".parse().unwrap());
        let (before, after) = (near.source(), far.source());
        let index = before.manifest(&name("team/app"), &tag).await.unwrap();
        assert_eq!(after.manifest(&name("team/app"), &tag).await.unwrap(), index);
        let left_out = Reference::Digest(image.left_out[0].digest.clone());
        assert_eq!(after.manifest(&name("team/app"), &left_out).await.unwrap(), None);
    });
}

#[test]
fn referrers_and_fallback_tags_go_along_unless_they_must_not() {
    runtime().block_on(async {
        let near = sample().await;
        let mut options = options(&["team/app:1.0"]);
        let with = plan(&near.source(), &options).await.unwrap().plan;
        assert_eq!(with.repositories[0].images.len(), 2, "the image and its signature");
        assert_eq!(with.repositories[0].images[0].referrers.len(), 3);
        options.referrers = false;
        let without = plan(&near.source(), &options).await.unwrap().plan;
        assert_eq!(without.repositories[0].images.len(), 1);
        assert_eq!(without.repositories[0].images[0].referrers, []);
        options.selectors = vec!["team/app".parse().unwrap()];
        assert_eq!(planned(&near, &options).await, ["team/app:1.0", "team/app:latest"]);
        let without = plan(&near.source(), &options).await.unwrap().plan;
        assert!(!without.repositories[0].complete, "the tag of the signature was left out");
    });
}

/// The specification cuts the digest off.
#[test]
fn the_fallback_tag_of_an_image_by_sha512_goes_along() {
    runtime().block_on(async {
        let near = sample().await;
        let image = near.image("long", Algorithm::Sha512, "long", &[vec![1; 300]], false, &["1.0"]).await;
        let artifact = near.image("long", Algorithm::Sha256, "artifact", &[], false, &[]).await;
        near.index("long", &[artifact], &[&format!("sha512-{}", &image.digest.hex()[..64])]).await;
        let with = plan(&near.source(), &options(&["long:1.0"])).await.unwrap().plan;
        assert_eq!(with.repositories[0].images.len(), 2, "{:?}", with.repositories[0]);
    });
}

#[test]
fn an_image_with_a_missing_blob_is_named_or_passed_over() {
    runtime().block_on(async {
        let near = sample().await;
        let victim = near.blob("other", Algorithm::Sha512, &[1; 3000]).await;
        let registry = sampan_engine::Registry::builder(near.driver.clone())
            .limits(sampan_engine::Limits { delete: true, ..Default::default() })
            .build();
        registry.repository(name("other")).blobs().delete(&victim).await.unwrap();
        let mut options = options(&["**"]);
        let error = export(&near, &options).await.unwrap_err().to_string();
        assert!(error.contains("other:v2") && error.contains(&victim.to_string()), "{error}");
        options.keep_going = true;
        let planned = plan(&near.source(), &options).await.unwrap();
        assert_eq!(planned.failures.len(), 1);
        assert_eq!(planned.failures[0].image, "other:v2");
        assert_eq!(planned.plan.repositories.len(), 1);
    });
}

#[test]
fn a_damaged_manifest_is_named_or_passed_over() {
    runtime().block_on(async {
        let near = sample().await;
        let tag = Reference::Tag("v2".parse().unwrap());
        let manifest = near.source().manifest(&name("other"), &tag).await.unwrap().unwrap();
        let stored = sampan_engine::oci::Digest::sha256_of(&manifest.bytes);
        let path = sampan_engine::layout::Entry::Blob(stored).path();
        near.driver.put_content(&path, "rubbish".into(), sampan_driver::PutMode::Overwrite).await.unwrap();
        let mut options = options(&["**"]);
        let error = export(&near, &options).await.unwrap_err().to_string();
        assert!(error.contains("other:v2") && error.contains("damaged"), "{error}");
        options.keep_going = true;
        let planned = plan(&near.source(), &options).await.unwrap();
        assert_eq!(planned.failures[0].image, "other:v2");
        assert_eq!(planned.plan.repositories.len(), 1);
    });
}

#[test]
fn many_tags_of_one_image_are_one_image() {
    runtime().block_on(async {
        let near = Store::new();
        let image = near.image("a", Algorithm::Sha256, "x", &[], false, &["1", "2"]).await;
        // A fallback tag that points back at its own subject.
        let fallback = image.digest.to_string().replacen(':', "-", 1);
        near.image("a", Algorithm::Sha256, "x", &[], false, &[&fallback]).await;
        let planned = plan(&near.source(), &options(&["a:1", "a:2"])).await.unwrap();
        assert_eq!(planned.plan.repositories[0].images.len(), 1);
        assert_eq!(planned.plan.repositories[0].images[0].tags.len(), 3);
        assert!(planned.plan.repositories[0].complete);
        assemble(&planned);
    });
}

#[test]
fn a_plan_alone_finds_its_content_again() {
    runtime().block_on(async {
        let near = sample().await;
        let planned = plan(&near.source(), &options(&["**"])).await.unwrap();
        let again = places(&near.source(), assemble(&planned).plan()).await.unwrap();
        assert_eq!(again.len(), planned.places.len());
        assert!(planned.plan.contents.iter().all(|content| again.contains_key(&content.digest)));
    });
}

#[test]
fn tags_move_stay_or_stop_the_import() {
    runtime().block_on(async {
        let near = versions().await;
        let bundle = export(&near, &options(&["app:latest", "app:1.2"])).await.unwrap();
        let far = Store::new();
        let present = far.image("app", Algorithm::Sha256, "other", &[], false, &["latest"]).await;
        let latest = |store: &Store| {
            let source = store.source();
            async move {
                let tag = Reference::Tag("latest".parse().unwrap());
                source.manifest(&name("app"), &tag).await.unwrap().unwrap().digest
            }
        };
        let mut options = import_options();
        options.tags = TagPolicy::Fail;
        let error = import_bytes(&far, &bundle, Way::Pipe, &options).await.unwrap_err();
        assert!(error.to_string().contains("app:latest exists already"), "{error}");
        assert_eq!(far.source().tags(&name("app")).await.unwrap().unwrap().len(), 1, "nothing was written");

        options.tags = TagPolicy::Keep;
        let report = import_bytes(&far, &bundle, Way::Pipe, &options).await.unwrap();
        assert!(report.moved_tags[0].kept);
        assert_eq!(latest(&far).await, present.digest);
        assert_eq!(far.source().tags(&name("app")).await.unwrap().unwrap().len(), 2);

        options.tags = TagPolicy::Move;
        options.dry_run = true;
        let report = import_bytes(&far, &bundle, Way::File, &options).await.unwrap();
        assert_eq!(report.moved_tags[0].from, present.digest);
        assert_eq!(latest(&far).await, present.digest);

        options.dry_run = false;
        import_bytes(&far, &bundle, Way::File, &options).await.unwrap();
        assert_eq!(latest(&far).await, latest(&near).await);
    });
}

#[test]
fn a_tag_of_an_image_that_was_passed_over_did_not_move() {
    runtime().block_on(async {
        let (near, far) = (Store::new(), Store::new());
        let layer = b"a layer that is damaged".to_vec();
        for (tag, layers) in [("bad", &[layer.clone()][..]), ("good", &[])] {
            near.image("app", Algorithm::Sha256, tag, layers, false, &[tag]).await;
            far.image("app", Algorithm::Sha256, "other", &[], false, &[tag]).await;
        }
        let mut bundle = export(&near, &options(&["app"])).await.unwrap();
        let place = bundle.windows(layer.len()).position(|window| window == layer).unwrap();
        bundle[place] ^= 1;
        let mut options = import_options();
        options.keep_going = true;
        let report = import_bytes(&far, &bundle, Way::File, &options).await.unwrap();
        assert_eq!(report.failures.len(), 1);
        let moved: Vec<&str> = report.moved_tags.iter().map(|change| change.tag.as_str()).collect();
        assert_eq!(moved, ["app:good"]);
    });
}

#[test]
fn a_part_of_a_bundle_comes_under_another_name() {
    runtime().block_on(async {
        let (near, far) = (sample().await, Store::new());
        let bundle = export(&near, &options(&["**"])).await.unwrap();
        let mut options = import_options();
        options.only = vec!["team/**:1.0".parse().unwrap()];
        options.renames = Renames::new(vec!["team=mirror/near".parse().unwrap()]);
        import_bytes(&far, &bundle, Way::File, &options).await.unwrap();
        let state = far.state().await;
        assert_eq!(state.keys().collect::<Vec<_>>(), ["mirror/near/app"]);
        // With its signature.
        assert_eq!(state["mirror/near/app"].iter().filter(|line| line.starts_with("tag ")).count(), 2);
        options.only = vec!["nothing".parse().unwrap()];
        let error = import_bytes(&far, &bundle, Way::File, &options).await.unwrap_err();
        assert_eq!(error.to_string(), "nothing matches `nothing`");
    });
}

#[test]
fn an_import_of_a_selection_has_the_tags_of_its_export() {
    runtime().block_on(async {
        let near = sample().await;
        let digest = async |reference: &str| {
            near.source().manifest(&name("team/app"), &reference.parse().unwrap()).await.unwrap().unwrap()
        };
        let index = digest("1.0").await;
        let child = Manifest::parse(&index.bytes, None).unwrap().manifests[1].digest.clone();
        let fallback = |digest: &Digest| digest.to_string().replacen(':', "-", 1);
        let sign = async |repository: &str, tag: String| {
            near.image(repository, Algorithm::Sha256, &tag, &[], false, &[&tag]).await.digest
        };
        // Signatures of a child and of a signature, and those of what is not selected.
        let signature = sign("team/app", format!("{}.sig", fallback(&child))).await;
        sign("team/app", format!("{}.att", fallback(&signature))).await;
        let alone = sign("team/app", "alone".to_owned()).await;
        sign("team/app", format!("{}.sig", fallback(&alone))).await;
        sign("other", format!("{}.sig", fallback(&index.digest))).await;
        let everything = export(&near, &options(&["**"])).await.unwrap();
        for selector in ["team/app:1.0", "team/app:latest", "team/app:alone", "team/*:*"] {
            let (by_export, by_import) = (Store::new(), Store::new());
            let bundle = export(&near, &options(&[selector])).await.unwrap();
            import_bytes(&by_export, &bundle, Way::File, &import_options()).await.unwrap();
            let only = ImportOptions { only: vec![selector.parse().unwrap()], ..import_options() };
            import_bytes(&by_import, &everything, Way::File, &only).await.unwrap();
            assert_eq!(by_import.state().await, by_export.state().await, "{selector}");
        }
    });
}
