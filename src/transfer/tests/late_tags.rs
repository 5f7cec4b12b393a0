//! Tags that clients set while an import runs.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod support;

use sampan_bundle::Reader;
use sampan_engine::oci::{Algorithm, Reference};
use sampan_transfer::{ImportOptions, Progress, Source, StoreTarget, TagPolicy, import};
use support::{Store, export, import_options, name, options, runtime};
use tokio::io::AsyncWriteExt;

#[test]
fn a_tag_that_is_set_during_an_import_is_treated_as_one_before_it() {
    runtime().block_on(async {
        let near = Store::new();
        near.image("app", Algorithm::Sha256, "first", &[vec![1; 100]], false, &["1"]).await;
        near.image("app", Algorithm::Sha256, "second", &[vec![2; 100_000]], false, &["2", "3"]).await;
        let bundle = export(&near, &options(&["app:1", "app:2", "app:3"])).await.unwrap();
        for policy in [TagPolicy::Keep, TagPolicy::Fail, TagPolicy::Move] {
            let far = Store::new();
            if policy != TagPolicy::Fail {
                far.image("app", Algorithm::Sha256, "old", &[], false, &["3"]).await;
            }
            // The last bytes of the bundle come after the push.
            let (mut near_end, far_end) = tokio::io::duplex(1000);
            let (first, rest) = bundle.split_at(bundle.len() - 60_000);
            let send = async {
                near_end.write_all(first).await.unwrap();
                let pushed = far.image("app", Algorithm::Sha256, "pushed", &[], false, &["2"]).await;
                // The import may have ended.
                let _ = near_end.write_all(rest).await;
                drop(near_end);
                pushed
            };
            let (target, options) = (
                StoreTarget::new(far.registry()),
                ImportOptions { tags: policy, receipt: true, ..import_options() },
            );
            let read = async {
                let reader = Reader::from_pipe(far_end).await.unwrap();
                import(&reader, &target, &options, &Progress::default()).await
            };
            let (pushed, imported) = futures::join!(send, read);
            let tag = Reference::Tag("2".parse().unwrap());
            let there = far.source().manifest(&name("app"), &tag).await.unwrap().unwrap().digest;
            if policy == TagPolicy::Fail {
                let error = imported.unwrap_err().to_string();
                assert!(error.contains("app:2 exists already"), "{error}");
                assert_eq!(there, pushed.digest);
                continue;
            }
            let report = imported.unwrap();
            let change = report.moved_tags.iter().find(|change| change.tag == "app:2").unwrap();
            let is_kept = policy == TagPolicy::Keep;
            assert_eq!((&change.from, change.kept), (&pushed.digest, is_kept));
            assert_eq!(there == pushed.digest, is_kept);
            let named = report.receipt.iter().filter(|line| line.starts_with("app:")).count();
            assert_eq!((report.moved_tags.len(), named), (2, if is_kept { 1 } else { 3 }), "{report:?}");
        }
    });
}
