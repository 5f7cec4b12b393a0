//! An export and its import leave the same images, whatever they are.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::Config;
use sampan_conformance::faulty::{Fault, Faulty};
use sampan_engine::oci::{Algorithm, Digest};
use sampan_transfer::{Error, Holdings, ImportOptions, Progress, inventory};
use support::recipes::{build, recipes};
use support::{Store, Way, descriptor, export, import_bytes, import_options, options, runtime, sample};

proptest! {
    #![proptest_config(Config::with_cases(24))]

    #[test]
    fn an_import_has_what_was_exported(recipes in recipes(), by_pipe in any::<bool>()) {
        runtime().block_on(async {
            let (near, far) = (build(&recipes).await, Store::new());
            let bundle = export(&near, &options(&["**"])).await.unwrap();
            let way = if by_pipe { Way::Pipe } else { Way::File };
            import_bytes(&far, &bundle, way, &import_options()).await.unwrap();
            assert_eq!(far.state().await, near.state().await);
            assert!(export(&far, &options(&["**"])).await.unwrap() == bundle, "the same images, the same bytes");
            let report = import_bytes(&far, &bundle, way, &import_options()).await.unwrap();
            assert_eq!((report.stored_blobs, report.imported), (0, 0), "nothing is new the second time");
        });
    }

    #[test]
    fn a_delta_brings_the_far_side_up_to_date(recipes in recipes(), known in 0..4usize) {
        runtime().block_on(async {
            let (near, far) = (build(&recipes).await, Store::new());
            let older = build(&recipes[..known.min(recipes.len())]).await;
            if known > 0 {
                let first = export(&older, &options(&["**"])).await.unwrap();
                import_bytes(&far, &first, Way::File, &import_options()).await.unwrap();
            }
            let mut have = Holdings::default();
            let lines = inventory(&far.source(), &[], false, &Progress::default()).await.unwrap().lines.join("\n");
            have.add_lines(lines.as_bytes()).unwrap();
            let mut options = options(&["**"]);
            options.have = have;
            let delta = export(&near, &options).await.unwrap();
            import_bytes(&far, &delta, Way::Pipe, &import_options()).await.unwrap();
            let whole = Store::new();
            options.have = Holdings::default();
            let all = export(&near, &options).await.unwrap();
            import_bytes(&whole, &all, Way::File, &import_options()).await.unwrap();
            for (repository, lines) in whole.state().await {
                let far = far.state().await;
                let missing: Vec<_> = lines.iter().filter(|line| !far[&repository].contains(line)).collect();
                assert!(missing.is_empty(), "{repository} lacks {missing:#?}");
            }
        });
    }
}

#[test]
fn an_import_that_was_killed_anywhere_goes_on() {
    runtime().block_on(async {
        let near = sample().await;
        let bundle = export(&near, &options(&["**"])).await.unwrap();
        let expected = near.state().await;
        // With four jobs, the blobs of later images are stored while an image is finished.
        for (fault, jobs) in Fault::ALL.into_iter().flat_map(|fault| [(fault, 1), (fault, 4)]) {
            for fails_at in (1..).step_by(jobs) {
                let far = Store::new();
                let faulty = Arc::new(Faulty::new(far.driver.clone(), fault, fails_at));
                let broken = Store::over(faulty.clone());
                let mut options_of_import = import_options();
                options_of_import.jobs = jobs;
                let killed = import_bytes(&broken, &bundle, Way::File, &options_of_import).await;
                if !faulty.has_failed() {
                    killed.unwrap();
                    break;
                }
                // Whatever has a tag is whole.
                if !far.state().await.is_empty() {
                    let tagged = export(&far, &options(&["**"])).await;
                    tagged.unwrap_or_else(|error| {
                        panic!("{fault:?} at operation {fails_at} of {jobs} jobs: {error}")
                    });
                }
                let way = if fails_at % 2 == 0 { Way::Pipe } else { Way::File };
                import_bytes(&far, &bundle, way, &import_options()).await.unwrap();
                assert_eq!(far.state().await, expected, "{fault:?} at operation {fails_at} of {jobs} jobs");
            }
        }
    });
}

#[test]
fn a_delta_is_refused_where_its_base_is_missing() {
    runtime().block_on(async {
        let (near, far, empty) = (sample().await, Store::new(), Store::new());
        let first = export(&near, &options(&["team/app"])).await.unwrap();
        import_bytes(&far, &first, Way::File, &import_options()).await.unwrap();
        let mut second = options(&["**"]);
        let lines = inventory(&far.source(), &[], false, &Progress::default()).await.unwrap().lines;
        second.have.add_lines(lines.join("\n").as_bytes()).unwrap();
        near.image("team/app", Algorithm::Sha256, "new", &[vec![1; 3000]], false, &["2.0"]).await;
        let delta = export(&near, &second).await.unwrap();
        assert!(delta.len() < first.len());
        for way in [Way::File, Way::Pipe] {
            let error = import_bytes(&empty, &delta, way, &import_options()).await.unwrap_err();
            assert!(
                matches!(&error, Error::PresumedMissing(missing) if missing.contents.len() == 1),
                "{error}"
            );
            assert!(empty.state().await.is_empty());
        }
        import_bytes(&far, &delta, Way::Pipe, &import_options()).await.unwrap();
        assert_eq!(far.state().await, near.state().await);
    });
}

#[test]
fn a_damaged_bundle_stores_nothing_wrong() {
    runtime().block_on(async {
        let near = sample().await;
        let bundle = export(&near, &options(&["**"])).await.unwrap();
        for position in (0..bundle.len()).step_by(97) {
            let mut damaged = bundle.clone();
            damaged[position] ^= 1;
            for way in [Way::File, Way::Pipe] {
                let far = Store::new();
                match import_bytes(&far, &damaged, way, &import_options()).await {
                    Err(error) => {
                        assert!(error.is_damage() || error.to_string().contains("newer"), "{error}");
                    }
                    // Padding of a blob that was passed over in a pipe.
                    Ok(_) => assert_eq!(far.state().await, near.state().await, "byte {position}"),
                }
                if !far.state().await.is_empty() {
                    export(&far, &options(&["**"])).await.unwrap();
                }
            }
        }
    });
}

#[test]
fn a_blob_that_is_a_manifest_elsewhere_stays_both() {
    runtime().block_on(async {
        let near = Store::new();
        let image = near.image("a", Algorithm::Sha256, "x", &[vec![9; 50]], false, &["1"]).await;
        let bytes = near.repository("a").manifests().get(&image.digest.clone().into()).await.unwrap().bytes;
        // The repository `0` comes first, where the manifest is a layer.
        near.blob("0", Algorithm::Sha256, &bytes).await;
        let config = near.blob("0", Algorithm::Sha256, b"{}").await;
        let last = near.blob("0", Algorithm::Sha256, b"last").await;
        let artifact = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": sampan_engine::oci::media_type::OCI_MANIFEST,
            "config": descriptor("application/vnd.oci.empty.v1+json", &config, 2),
            "layers": [
                descriptor("application/json", &Digest::sha256_of(&bytes), bytes.len()),
                descriptor("text/plain", &last, 4),
            ],
        });
        near.manifest("0", Algorithm::Sha256, &artifact, &["1"]).await;
        let bundle = export(&near, &options(&["**"])).await.unwrap();
        for way in [Way::File, Way::Pipe] {
            let far = Store::new();
            import_bytes(&far, &bundle, way, &import_options()).await.unwrap();
            assert_eq!(far.state().await, near.state().await);
            import_bytes(&far, &bundle, way, &import_options()).await.unwrap();
        }
    });
}

#[test]
fn a_blob_that_images_share_is_stored_once_though_they_are_imported_together() {
    runtime().block_on(async {
        let (near, layer) = (Store::new(), vec![7; 200_000]);
        for (repository, tag) in [("a", "1"), ("a", "2"), ("b", "1"), ("c", "1")] {
            let config = format!("{repository}{tag}");
            near.image(repository, Algorithm::Sha256, &config, std::slice::from_ref(&layer), false, &[tag])
                .await;
        }
        let bundle = export(&near, &options(&["**"])).await.unwrap();
        for (way, jobs) in [(Way::File, 1), (Way::File, 16), (Way::Pipe, 16)] {
            let (far, mut options_of_import) = (Store::new(), import_options());
            options_of_import.jobs = jobs;
            let report = import_bytes(&far, &bundle, way, &options_of_import).await.unwrap();
            assert_eq!(far.state().await, near.state().await);
            // Four configurations and the layer, which is mounted into two further repositories.
            assert_eq!(
                (report.imported, report.stored_blobs, report.present_blobs),
                (4, 5, 2),
                "{jobs} jobs"
            );
        }
    });
}

#[test]
fn a_damaged_image_takes_no_other_one_with_it() {
    runtime().block_on(async {
        let near = Store::new();
        let shared = vec![7; 3000];
        let child =
            near.image("a", Algorithm::Sha256, "child", std::slice::from_ref(&shared), false, &[]).await;
        let other = near.image("a", Algorithm::Sha256, "other", &[vec![8; 100]], false, &[]).await;
        let index = near.index("a", &[other.clone(), child.clone()], &["1"]).await;
        near.referrer("a", &index, "sbom of a", &[]).await;
        // The child of an index, a layer and the configuration of an artifact are those of the image that is damaged.
        near.index("a", &[child], &["2"]).await;
        let good = near.image("b", Algorithm::Sha256, "good", &[shared], false, &["1"]).await;
        near.referrer("b", &good, "sbom of b", &[]).await;
        let bundle = export(&near, &options(&["a:1", "a:2", "b"])).await.unwrap();
        let expected = near.state().await;
        for damaged in ["\"author\":\"other\"", "sbom of a", "\"manifests\":["] {
            let mut bytes = bundle.clone();
            let found = bytes.windows(damaged.len()).rposition(|bytes| bytes == damaged.as_bytes());
            // The first of the two indexes is the damaged one.
            let found = match damaged.starts_with("\"manifests") {
                true => position_of_manifest(&bytes, &index.digest),
                false => found.unwrap(),
            };
            bytes[found + damaged.len() - 2] ^= 1;
            for way in [Way::File, Way::Pipe] {
                let far = Store::new();
                let going_on = ImportOptions { keep_going: true, ..import_options() };
                let report = import_bytes(&far, &bytes, way, &going_on).await.unwrap();
                let failed: Vec<&str> = report.failures.iter().map(|it| it.image.as_str()).collect();
                assert_eq!((report.imported, &failed[..]), (2, &["a:1"][..]), "{damaged} {way:?}");
                let images = |state: &BTreeMap<String, Vec<String>>| -> Vec<String> {
                    state["b"]
                        .iter()
                        .chain(state["a"].iter().filter(|it| it.starts_with("tag 2")))
                        .cloned()
                        .collect()
                };
                assert_eq!(images(&far.state().await), images(&expected), "{damaged} {way:?}");
            }
        }
    });
}

/// Where the content of a manifest begins in a bundle, behind the names of its entry.
fn position_of_manifest(bundle: &[u8], digest: &Digest) -> usize {
    let entry = format!("blobs/sha256/{}\0", digest.hex());
    let header = bundle.windows(entry.len()).position(|bytes| bytes == entry.as_bytes()).unwrap();
    header + 512
}
