//! Imports into a registry that loses uploads, as one that restarts without its store of uploads.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod fake_distribution;
mod support;

use std::sync::Arc;

use fake_distribution::FakeDistribution;
use sampan_client::Problem;
use sampan_engine::oci::Algorithm;
use sampan_transfer::{
    Error, ImportOptions, ImportReport, LiveExport, Progress, RegistryTarget, Result, import, plan,
};
use support::{Store, Way, export, import_options, options, reader, runtime};

/// A store with an image whose layer is sent in chunks.
async fn near() -> Store {
    let near = Store::new();
    near.image("app", Algorithm::Sha256, "x", &[vec![1; 6 << 20]], false, &["1"]).await;
    near
}

async fn copy(near: &Store, far: &FakeDistribution) -> Result<ImportReport> {
    let planned = plan(&near.source(), &options(&["**"])).await.unwrap();
    let live = LiveExport::new(Arc::new(near.source()), planned).unwrap();
    import(&live, &RegistryTarget::new(far.client()), &import_options(), &Progress::default()).await
}

fn is_lost(error: &Error) -> bool {
    matches!(error, Error::Registry(error) if matches!(error.problem(), Problem::UploadLost))
}

#[test]
fn a_blob_whose_upload_was_lost_is_read_and_sent_again() {
    runtime().block_on(async {
        let (near, far) = (near().await, FakeDistribution::start());
        far.lose_uploads(2);
        assert_eq!(copy(&near, &far).await.unwrap().imported, 1);
        // The configuration, and the layer three times.
        assert_eq!(far.begun_uploads(), 4);
    });
}

#[test]
fn a_registry_that_loses_every_upload_ends_the_import() {
    runtime().block_on(async {
        let (near, far) = (near().await, FakeDistribution::start());
        far.lose_uploads(usize::MAX);
        let error = copy(&near, &far).await.unwrap_err();
        assert!(is_lost(&error), "{error}");
        assert!(far.begun_uploads() < 10);
    });
}

#[test]
fn an_image_whose_uploads_are_lost_does_not_end_the_others() {
    runtime().block_on(async {
        let near = near().await;
        near.image("other", Algorithm::Sha256, "y", &[vec![2; 10]], false, &["1"]).await;
        let bundle = export(&near, &options(&["**"])).await.unwrap();
        for way in [Way::File, Way::Pipe] {
            let far = FakeDistribution::start();
            far.lose_uploads(usize::MAX);
            let file = tempfile::NamedTempFile::new().unwrap();
            let reader = reader(&bundle, way, file.path()).await.unwrap();
            let options_of = ImportOptions { keep_going: true, ..import_options() };
            let target = RegistryTarget::new(far.client());
            let report = import(&reader, &target, &options_of, &Progress::default()).await.unwrap();
            let failed: Vec<&str> = report.failures.iter().map(|failure| failure.image.as_str()).collect();
            assert_eq!((report.imported, failed), (1, vec!["app:1"]), "{way:?}");
            assert!(report.failures[0].problem.contains("lost the upload"), "{report:?}");
        }
    });
}

#[test]
fn a_bundle_is_read_again_only_from_a_file() {
    runtime().block_on(async {
        let near = near().await;
        let bundle = export(&near, &options(&["**"])).await.unwrap();
        for way in [Way::File, Way::Pipe] {
            let far = FakeDistribution::start();
            far.lose_uploads(1);
            let file = tempfile::NamedTempFile::new().unwrap();
            let reader = reader(&bundle, way, file.path()).await.unwrap();
            let target = RegistryTarget::new(far.client());
            match import(&reader, &target, &import_options(), &Progress::default()).await {
                Ok(report) => assert_eq!((way, report.imported), (Way::File, 1)),
                Err(error) => assert!(way == Way::Pipe && is_lost(&error), "{way:?} {error}"),
            }
        }
    });
}
