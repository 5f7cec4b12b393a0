//! Images that an export leaves out: of other platforms, excluded or damaged; and what other tools do not get listed.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod support;

use sampan_bundle::{IndexScope, manifest_json};
use sampan_driver::PutMode;
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Algorithm, Digest, Reference, media_type};
use sampan_transfer::{ExportOptions, IndexPolicy, Source, plan};
use serde_json::{Value, json};
use support::{Store, Way, descriptor, export, import_bytes, import_options, name, options, runtime, sample};

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
    for tag in ["1.9", "v1.10", "2.0-rc.1"] {
        store.image("app", Algorithm::Sha256, tag, &[], false, &[tag]).await;
    }
    store.image("team/other", Algorithm::Sha256, "x", &[], false, &["nightly"]).await;
    store
}

#[test]
fn an_image_of_another_platform_is_left_out() {
    runtime().block_on(async {
        let near = sample().await;
        for (tag, config) in [
            ("arm", r#"{"os":"linux","architecture":"arm64"}"#),
            ("armv7", r#"{"os":"linux","architecture":"arm","variant":"v7"}"#),
            ("chart", r#"{"name":"chart"}"#),
        ] {
            let digest = near.blob("single", Algorithm::Sha256, config.as_bytes()).await;
            let manifest = serde_json::json!({
                "schemaVersion": 2,
                "mediaType": media_type::OCI_MANIFEST,
                "config": descriptor(media_type::OCI_IMAGE_CONFIG, &digest, config.len()),
                "layers": [],
            });
            near.manifest("single", Algorithm::Sha256, &manifest, &[tag]).await;
        }
        let of = |platform: &str| ExportOptions {
            platforms: vec![platform.parse().unwrap()],
            ..options(&["single", "team/app:1.0"])
        };
        let app = planned(&near, &options(&["team/app:1.0"])).await;
        for (platform, expected) in
            [("linux/arm64", &["single:arm", "single:chart"][..]), ("linux/amd64", &["single:chart"])]
        {
            let expected = expected.iter().map(|tag| (*tag).to_owned()).chain(app.iter().cloned());
            assert_eq!(planned(&near, &of(platform)).await, expected.collect::<Vec<_>>(), "{platform}");
        }
        let arm = ExportOptions { selectors: vec!["single".parse().unwrap()], ..of("linux/arm") };
        assert_eq!(planned(&near, &arm).await, ["single:armv7", "single:chart"]);
        let plan_of_arm = plan(&near.source(), &arm).await.unwrap();
        assert!(!plan_of_arm.plan.repositories[0].complete, "a tag was left out");
        assert_eq!(plan_of_arm.other_platforms, ["single:arm"]);
        let none = ExportOptions { selectors: vec!["single:arm".parse().unwrap()], ..of("linux/amd64") };
        let error = plan(&near.source(), &none).await.unwrap_err().to_string();
        assert_eq!(error, "none of the selected images is for linux/amd64");
    });
}

#[test]
fn an_exclusion_of_nothing_is_named() {
    runtime().block_on(async {
        let store = versions().await;
        let digest = Digest::sha256_of(b"absent");
        let excluded = |exclude: &[&str]| {
            let exclude = exclude.iter().map(|selector| selector.parse().unwrap()).collect();
            let options = ExportOptions { exclude, ..options(&["**"]) };
            let source = store.source();
            async move { plan(&source, &options).await.unwrap().unused_exclusions }
        };
        let by_digest = format!("app@{digest}");
        let unused =
            excluded(&["*:*nightly*", "**:2.0-*", "*:2.0-rc.1", "team/*", "other", &by_digest]).await;
        assert_eq!(unused, ["*:*nightly*", "other", &by_digest]);
        let tag = Reference::Tag("1.9".parse().unwrap());
        let digest = store.source().manifest(&name("app"), &tag).await.unwrap().unwrap().digest;
        assert_eq!(excluded(&[&format!("app@{digest}"), "app:1.9"]).await, [format!("app@{digest}")]);
        assert_eq!(excluded(&[&format!("app@{digest}")]).await, [""; 0]);
    });
}

#[test]
fn a_truncated_layer_is_a_fault_of_its_image() {
    runtime().block_on(async {
        let near = sample().await;
        let path = Entry::Blob(Digest::sha256_of(&[2; 500])).path();
        near.driver.put_content(&path, vec![2; 499].into(), PutMode::Overwrite).await.unwrap();
        let error = plan(&near.source(), &options(&["**"])).await.unwrap_err().to_string();
        assert!(error.contains("team/app:1.0") && error.contains("499 bytes instead of 500"), "{error}");
        let going_on = ExportOptions { keep_going: true, ..options(&["**"]) };
        let planned = plan(&near.source(), &going_on).await.unwrap();
        assert_eq!(planned.failures[0].image, "team/app:1.0");
        assert!(planned.plan.contents.iter().all(|content| content.digest != Digest::sha256_of(&[2; 500])));
    });
}

#[test]
fn docker_finds_images_and_nothing_else() {
    runtime().block_on(async {
        let near = sample().await;
        let config = near.blob("team/app", Algorithm::Sha256, br#"{"architecture":""}"#).await;
        let payload = near.blob("team/app", Algorithm::Sha256, b"simple signing").await;
        let signature = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": descriptor(media_type::OCI_IMAGE_CONFIG, &config, 19),
            "layers": [descriptor("application/vnd.dev.cosign.simplesigning.v1+json", &payload, 14)],
        });
        near.manifest("team/app", Algorithm::Sha256, &signature, &["signature"]).await;
        for (index, expected) in [(IndexScope::Images, 2), (IndexScope::All, 3)] {
            let options = ExportOptions { index, ..options(&["team/app"]) };
            let planned = plan(&near.source(), &options).await.unwrap();
            let listed = manifest_json(&planned.plan, &planned.docker).unwrap();
            let listed: Vec<serde_json::Value> = serde_json::from_slice(&listed).unwrap();
            let tags: Vec<&str> = listed
                .iter()
                .flat_map(|image| image["RepoTags"].as_array().unwrap())
                .map(|tag| tag.as_str().unwrap())
                .collect();
            assert_eq!(tags[..2], ["near.example/team/app:1.0", "near.example/team/app:latest"]);
            assert_eq!(tags.len(), expected, "{tags:?}");
        }
    });
}

#[test]
fn an_index_in_another_one_may_lack_the_platform() {
    runtime().block_on(async {
        let near = Store::new();
        let amd64 = near.image("app", Algorithm::Sha256, "one", &[vec![1; 9]], false, &[]).await;
        let arm64 = near.image("app", Algorithm::Sha256, "two", &[vec![2; 9]], false, &[]).await;
        let entry = |kind: &str, image: &support::Image, architecture: Option<&str>| {
            let mut entry = descriptor(kind, &image.digest, image.len);
            if let Some(architecture) = architecture {
                entry["platform"] = json!({ "os": "linux", "architecture": architecture });
            }
            entry
        };
        let index = async |entries: &[Value], tags: &[&str]| {
            let index = json!({
                "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries,
            });
            near.manifest("app", Algorithm::Sha256, &index, tags).await
        };
        let inner = index(&[entry(media_type::OCI_MANIFEST, &arm64, Some("arm64"))], &[]).await;
        let nested = entry(media_type::OCI_INDEX, &inner, None);
        let one = entry(media_type::OCI_MANIFEST, &amd64, Some("amd64"));
        index(&[one, nested.clone()], &["both"]).await;
        index(&[nested], &["arm64"]).await;
        for indexes in [IndexPolicy::Keep, IndexPolicy::Rewrite] {
            let mut options = ExportOptions { indexes, ..options(&["app:both"]) };
            options.platforms = vec!["linux/amd64".parse().unwrap()];
            let (bundle, far) = (export(&near, &options).await.unwrap(), Store::new());
            import_bytes(&far, &bundle, Way::File, &import_options()).await.unwrap();
            let state = &far.state().await["app"];
            let has =
                |image: &Digest| state.iter().any(|line| line.starts_with(&format!("manifest {image}")));
            assert!(has(&amd64.digest) && !has(&arm64.digest), "{state:?}");
            options.selectors = vec!["app:arm64".parse().unwrap()];
            let error = export(&near, &options).await.unwrap_err().to_string();
            assert!(error.contains("app:arm64") && error.contains("no image for linux/amd64"), "{error}");
        }
    });
}
