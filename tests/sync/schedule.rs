//! The running registry runs its jobs by itself.

use std::time::Duration;

use sampan::maintenance::{Schedule, Syncer};
use sampan_driver::PutMode;
use sampan_engine::layout::Entry;
use serde_json::{Value, json};

use super::command::Fixture;
use super::support::copy_of_app;
use crate::cache::support::World;
use crate::clients::support::{RegistryProcess, Wire, registry};
use crate::support::Upstream;
use crate::support::hostile_server::Gate;

/// A job that is due all the time.
fn syncer(world: &World, interval: Duration) -> Syncer {
    let jobs = vec![(copy_of_app(), Schedule { interval, window: None })];
    Syncer::new(world.server.registry.clone(), world.caches.clone(), jobs)
}

/// Waits until the upstream was asked so often for its list of tags.
async fn runs(upstream: &Upstream, count: usize) {
    let lists = || upstream.seen().iter().filter(|seen| seen.path().contains("/tags/")).count();
    while lists() < count {
        tokio::task::yield_now().await;
    }
}

async fn state(syncer: &Syncer) -> Value {
    serde_json::to_value(syncer.state().await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_at_the_start_and_again_after_its_interval() {
    let world = World::new().await;
    world.upstream.image("app", "1.0", &[b"one"]);
    let syncer = syncer(&world, Duration::from_millis(100));
    tokio::select! {
        () = syncer.run() => unreachable!("it runs until it is dropped"),
        () = runs(&world.upstream, 3) => {}
    }
    world.assert_pullable("copy", "1.0").await;
    let (name, totals) = syncer.totals().next().unwrap();
    assert_eq!(name, "job");
    assert!(totals.whole >= 2 && totals.copied == 1 && totals.unchanged + 1 == totals.whole, "{totals:?}");
    assert!(totals.bytes > 0 && totals.last_whole.is_some(), "{totals:?}");
    let state = state(&syncer).await;
    assert_eq!(state[0]["running"], Value::Null, "what is dropped runs no more");
}

/// The image that moves meanwhile arrives, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_later_run_copies_what_is_new() {
    let world = World::new().await;
    world.upstream.image("app", "1.0", &[b"one"]);
    let syncer = syncer(&world, Duration::from_millis(50));
    let later = async {
        runs(&world.upstream, 1).await;
        world.upstream.image("app", "2.0", &[b"two"]);
        while world.tag("copy", "2.0").await.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = syncer.run() => unreachable!("it runs until it is dropped"),
        () = later => {}
    }
    world.assert_pullable("copy", "2.0").await;
}

/// Writes the record of a run that was killed long ago.
#[tokio::test(flavor = "multi_thread")]
async fn the_job_of_a_registry_that_was_killed_is_taken_over() {
    let world = World::new().await;
    world.upstream.image("app", "1.0", &[b"one"]);
    let path = Entry::SyncRun("job".parse().unwrap(), 7).path();
    let record = json!({ "begun_ms": 1000, "alive_ms": 2000 }).to_string();
    world.server.driver().put_content(&path, record.into(), PutMode::Create).await.unwrap();
    // Not due for years, had it ended.
    let syncer = syncer(&world, Duration::from_secs(5));
    let over = async {
        let mut last = Value::Null;
        while last["ended"].is_null() {
            tokio::task::yield_now().await;
            last = state(&syncer).await[0]["last"].clone();
        }
        last
    };
    let last = tokio::select! {
        () = syncer.run() => unreachable!("it runs until it is dropped"),
        last = over => last,
    };
    assert_eq!(last["report"]["copied"], 1, "{last}");
    world.assert_pullable("copy", "1.0").await;
    let files = world.server.files().await;
    let records: Vec<_> = files.iter().filter(|(path, _)| path.contains("/sync/")).collect();
    assert!(records.len() == 1 && records[0].0.ends_with("/8"), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_offline_runs_no_job_and_leaves_no_record() {
    let world = World::new().await;
    world.upstream.image("app", "1.0", &[b"one"]);
    world.caches.set_offline(true);
    let syncer = syncer(&world, Duration::from_millis(1));
    // The first attempt ends in a sleep of a minute.
    let passed = async {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = syncer.run() => unreachable!("it runs until it is dropped"),
        () = passed => {}
    }
    assert_eq!(world.upstream.requests(), [""; 0]);
    assert_eq!(world.server.files().await, []);
}

fn debug(registry: &RegistryProcess) -> std::net::SocketAddr {
    crate::cli::debug_listener::debug(registry)
}

fn get(address: std::net::SocketAddr, path: &str) -> String {
    let answer = Wire::connect(address).send("GET", path, &[], b"");
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    String::from_utf8(answer.body).unwrap()
}

const JOB: &str = "sync: [{name: apps, from: up, interval: 1m, repositories: [{from: app, to: copy/app}]}]\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_debug_listener_shows_a_job_and_other_processes_leave_it_alone() {
    let site = Fixture::new().await;
    let gate = Gate::new();
    let held = gate.clone();
    site.upstream.script(move |seen, honest| match seen.path().contains("/blobs/") {
        true => honest.behind(&held),
        false => honest,
    });
    let config = site
        .config(JOB)
        .replace("http: {", "http: {debug: {addr: '127.0.0.1:0', prometheus: {enabled: true}}, ");
    site.write(JOB);
    let registry = registry(site.directory.path(), &config);
    let debug = debug(&registry);
    gate.wait_for(1).await;
    let state = || serde_json::from_str::<Value>(&get(debug, "/debug/sync")).unwrap();
    let shown = state();
    assert_eq!(shown[0]["name"], "apps", "{shown}");
    assert_eq!(shown[0]["running"]["image"], "copy/app:1.0", "{shown}");
    assert_eq!(shown[0]["last"]["ended"], Value::Null, "{shown}");
    let refused = site.sync(3, &[]);
    assert!(refused.stderr.contains("is run by another process"), "{refused:?}");
    gate.open_for_all();
    registry.process.wait_to_say("job apps: 2 images copied, 0 were here");
    let metrics = get(debug, "/metrics");
    for line in [
        "sampan_sync_runs_total{sync=\"apps\",outcome=\"whole\"} 1",
        "sampan_sync_runs_total{sync=\"apps\",outcome=\"stopped\"} 0",
        "sampan_sync_images_total{sync=\"apps\",outcome=\"copied\"} 2",
        "sampan_sync_bytes_total{sync=\"apps\"} ",
        "sampan_sync_last_whole_timestamp_seconds{sync=\"apps\"} ",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    // The record is written after the line of the log.
    while site.read_record(0)["ended_ms"].is_null() {
        tokio::task::yield_now().await;
    }
    let shown = state();
    assert_eq!(shown[0]["last"]["report"]["copied"], 2, "{shown}");
    assert_eq!(registry.wire().send("GET", "/v2/copy/app/manifests/1.0", &[], b"").status, 200);
    site.sync(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_registries_over_a_store_one_runs_the_job() {
    let site = Fixture::new().await;
    site.write(JOB);
    let config = site.config(JOB);
    let other = site.path("other");
    std::fs::create_dir(&other).unwrap();
    let one = registry(site.directory.path(), &config);
    let two = registry(&other, &config);
    let done = "job apps: 2 images copied";
    let has_done = || [&one, &two].map(|registry| registry.process.log().contains(done));
    while has_done() == [false, false] {
        tokio::task::yield_now().await;
    }
    // A third process finds its record.
    while site.read_record(0)["ended_ms"].is_null() {
        tokio::task::yield_now().await;
    }
    site.sync(0, &[]);
    assert_ne!(has_done(), [true, true]);
    let lists = site.upstream.requests().iter().filter(|request| request.ends_with("/tags/list")).count();
    assert_eq!(lists, 2, "one registry and the command");
}

/// The next process continues at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_ends_while_a_job_runs() {
    let site = Fixture::new().await;
    site.write(JOB);
    let gate = Gate::new();
    let held = gate.clone();
    site.upstream.script(move |seen, honest| match seen.path().contains("/blobs/") {
        true => honest.behind(&held),
        false => honest,
    });
    let mut registry = registry(site.directory.path(), &site.config(JOB));
    gate.wait_for(1).await;
    assert!(registry.process.terminate().success(), "{}", registry.process.log());
    let record = site.read_record(0);
    assert_eq!(record["result"]["stopped"], "the registry was stopped", "{record}");
    assert!(record["ended_ms"].is_u64(), "{record}");
    gate.open_for_all();
    site.sync(0, &[]);
}
