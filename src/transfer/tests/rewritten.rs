//! Exports that rewrite indexes, for registries that refuse one whose images are not all there.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod support;

use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::Config;
use sampan_engine::oci::{Algorithm, Digest, Manifest, Reference};
use sampan_transfer::{
    Error, ExportOptions, Exported, IndexPolicy, LiveExport, Progress, Source, StoreTarget, import, places,
    plan,
};
use support::recipes::{build, recipes};
use support::{Store, Way, assemble, export, import_bytes, import_options, name, options, runtime, sample};

fn rewriting(selectors: &[&str]) -> ExportOptions {
    ExportOptions {
        platforms: vec!["linux/amd64".parse().unwrap()],
        indexes: IndexPolicy::Rewrite,
        ..options(selectors)
    }
}

async fn tagged(store: &Store, repository: &str, tag: &str) -> (Digest, Manifest) {
    let found = store.source().manifest(&name(repository), &Reference::Tag(tag.parse().unwrap())).await;
    let found = found.unwrap().unwrap();
    (found.digest, Manifest::parse(&found.bytes, None).unwrap())
}

proptest! {
    #![proptest_config(Config::with_cases(24))]

    #[test]
    fn a_strict_registry_takes_every_rewritten_index(recipes in recipes(), by_pipe in any::<bool>()) {
        runtime().block_on(async {
            let (near, far, copied) = (build(&recipes).await, Store::new(), Store::new());
            let planned = plan(&near.source(), &rewriting(&["**"])).await.unwrap();
            // Layers that nothing holds are the only gaps, and those a strict registry takes.
            let gaps = planned.plan.images().flat_map(|(_, image)| &image.left_out);
            assert!(gaps.into_iter().all(|gap| gap.digest == Digest::sha256_of(b"foreign")));
            let bundle = export(&near, &rewriting(&["**"])).await.unwrap();
            assert!(export(&near, &rewriting(&["**"])).await.unwrap() == bundle, "the same images, the same bytes");
            let way = if by_pipe { Way::Pipe } else { Way::File };
            import_bytes(&far, &bundle, way, &import_options()).await.unwrap();
            // Everything is there, so that nothing is left to rewrite.
            let again = plan(&far.source(), &options(&["**"])).await.unwrap();
            prop_assert_eq!(&again.plan.rewritten, &[]);
            let old: HashSet<String> =
                planned.plan.rewritten.iter().map(|it| it.from.to_string().replacen(':', "-", 1)).collect();
            for repository in near.source().repositories().await.unwrap() {
                let tags = near.source().tags(&repository).await.unwrap().unwrap();
                let kept = tags.into_iter().filter(|tag| !old.contains(tag.as_str()));
                prop_assert_eq!(kept.collect::<Vec<_>>(), far.source().tags(&repository).await.unwrap().unwrap());
            }
            // A copy does the same without a file, and an export that continues makes the same bytes.
            let assembled = assemble(&planned);
            let live = LiveExport::new(Arc::new(near.source()), planned).unwrap();
            let target = StoreTarget::new(copied.registry());
            import(&live, &target, &import_options(), &Progress::default()).await.unwrap();
            prop_assert_eq!(copied.state().await, far.state().await);
            let found = places(&near.source(), assembled.plan()).await.unwrap();
            let content = Exported::new(Arc::new(near.source()), assembled.plan(), found).unwrap();
            let (start, mut rest) = (assembled.layout().head_len(), Vec::new());
            assembled.write(start..bundle.len() as u64, &content, &mut rest).await.unwrap();
            prop_assert!(rest == bundle[start as usize..]);
            Ok(())
        })?;
    }
}

#[test]
fn indexes_that_become_the_same_one_are_each_known() {
    runtime().block_on(async {
        let near = Store::new();
        let image = async |repository: &str, config: &str| {
            near.image(repository, Algorithm::Sha256, config, &[], false, &[]).await
        };
        // The same as it will be, beside others, and in an index that has its new digest.
        near.index("a", &[image("a", "one").await], &["1"]).await;
        near.index("b", &[image("b", "one").await, image("b", "two").await], &["1"]).await;
        let all = [image("c", "one").await, image("c", "two").await, image("c", "three").await];
        let inner = near.index("c", &all, &[]).await;
        near.index("c", &[inner, image("c", "two").await], &["1"]).await;
        for selectors in [&["**"][..], &["c", "b", "a"], &["b", "c"], &["c", "a"]] {
            let far = Store::new();
            let bundle = export(&near, &rewriting(selectors)).await.unwrap();
            import_bytes(&far, &bundle, Way::File, &import_options()).await.unwrap();
            let (digest, outer) = tagged(&far, "c", "1").await;
            assert_eq!(outer.manifests.len(), 1, "{selectors:?}");
            let planned = plan(&near.source(), &rewriting(selectors)).await.unwrap();
            let found = places(&near.source(), assemble(&planned).plan()).await.unwrap();
            assert!(found.contains_key(&digest) && found.contains_key(&outer.manifests[0].digest));
        }
    });
}

#[test]
fn a_new_index_has_both_digests_and_leaves_what_is_attached_to_the_old_one() {
    runtime().block_on(async {
        let (near, far) = (sample().await, Store::new());
        let (old, _) = tagged(&near, "team/app", "1.0").await;
        let planned = plan(&near.source(), &rewriting(&["**"])).await.unwrap();
        let [rewritten] = &planned.rewritten[..] else { panic!("{:?}", planned.rewritten) };
        assert_eq!((rewritten.image.as_str(), &rewritten.from), ("team/app:1.0", &old));
        // The scan, and the signature under its tag.
        assert_eq!(rewritten.left_out_referrers, 2);
        let bundle = export(&near, &rewriting(&["**"])).await.unwrap();
        import_bytes(&far, &bundle, Way::File, &import_options()).await.unwrap();
        let (new, index) = tagged(&far, "team/app", "latest").await;
        assert_eq!((&new, index.manifests.len()), (&rewritten.to, 1));
        let tags: Vec<String> = far
            .source()
            .tags(&name("team/app"))
            .await
            .unwrap()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(tags, ["1.0", "latest"]);
        // The SBOM of the image that is carried goes along.
        let referrers = far.source().referrers(&name("team/app"), &index.manifests[0].digest).await.unwrap();
        assert_eq!(referrers.len(), 1);
    });
}

#[test]
fn what_was_selected_by_its_digest_is_not_rewritten() {
    runtime().block_on(async {
        let near = sample().await;
        let (old, _) = tagged(&near, "team/app", "1.0").await;
        for selector in [format!("team/app@{old}"), format!("team/app:1.0@{old}")] {
            let error = plan(&near.source(), &rewriting(&[&selector])).await.unwrap_err();
            let Error::Image { image, problem } = &error else { panic!("{error}") };
            assert!(image.starts_with("team/app") && problem.contains("--rewrite-index"), "{error}");
        }
        // An image is no index, so its digest stays.
        let (_, index) = tagged(&near, "team/app", "1.0").await;
        let selector = format!("team/app@{}", index.manifests[1].digest);
        assert!(plan(&near.source(), &rewriting(&[&selector])).await.unwrap().rewritten.is_empty());
    });
}

#[test]
fn indexes_that_become_the_same_one_are_one_image_with_all_tags() {
    runtime().block_on(async {
        let (near, far) = (Store::new(), Store::new());
        for repository in ["a", "b"] {
            let image = near.image(repository, Algorithm::Sha256, "x", &[], false, &[]).await;
            for (number, tag) in ["1", "2"].into_iter().enumerate() {
                let other = format!("other {repository} {number}");
                let other = near.image(repository, Algorithm::Sha256, &other, &[], false, &[]).await;
                near.index(repository, &[image.clone(), other], &[tag]).await;
            }
            // The new index is in the source as well, with a signature that stays valid.
            let whole = near.index(repository, &[image], &["whole"]).await;
            near.referrer(repository, &whole, "signature", &[]).await;
        }
        let bundle = export(&near, &rewriting(&["**"])).await.unwrap();
        import_bytes(&far, &bundle, Way::File, &import_options()).await.unwrap();
        for repository in ["a", "b"] {
            let (whole, _) = tagged(&far, repository, "whole").await;
            for tag in ["1", "2"] {
                assert_eq!(tagged(&far, repository, tag).await.0, whole);
            }
            assert_eq!(far.source().referrers(&name(repository), &whole).await.unwrap().len(), 1);
        }
        let planned = plan(&near.source(), &rewriting(&["**"])).await.unwrap();
        let found = places(&near.source(), assemble(&planned).plan()).await.unwrap();
        assert!(planned.plan.contents.iter().all(|content| found.contains_key(&content.digest)));
    });
}
