//! Imports into a registry without the referrers API: manifests are attached by fallback tags.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod fake_distribution;
mod support;

use std::collections::HashSet;
use std::sync::Arc;

use fake_distribution::FakeDistribution;
use sampan_engine::oci::{Algorithm, Digest};
use sampan_transfer::{
    ImportOptions, ImportReport, LiveExport, Progress, RegistryTarget, Result, TagPolicy, Target, import,
    plan,
};
use serde_json::json;
use support::{Store, descriptor, import_options, options, runtime};

async fn copy(near: &Store, far: &FakeDistribution) -> Result<ImportReport> {
    copy_with(near, far, &import_options()).await
}

async fn copy_with(
    near: &Store,
    far: &FakeDistribution,
    import_options: &ImportOptions,
) -> Result<ImportReport> {
    let planned = plan(&near.source(), &options(&["**"])).await.unwrap();
    let live = LiveExport::new(Arc::new(near.source()), planned).unwrap();
    let target = RegistryTarget::new(far.client());
    import(&live, &target, import_options, &Progress::default()).await
}

fn fallback_tag(digest: &Digest) -> String {
    digest.to_string().replacen(':', "-", 1)
}

#[test]
fn a_referrer_whose_fallback_tag_was_not_written_is_attached_by_the_repetition() {
    runtime().block_on(async {
        let (near, far) = (Store::new(), FakeDistribution::start());
        let image = near.image("app", Algorithm::Sha256, "x", &[vec![1; 10]], false, &["1"]).await;
        let one = near.referrer("app", &image, "one", &[]).await;
        let two = near.referrer("app", &image, "two", &[]).await;
        far.refuse_fallback_tags(true);
        copy(&near, &far).await.unwrap_err();
        far.refuse_fallback_tags(false);
        let report = copy(&near, &far).await.unwrap();
        assert_eq!((report.imported, report.unchanged), (1, 0));
        let mut expected = [one.digest.to_string(), two.digest.to_string()];
        expected.sort();
        assert_eq!(far.entries("app", &fallback_tag(&image.digest)), expected);

        let writes = far.manifest_writes();
        let report = copy(&near, &far).await.unwrap();
        assert_eq!((report.imported, report.unchanged), (0, 1));
        assert_eq!(far.manifest_writes(), writes);
    });
}

#[test]
fn a_list_of_referrers_is_merged_with_the_one_that_is_there() {
    runtime().block_on(async {
        let (near, far) = (Store::new(), FakeDistribution::start());
        let image = near.image("app", Algorithm::Sha256, "x", &[vec![1; 10]], false, &["1"]).await;
        let one = near.referrer("app", &image, "one", &[]).await;
        let tag = fallback_tag(&image.digest);
        let list = async |referrers: &[&support::Image]| {
            let entry = |it: &&support::Image| {
                descriptor("application/vnd.oci.image.manifest.v1+json", &it.digest, it.len)
            };
            let entries: Vec<_> = referrers.iter().map(entry).collect();
            let index = json!({
                "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries,
            });
            near.manifest("app", Algorithm::Sha256, &index, &[&tag]).await
        };
        let listed = list(&[&one]).await;
        copy(&near, &far).await.unwrap();
        let target = RegistryTarget::new(far.client());
        let (name, parsed) = (support::name("app"), tag.parse().unwrap());
        assert_eq!(target.tag(&name, &parsed).await.unwrap(), Some(listed.digest));

        // Another client attaches something there, and the near side has something new as well.
        let other = Store::new();
        let same = other.image("app", Algorithm::Sha256, "x", &[vec![1; 10]], false, &["1"]).await;
        let foreign = other.referrer("app", &same, "foreign", &[]).await;
        copy(&other, &far).await.unwrap();
        let two = near.referrer("app", &image, "two", &[]).await;
        list(&[&one, &two]).await;
        let mut options = import_options();
        options.tags = TagPolicy::Fail;
        let report = copy_with(&near, &far, &options).await.unwrap();
        assert!(report.moved_tags.is_empty(), "{report:?}");
        let expected: HashSet<String> = [&one, &two, &foreign].map(|it| it.digest.to_string()).into();
        assert_eq!(far.entries("app", &tag).into_iter().collect::<HashSet<_>>(), expected);

        let writes = far.manifest_writes();
        let report = copy_with(&near, &far, &options).await.unwrap();
        assert_eq!((report.imported, report.unchanged, far.manifest_writes()), (0, 2, writes));
    });
}
