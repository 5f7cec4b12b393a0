//! Failures that are the upstream's or a repository's, and what they end: the run, or that repository.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::support::{copy_of_app, entry, failures, job};
use crate::cache::support::{World, with_account};
use crate::support::hostile_server::Reply;
use crate::support::upstream::error;

/// Each further question could lock the account.
#[tokio::test]
async fn an_account_that_is_refused_everywhere_ends_the_run() {
    let world = World::with(|upstream, _| with_account(upstream)).await;
    world.upstream.answer_all(error(403, "DENIED"));
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let entries = names.map(|name| entry(name, None)).into();
    let report = world.sync(&job(entries)).await;
    assert!(report.stopped.as_ref().is_some_and(|reason| reason.contains("refuses")), "{report:?}");
    assert!(world.upstream.requests().len() <= 3, "{report:?}");
}

#[tokio::test]
async fn an_upstream_that_goes_away_in_the_middle_stops_the_run() {
    for away in [Reply::broken(), error(503, "UNAVAILABLE")] {
        let world = World::new().await;
        let tags: Vec<String> = (0..9).map(|number| number.to_string()).collect();
        for tag in &tags {
            world.upstream.image("app", tag, &[tag.as_bytes()]);
        }
        let blobs = Arc::new(AtomicUsize::new(0));
        let reply = away.clone();
        world.upstream.script(move |seen, honest| {
            let count = blobs.fetch_add(usize::from(seen.path().contains("/blobs/")), Ordering::Relaxed);
            if count < 5 { honest } else { reply.clone() }
        });
        let report = world.sync(&copy_of_app()).await;
        assert!(report.stopped.as_ref().is_some_and(|reason| reason.contains("upstream up")), "{report:?}");
        assert_eq!(report.retry_after_secs, None);
        let failures = failures(&report);
        let (rest, tried): (Vec<_>, Vec<_>) = failures.iter().partition(|it| it.contains(": not tried"));
        assert!((1..=2).contains(&report.copied) && tried.len() <= 3 && rest.len() <= 1, "{report:?}");
        world.upstream.behave();
        // It is left alone for a while.
        world.clock.advance(Duration::from_secs(600));
        let rest = world.whole(&copy_of_app()).await;
        assert_eq!(rest.copied + report.copied, 9);
        for tag in &tags {
            world.assert_pullable("copy", tag).await;
        }
    }
}

/// Fails if one repository keeps those after it from ever being copied.
#[tokio::test]
async fn a_repository_whose_images_all_fail_does_not_stop_the_others() {
    for failure in [error(500, "UNKNOWN"), Reply::broken()] {
        let world = World::new().await;
        for tag in ["a", "b", "c", "d", "e"] {
            world.upstream.image("bad", tag, &[tag.as_bytes()]);
        }
        world.upstream.image("app", "one", &[b"one"]);
        world.upstream.script(move |seen, honest| match seen.path().contains("/bad/manifests/") {
            true => failure.clone(),
            false => honest,
        });
        let entries = vec![entry("bad", Some("copy/bad")), entry("app", Some("copy"))];
        let report = world.sync(&job(entries)).await;
        assert_eq!((report.copied, report.failed, &report.stopped), (1, 4, &None), "{report:?}");
        let told = failures(&report);
        assert!(told[3].starts_with("copy/bad: not tried") && told[3].ends_with("2 more"), "{told:?}");
        world.assert_pullable("copy", "one").await;
    }
}

#[tokio::test]
async fn an_upstream_that_fails_for_each_of_three_repositories_stops_the_run() {
    let world = World::new().await;
    let names = ["a", "b", "c", "d"];
    for name in names {
        for tag in ["one", "two"] {
            world.upstream.image(name, tag, &[tag.as_bytes()]);
        }
    }
    world.upstream.script(|seen, honest| match seen.path().contains("/manifests/") {
        true => error(500, "UNKNOWN"),
        false => honest,
    });
    let report = world.sync(&job(names.map(|name| entry(name, None)).into())).await;
    assert_eq!((report.copied, report.failed), (0, 6), "{report:?}");
    assert!(report.stopped.as_ref().is_some_and(|reason| reason.contains("status 500")), "{report:?}");
    assert!(!world.upstream.requests().iter().any(|request| request.contains("/d/")));
}

/// The last image of a run cannot show that the upstream is there.
#[tokio::test]
async fn an_upstream_that_is_away_from_the_beginning_stops_the_run() {
    for away in [Reply::broken(), error(503, "UNAVAILABLE")] {
        let world = World::new().await;
        world.upstream.image("app", "one", &[b"one"]);
        world.upstream.answer_all(away);
        let report = world.sync(&copy_of_app()).await;
        assert!(report.stopped.is_some() && report.copied == 0, "{report:?}");
    }
}

#[tokio::test]
async fn too_many_requests_stop_the_run_until_the_upstream_wants() {
    for part in ["/tags/", "/manifests/", "/blobs/", "/referrers/"] {
        let world = World::new().await;
        for tag in ["a", "b", "c"] {
            world.upstream.image("app", tag, &[tag.as_bytes()]);
        }
        world.upstream.script(move |seen, honest| match seen.path().contains(part) {
            true => error(429, "TOOMANYREQUESTS").header("Retry-After", 1234),
            false => honest,
        });
        let report = world.sync(&copy_of_app()).await;
        assert_eq!((report.retry_after_secs, report.copied, report.failed), (Some(1234), 0, 0), "{part}");
        assert!(report.stopped.is_some_and(|reason| reason.contains("too many requests")), "{part}");
        assert!(world.upstream.requests().len() < 9, "{part}");
    }
}

/// Docker Hub says with each answer how many pulls are left.
#[tokio::test]
async fn a_job_stops_before_it_takes_the_pulls_that_are_kept_for_clients() {
    let world = World::new().await;
    for tag in ["a", "b", "c"] {
        world.upstream.image("app", tag, &[tag.as_bytes()]);
    }
    let left = Arc::new(AtomicUsize::new(7));
    let pulls = left.clone();
    world.upstream.script(move |seen, honest| {
        let is_pull = seen.method == "GET" && seen.path().contains("/manifests/");
        let left = pulls.fetch_sub(usize::from(is_pull), Ordering::Relaxed) - usize::from(is_pull);
        let header = format!("{left};w=21600");
        honest.header("RateLimit-Limit", "100;w=21600").header("RateLimit-Remaining", header)
    });
    let mut job = copy_of_app();
    job.reserve = 6;
    let report = world.sync(&job).await;
    assert_eq!((report.copied, report.failed, left.load(Ordering::Relaxed)), (1, 0, 6), "{report:?}");
    let reason = report.stopped.unwrap();
    assert!(reason.contains("6 pulls left"), "{reason}");
    // The image that is here is compared all the same.
    world.upstream.requests();
    let report = world.sync(&job).await;
    assert_eq!((report.unchanged, report.copied), (1, 0), "{report:?}");
    assert!(report.stopped.is_some());
    let asked = world.upstream.requests();
    assert!(asked.contains(&"HEAD /v2/app/manifests/b".to_owned()), "{asked:?}");
    assert!(!asked.iter().any(|request| request.starts_with("GET /v2/app/manifests/")), "{asked:?}");
    // More are left.
    left.store(50, Ordering::Relaxed);
    assert_eq!(world.whole(&job).await.copied, 2);
}
