//! Images by sha512 digests, pushed to registries that know these in part or not at all.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod fake_distribution;
mod support;

use std::sync::Arc;

use fake_distribution::FakeDistribution;
use sampan_engine::oci::Algorithm;
use sampan_transfer::{
    ImportOptions, ImportReport, LiveExport, Progress, RegistryTarget, Result, import, plan,
};
use support::{Store, export, import_options, options, reader, runtime};

async fn copy(near: &Store, far: &FakeDistribution, options_of: &ImportOptions) -> Result<ImportReport> {
    let planned = plan(&near.source(), &options(&["**"])).await.unwrap();
    let live = LiveExport::new(Arc::new(near.source()), planned).unwrap();
    import(&live, &RegistryTarget::new(far.client()), options_of, &Progress::default()).await
}

#[test]
fn a_registry_that_knows_no_tags_of_a_push_by_digest_gets_them_one_by_one() {
    runtime().block_on(async {
        let (near, far) = (Store::new(), FakeDistribution::start());
        near.image("app", Algorithm::Sha512, "x", &[vec![1; 3000]], false, &["1", "2"]).await;
        assert_eq!(copy(&near, &far, &import_options()).await.unwrap().imported, 1);
        assert!(far.tag("app", "1").is_some() && far.tag("app", "2").is_some());
    });
}

/// It says the same of right content as of wrong one, and the bundle is not damaged.
#[test]
fn a_registry_that_knows_sha256_only_is_the_reason_and_other_images_go_on() {
    runtime().block_on(async {
        for (blobs, what) in
            [(Algorithm::Sha512, "no blob by a sha512"), (Algorithm::Sha256, "no manifest by a sha512")]
        {
            // A long layer goes in chunks.
            for len in [3000, 6 << 20] {
                let (near, far) = (Store::new(), FakeDistribution::start());
                far.know_sha256_only();
                let layer = near.blob("app", blobs, &vec![1; len]).await;
                near.artifact("app", Algorithm::Sha512, &layer, len, &["1"]).await;
                near.image("other", Algorithm::Sha256, "y", &[vec![2; 10]], false, &["1"]).await;
                let error = copy(&near, &far, &import_options()).await.unwrap_err();
                let text = error.to_string();
                assert!(text.contains(what) && error.is_of_image() && !error.is_damage(), "{text}");
                let keep_going = ImportOptions { keep_going: true, ..import_options() };
                let report = copy(&near, &far, &keep_going).await.unwrap();
                assert_eq!((report.imported, report.failures.len()), (1, 1), "{report:?}");
                assert!(far.tag("other", "1").is_some() && far.tag("app", "1").is_none());
            }
        }
    });
}

#[test]
fn wrong_content_by_sha512_is_damage_of_the_bundle() {
    runtime().block_on(async {
        let (near, far) = (Store::new(), FakeDistribution::start());
        far.know_sha256_only();
        let layer = near.blob("app", Algorithm::Sha512, &[1; 3000]).await;
        near.artifact("app", Algorithm::Sha256, &layer, 3000, &["1"]).await;
        let mut bundle = export(&near, &options(&["**"])).await.unwrap();
        let place = bundle.windows(3000).position(|bytes| bytes == [1; 3000]).unwrap();
        bundle[place] = 2;
        let file = tempfile::NamedTempFile::new().unwrap();
        let reader = reader(&bundle, support::Way::File, file.path()).await.unwrap();
        let target = RegistryTarget::new(far.client());
        let error = import(&reader, &target, &import_options(), &Progress::default()).await.unwrap_err();
        assert!(error.is_damage() && error.to_string().contains(layer.hex()), "{error}");
    });
}
