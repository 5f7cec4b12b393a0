//! Pruning: a mirror loses the tags that its original no longer has, and nothing else.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod fake_distribution;
mod support;

use std::sync::Arc;

use fake_distribution::FakeDistribution;
use sampan_conformance::faulty::{Fault, Faulty};
use sampan_engine::caches::CachePrefixes;
use sampan_engine::oci::{Algorithm, Digest, Reference, Tag};
use sampan_engine::{Limits, Registry};
use sampan_transfer::{
    Error, LiveExport, Progress, PruneOutcome, PrunePlan, PruneReport, RegistrySource, RegistryTarget,
    Renames, Source, StoreSource, StoreTarget, Target, import, plan,
};
use support::{Store, Way, export, import_bytes, import_options, name, options, runtime};

/// A store whose configuration allows deletions.
fn target(store: &Store) -> StoreTarget {
    let limits = Limits { delete: true, ..Limits::default() };
    StoreTarget::new(Registry::builder(store.driver.clone()).limits(limits).build())
}

async fn tagged(store: &Store, repository: &str, tags: &[&str]) -> Digest {
    store.image(repository, Algorithm::Sha256, tags[0], &[], false, tags).await.digest
}

async fn tags(store: &Store, repository: &str) -> Vec<String> {
    let tags = store.source().tags(&name(repository)).await.unwrap().unwrap_or_default();
    tags.iter().map(ToString::to_string).collect()
}

/// The stale tags in `far` of an export of `near`.
async fn found(near: &Store, far: &Store, selectors: &[&str], renames: &Renames) -> Result<PrunePlan, Error> {
    let planned = plan(&near.source(), &options(selectors)).await.unwrap();
    PrunePlan::of(&planned.plan, &target(far), renames).await
}

fn outcomes(report: &PruneReport) -> Vec<(&str, PruneOutcome)> {
    report.tags.iter().map(|tag| (tag.tag.as_str(), tag.outcome)).collect()
}

/// Two whole repositories; the far side has more.
async fn sides() -> (Store, Store) {
    let (near, far) = (Store::new(), Store::new());
    tagged(&near, "app", &["1", "2"]).await;
    tagged(&near, "tools", &["x"]).await;
    let bundle = export(&near, &options(&["**"])).await.unwrap();
    import_bytes(&far, &bundle, Way::File, &import_options()).await.unwrap();
    tagged(&far, "app", &["0.9"]).await;
    tagged(&far, "app", &["0.8"]).await;
    tagged(&far, "other", &["keep"]).await;
    (near, far)
}

#[test]
fn tags_that_the_original_lacks_are_removed_and_nothing_else() {
    runtime().block_on(async {
        let (near, far) = sides().await;
        let stale = far.source().manifest(&name("app"), &"0.9".parse().unwrap()).await.unwrap().unwrap();
        let plan = found(&near, &far, &["**"], &Renames::default()).await.unwrap();
        let shown = plan.shown();
        assert_eq!(outcomes(&shown), [("app:0.8", PruneOutcome::Shown), ("app:0.9", PruneOutcome::Shown)]);
        assert_eq!(plan.large().map(|it| (it.name.as_str(), it.all)).collect::<Vec<_>>(), [("app", 4)]);
        assert_eq!(tags(&far, "app").await, ["0.8", "0.9", "1", "2"], "a plan removes nothing");
        let report = plan.apply(&target(&far)).await.unwrap();
        assert_eq!(
            outcomes(&report),
            [("app:0.8", PruneOutcome::Removed), ("app:0.9", PruneOutcome::Removed)]
        );
        assert_eq!(tags(&far, "app").await, ["1", "2"]);
        assert_eq!(
            (tags(&far, "tools").await, tags(&far, "other").await),
            (vec!["x".into()], vec!["keep".into()])
        );
        let by_digest = Reference::Digest(stale.digest);
        assert!(far.source().manifest(&name("app"), &by_digest).await.unwrap().is_some(), "manifests stay");
        let again = found(&near, &far, &["**"], &Renames::default()).await.unwrap();
        assert!(outcomes(&again.shown()).is_empty());
    });
}

#[test]
fn a_tag_that_changed_since_it_was_shown_stays() {
    runtime().block_on(async {
        let (near, far) = sides().await;
        let plan = found(&near, &far, &["**"], &Renames::default()).await.unwrap();
        let moved = far.image("app", Algorithm::Sha256, "moved", &[], false, &["0.9", "new"]).await.digest;
        let removed = target(&far);
        let old = plan.repositories[0].stale[0].clone();
        assert!(removed.delete_tag(&name("app"), &old.0, &old.1).await.unwrap());
        let report = plan.apply(&removed).await.unwrap();
        assert_eq!(
            outcomes(&report),
            [("app:0.8", PruneOutcome::Changed), ("app:0.9", PruneOutcome::Changed)]
        );
        assert_eq!(tags(&far, "app").await, ["0.9", "1", "2", "new"]);
        assert_eq!(removed.tag(&name("app"), &"0.9".parse().unwrap()).await.unwrap(), Some(moved));
    });
}

#[test]
fn a_tag_that_is_pushed_while_it_is_removed_stays() {
    runtime().block_on(async {
        let (near, far) = sides().await;
        for round in 0..50 {
            let plan = found(&near, &far, &["app"], &Renames::default()).await.unwrap();
            let target = target(&far);
            let new = format!("new {round}");
            let push = far.image("app", Algorithm::Sha256, &new, &[], false, &["0.9", "0.8"]);
            let (report, pushed) = tokio::join!(plan.apply(&target), push);
            report.unwrap();
            for tag in ["0.8", "0.9"] {
                let found = target.tag(&name("app"), &tag.parse().unwrap()).await.unwrap();
                assert_eq!(found.as_ref(), Some(&pushed.digest), "round {round}");
            }
        }
    });
}

#[test]
fn a_pruning_that_broke_off_goes_on_when_it_is_repeated() {
    runtime().block_on(async {
        for fails_at in 1.. {
            let (near, far) = sides().await;
            let plan = found(&near, &far, &["**"], &Renames::default()).await.unwrap();
            let faulty = Arc::new(Faulty::new(far.driver.clone(), Fault::CrashBefore, fails_at));
            let broken = plan.apply(&target(&Store::over(faulty.clone()))).await;
            assert_eq!(broken.is_err(), faulty.has_failed(), "operation {fails_at}");
            let again = found(&near, &far, &["**"], &Renames::default()).await.unwrap();
            again.apply(&target(&far)).await.unwrap();
            assert_eq!(tags(&far, "app").await, ["1", "2"], "operation {fails_at}");
            if !faulty.has_failed() {
                break;
            }
        }
    });
}

#[test]
fn a_repository_that_is_not_whole_keeps_its_tags() {
    runtime().block_on(async {
        let (near, far) = sides().await;
        let plan = found(&near, &far, &["app:1", "tools"], &Renames::default()).await.unwrap();
        assert_eq!(plan.incomplete, [name("app")]);
        assert!(outcomes(&plan.shown()).is_empty());
        let error = found(&near, &far, &["app:1"], &Renames::default()).await.unwrap_err().to_string();
        assert!(error.contains("no repository is whole") && error.contains("--exclude"), "{error}");
        // Two repositories become one, and one of them is not whole.
        let one = Renames::new(["app=all", "tools=all"].map(|rule| rule.parse().unwrap()).into());
        tagged(&far, "all", &["stale"]).await;
        let error = found(&near, &far, &["app:1", "tools"], &one).await.unwrap_err();
        assert!(matches!(error, Error::NotComplete(_)));
        let both = found(&near, &far, &["app", "tools"], &one).await.unwrap();
        assert_eq!(outcomes(&both.shown()), [("all:stale", PruneOutcome::Shown)]);
    });
}

#[test]
fn a_repository_of_a_cache_is_never_whole() {
    runtime().block_on(async {
        let near = Store::new();
        for repository in ["hub/app", "own"] {
            near.image(repository, Algorithm::Sha256, "x", &[], false, &["1"]).await;
        }
        let caches = CachePrefixes::below([name("hub")]);
        let source = StoreSource::new(Registry::builder(near.driver.clone()).caches(caches).build());
        let planned = plan(&source, &options(&["**"])).await.unwrap();
        let repositories = planned.plan.repositories.iter();
        let complete: Vec<_> = repositories.map(|it| (it.name.as_str(), it.complete)).collect();
        assert_eq!(complete, [("hub/app", false), ("own", true)]);
    });
}

#[test]
fn a_bundle_without_some_platforms_prunes_nothing() {
    runtime().block_on(async {
        let near = Store::new();
        let one = near.image("app", Algorithm::Sha256, "one", &[], false, &[]).await;
        let two = near.image("app", Algorithm::Sha256, "two", &[], false, &[]).await;
        near.index("app", &[one, two], &["1"]).await;
        let mut options = options(&["app"]);
        options.platforms = vec!["linux/amd64".parse().unwrap()];
        let planned = plan(&near.source(), &options).await.unwrap();
        assert!(planned.plan.repositories[0].complete);
        let error = PrunePlan::of(&planned.plan, &target(&near), &Renames::default()).await.unwrap_err();
        assert!(error.to_string().contains("lacks platforms of images of app"), "{error}");
    });
}

#[test]
fn fallback_tags_of_carried_manifests_stay_and_others_go() {
    runtime().block_on(async {
        let (near, far) = sides().await;
        let fallback = |digest: &Digest| digest.to_string().replacen(':', "-", 1);
        let target = target(&far);
        let digest =
            async |tag: &str| target.tag(&name("app"), &tag.parse::<Tag>().unwrap()).await.unwrap().unwrap();
        let (kept, stale) = (fallback(&digest("1").await), fallback(&digest("0.9").await));
        for tag in [kept.clone(), format!("{kept}.sig"), stale.clone(), format!("{stale}.sig")] {
            tagged(&far, "app", &[&tag]).await;
        }
        let plan = found(&near, &far, &["**"], &Renames::default()).await.unwrap();
        let names: Vec<String> = plan.shown().tags.iter().map(|tag| tag.tag.clone()).collect();
        assert_eq!(
            names,
            ["app:0.8".to_owned(), "app:0.9".to_owned(), format!("app:{stale}"), format!("app:{stale}.sig")]
        );
    });
}

#[test]
fn a_store_that_forbids_deletions_says_how_to_allow_them() {
    let store = Store::new();
    let error = StoreTarget::new(store.registry()).check_deletable().unwrap_err().to_string();
    assert!(error.contains("storage.delete.enabled"), "{error}");
    target(&store).check_deletable().unwrap();
}

#[test]
fn a_repository_without_a_list_of_tags_is_not_whole() {
    runtime().block_on(async {
        let (near, registry) = (Store::new(), FakeDistribution::start());
        tagged(&near, "app", &["1"]).await;
        let planned = plan(&near.source(), &options(&["**"])).await.unwrap();
        let live = LiveExport::new(Arc::new(near.source()), planned).unwrap();
        let target_of_registry = RegistryTarget::new(registry.client());
        import(&live, &target_of_registry, &import_options(), &Progress::default()).await.unwrap();
        // The catalog has it, and a request for its tags is answered by 404.
        let source = RegistrySource::new(registry.client(), None);
        let planned = plan(&source, &options(&["**"])).await.unwrap();
        let [repository] = &planned.plan.repositories[..] else { panic!("{:?}", planned.plan.repositories) };
        assert_eq!((repository.name.as_str(), repository.complete), ("app", false));
        let pruned = PrunePlan::of(&planned.plan, &target(&near), &Renames::default()).await;
        assert!(matches!(pruned, Err(Error::NotComplete(_))), "{pruned:?}");
    });
}
