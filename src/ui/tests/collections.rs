//! The page of garbage collections.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Request, StatusCode};
use parking_lot::Mutex;
use sampan_engine::gc::Report;
use sampan_engine::oci::Digest;
use sampan_engine::verify::{self, Need, Problem, ProblemKind, RepairOutcome, Start};

use super::store::Store;
use crate::{
    CannotCollect, Collection, CollectionEnd, CollectionSchedule, Collections, FoundProblem, Housekeeping,
    Verifications,
};

const PAGE: &str = "/ui/-/collections";
const RUN: &str = "/ui/-/collections/run";

/// Remembers what was asked of it; refuses a second request.
#[derive(Debug, Default)]
struct Asked(Mutex<Vec<&'static str>>);

impl Asked {
    fn ask(&self, what: &'static str) -> Result<(), CannotCollect> {
        let mut asked = self.0.lock();
        if !asked.is_empty() {
            return Err(CannotCollect::Running);
        }
        asked.push(what);
        Ok(())
    }
}

impl Housekeeping for Asked {
    fn collections(&self) -> Collections {
        let report = Report { dry_run: true, manifests: 3, ..Report::default() };
        let ended = |is_dry_run, end| Collection {
            is_dry_run,
            begun: SystemTime::UNIX_EPOCH,
            duration: Duration::from_millis(1234),
            end,
        };
        Collections {
            schedule: Some(CollectionSchedule {
                interval: Duration::from_secs(86_400),
                window: Some("02:00-05:00".to_owned()),
            }),
            grace: Duration::from_secs(3600),
            delete_untagged: false,
            read_only: false,
            requested: !self.0.lock().is_empty(),
            running: None,
            last: vec![
                ended(true, CollectionEnd::Finished(Box::new(report))),
                ended(false, CollectionEnd::Failed("<b>disk</b> on fire".to_owned())),
                ended(true, CollectionEnd::Failed("again".to_owned())),
            ],
        }
    }

    fn collect(&self) -> Result<(), CannotCollect> {
        self.ask("collection")
    }

    fn dry_run(&self) -> Result<(), CannotCollect> {
        self.ask("dry run")
    }
}

#[tokio::test]
async fn a_collection_is_seen_and_begun() {
    let asked = Arc::new(Asked::default());
    let mut store = Store::open();
    store.ui = store.ui.with_housekeeping(Arc::clone(&asked) as _);
    let page = store.get(PAGE).await;
    assert_eq!(page.status, StatusCode::OK);
    let text = super::store::text_of(&page.text);
    for part in [
        "Every 1 d, between 02:00-05:00 UTC",
        "dry run 1.2 s 0 B Images: 3",
        "Failed &#60;b&#62;disk&#60;/b&#62; on fire",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(text.matches("dry run 1.2 s").count(), 2, "one that failed too: {text}");
    let token = page.token(RUN);
    let begun = store.post(RUN, "", &[("token", &token), ("mode", "run")]).await;
    assert_eq!((begun.status, begun.header("location")), (StatusCode::SEE_OTHER, PAGE));
    let again = store.post(RUN, "", &[("token", &token), ("mode", "run")]).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.text.contains("already running"), "{}", again.text);
    assert_eq!(*asked.0.lock(), ["collection"]);
    let (status, twin) = store.json(PAGE).await;
    assert_eq!((status, &twin["last"][0]["report"]["manifests"]), (StatusCode::OK, &serde_json::json!(3)));
}

#[tokio::test]
async fn anything_but_a_run_is_a_dry_run() {
    let asked = Arc::new(Asked::default());
    let mut store = Store::open();
    store.ui = store.ui.with_housekeeping(Arc::clone(&asked) as _);
    let token = store.get(PAGE).await.token(RUN);
    for form in [vec![], vec![("mode", "run")]] {
        let forged = store.send_with(Request::post(RUN).header("sec-fetch-site", "cross-site"), &form).await;
        assert_eq!(forged.status, StatusCode::FORBIDDEN);
    }
    assert!(asked.0.lock().is_empty());
    store.post(RUN, "", &[("token", &token), ("mode", "")]).await;
    assert_eq!(*asked.0.lock(), ["dry run"]);
}

#[tokio::test]
async fn a_view_of_a_part_has_no_collections() {
    let mut store = Store::with_users();
    store.ui = store.ui.with_housekeeping(Arc::new(Asked::default()));
    assert_eq!(store.get(PAGE).await.status, StatusCode::NOT_FOUND);
    let without = Store::open();
    assert_eq!(without.get(PAGE).await.status, StatusCode::NOT_FOUND);
    assert!(!without.get("/ui/").await.text.contains(PAGE));
    let mut verified = Store::with_users();
    verified.ui =
        verified.ui.with_housekeeping(Arc::new(Asked::default())).with_verifications(Arc::new(Found));
    let (status, twin) = verified.json(PAGE).await;
    assert!(status == StatusCode::NOT_FOUND && twin["verification"].is_null(), "{twin}");
}

/// A verifier that has found one problem.
#[derive(Debug)]
struct Found;

impl Verifications for Found {
    fn is_enabled(&self) -> bool {
        false
    }

    fn problems(&self) -> Vec<FoundProblem> {
        let need = |repository: &str, tags: &[&str]| Need {
            repository: repository.to_owned(),
            manifest: Digest::sha256_of(b"manifest"),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        };
        let problem = Problem {
            path: "/docker/<b>".to_owned(),
            kind: ProblemKind::Missing,
            digest: Some(Digest::sha256_of(b"layer")),
            needed_by: vec![need("app", &["v1", "v2"]), need("other", &[]), need("../odd", &[])],
            outcome: RepairOutcome::Left("there is no other copy".to_owned()),
        };
        vec![FoundProblem { at: SystemTime::UNIX_EPOCH, problem }]
    }
}

#[tokio::test]
async fn the_last_verification_and_what_is_damaged_are_shown() {
    let mut store = Store::open();
    store.ui = store.ui.with_housekeeping(Arc::new(Asked::default()));
    assert!(!store.get(PAGE).await.text.contains("Verification"));
    store.ui = store.ui.with_verifications(Arc::new(Found));
    let text = super::store::text_of(&store.get(PAGE).await.text);
    for part in ["Last verified as a whole Not completed yet", "does not verify its store by itself"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    store.image("app", Some("v1"), &serde_json::json!({}), &["layer"]).await;
    let options =
        verify::Options { structure: true, data: Some(Start::Beginning), ..verify::Options::default() };
    verify::verify(&store.registry, &options).await.unwrap();
    let page = store.get(PAGE).await;
    let text = super::store::text_of(&page.text);
    for part in [
        "blobs and manifests: 3,",
        "damaged or unreadable: 0",
        "/docker/&#60;b&#62;",
        "there is no other copy",
        "other@",
        "../odd@",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(page.text.contains(r#"<a href="/ui/app/-/tags/v1">app:v1</a>"#), "{}", page.text);
    let (_, twin) = store.json(PAGE).await;
    let verification = &twin["verification"];
    assert_eq!((&verification["last"]["blobs"], &verification["last"]["damaged"]), (&3.into(), &0.into()));
    assert!(verification["last"]["ended"].is_string() && verification["present"].is_null(), "{twin}");
    assert_eq!(verification["problems"][0]["problem"]["needed_by"][0]["repository"], "app");
}
