//! The registry that verifies its store by itself: what it logs, shows and sends.

use std::fs;

use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use serde_json::Value;
use time::OffsetDateTime;

use super::debug_listener::{debug, get};
use super::verify_command::{obstruct, site, verify};
use crate::clients::support::{Receiver, filesystem_config, registry};
use crate::support::StoreFiles;

#[test]
fn the_running_registry_verifies_once_it_is_told_to() {
    let (site, digest, path) = site();
    let config = filesystem_config(&site.path().join("data"));
    let registry = registry(site.path(), &config);
    fs::write(&path, "short").unwrap();
    let blob = format!("/v2/other/blobs/{digest}");
    assert_eq!(registry.wire().send("HEAD", &blob, &[], b"").status, 200);
    fs::write(site.path().join("sampan.yml"), format!("{config}verify: {{enabled: true, cycle: 24h}}\n"))
        .unwrap();
    registry.process.signal("HUP");
    registry.process.wait_for(|line| line.contains("SIGHUP: applied: verify").then_some(()));
    let told = registry.process.wait_for(|line| line.contains("verification: ").then(|| line.to_owned()));
    for expected in [
        "is damaged: its 5 bytes hash to",
        "moved to /docker/registry/sampan/damaged/",
        "other:v1, team/app:v1",
    ] {
        assert!(told.contains(expected), "{told}");
    }
    assert_eq!(registry.wire().send("HEAD", &blob, &[], b"").status, 404, "a push sends it again");
}

#[test]
fn the_debug_page_says_what_the_verification_does_and_found() {
    let (site, digest, path) = site();
    let config = filesystem_config(&site.path().join("data"))
        .replace("http: {", "http: {debug: {addr: '127.0.0.1:0'}, ");
    let registry = registry(site.path(), &config);
    let debug = debug(&registry);
    let state = || serde_json::from_str::<Value>(&get(debug, "/debug/verify")).unwrap();
    let idle = state();
    assert_eq!((&idle["enabled"], &idle["read_only"]), (&false.into(), &false.into()), "{idle}");
    for nothing in ["running", "cycle", "last_cycle", "structure_read", "progress_error", "last"] {
        assert_eq!(idle[nothing], Value::Null, "{idle}");
    }
    // The progress of a command is that of the store.
    assert_eq!(verify(site.path(), "").code, Some(0));
    let hashed = state();
    let (before, last) = (&hashed["last_cycle"], &hashed["last"]);
    assert_eq!(
        (&before["blobs"], &before["damaged"], last),
        (&7.into(), &0.into(), &Value::Null),
        "{hashed}"
    );
    assert!(before["share"] == 1.0 && before["ended"].as_str().unwrap().ends_with('Z'), "{hashed}");

    fs::write(&path, "short").unwrap();
    // Each part may hash everything that is left of a cycle that has begun long ago.
    let begun = br#"{"cycle":{"begun_ms":1000000}}"#;
    let progress = site.path().join("data").join(&Entry::Verification.path().as_str()[1..]);
    fs::write(&progress, begun).unwrap();
    fs::write(site.path().join("sampan.yml"), format!("{config}verify: {{enabled: true, cycle: 24h}}\n"))
        .unwrap();
    registry.process.signal("HUP");
    registry.process.wait_to_say("verification: ");
    // The log has it before the page does.
    let found = loop {
        let state = state();
        if state["running"].is_null() && !state["last"].is_null() {
            break state;
        }
    };
    assert_eq!((&found["enabled"], &found["repair"]), (&true.into(), &true.into()), "{found}");
    assert_eq!((&found["last"]["outcome"], &found["last"]["ending"]), (&"done".into(), &"finished".into()));
    let problem = &found["found"][0];
    assert_eq!((&problem["problem"], &problem["digest"]), (&"damaged".into(), &digest.to_string().into()));
    assert!(problem["outcome"]["moved_aside"].is_string(), "{found}");
    assert_eq!(problem["needed_by"][1]["repository"], "team/app", "{found}");
    assert_eq!(problem["needed_by"][1]["tags"], serde_json::json!(["v1"]), "{found}");
    let cycle = &found["last_cycle"];
    assert_eq!((&cycle["blobs"], &cycle["damaged"], &cycle["healed"]), (&7.into(), &1.into(), &0.into()));
}

#[test]
fn the_running_registry_reports_what_it_cannot_write() {
    let (site, _, path) = site();
    obstruct(site.path());
    fs::write(&path, "short").unwrap();
    // The part hashes everything.
    let progress = StoreFiles::new(&site.path().join("data")).path(&Entry::Verification);
    fs::create_dir_all(progress.parent().unwrap()).unwrap();
    fs::write(&progress, br#"{"cycle":{"begun_ms":1000000}}"#).unwrap();
    let config = filesystem_config(&site.path().join("data"));
    let registry = registry(site.path(), &format!("{config}verify: {{enabled: true, cycle: 24h}}\n"));
    registry.process.wait_for(|line| line.contains("; moved to /").then_some(()));
    registry.process.wait_for(|line| line.contains("; left as it is: ").then_some(()));
}

#[test]
fn damage_is_sent_to_the_endpoints_that_want_it() {
    let (site, digest, path) = site();
    let (portal, deaf) = (Receiver::start(), Receiver::start());
    let endpoints = format!(
        "notifications: {{endpoints: [{{name: portal, url: '{}'}}, {{name: deaf, url: '{}', ignore: {{actions: [damage]}}}}]}}\n",
        portal.url(),
        deaf.url()
    );
    let config = filesystem_config(&site.path().join("data"))
        .replace("http: {", "http: {debug: {addr: '127.0.0.1:0'}, ")
        + &endpoints;
    let registry = registry(site.path(), &config);
    let debug = debug(&registry);
    let done = |number: usize| {
        // Each run is another part, which hashes what is left of a cycle that began long ago.
        let progress = site.path().join("data").join(&Entry::Verification.path().as_str()[1..]);
        fs::create_dir_all(progress.parent().unwrap()).unwrap();
        fs::write(&progress, br#"{"cycle":{"begun_ms":1000000}}"#).unwrap();
        _ = fs::remove_dir_all(progress.with_file_name("turns"));
        let verify = format!("{config}verify: {{enabled: true, cycle: {}h}}\n", 23 + number);
        fs::write(site.path().join("sampan.yml"), verify).unwrap();
        let before = serde_json::from_str::<Value>(&get(debug, "/debug/verify")).unwrap()["last"].clone();
        registry.process.signal("HUP");
        loop {
            let state: Value = serde_json::from_str(&get(debug, "/debug/verify")).unwrap();
            // The structure counts as read once the last write of the part is over.
            let is_over = state["running"].is_null() && !state["structure_read"].is_null();
            if is_over && state["last"] != before {
                assert_eq!(state["last"]["outcome"], "done", "{state}");
                break;
            }
        }
    };
    done(1);
    fs::write(&path, "short").unwrap();
    done(2);
    let blob = format!("/v2/other/blobs/{digest}");
    assert_eq!(registry.wire().send("HEAD", &blob, &[], b"").status, 404);
    let location = registry.wire().send("POST", "/v2/app/blobs/uploads/", &[], b"").location();
    let put = format!(
        "{location}{}digest={}",
        if location.contains('?') { '&' } else { '?' },
        Digest::sha256_of(b"x")
    );
    assert_eq!(registry.wire().send("PUT", &put, &[], b"x").status, 201);
    // The push is behind everything that the verifications sent.
    let events = portal.events(3);
    let target = |event: &Value| event["target"].clone();
    for (event, repository) in events.iter().zip(["other", "team/app"]) {
        assert_eq!(event["action"], "damage", "{event}");
        assert_eq!(target(event), serde_json::json!({ "digest": digest, "repository": repository }));
        let empty = serde_json::json!({ "id": "", "method": "", "useragent": "" });
        assert_eq!((&event["request"], &event["actor"]), (&empty, &serde_json::json!({})));
    }
    assert_eq!((&events[2]["action"], &deaf.events(1)[0]["action"]), (&"push".into(), &"push".into()));
}

#[test]
fn the_time_of_the_last_cycle_is_known_from_the_start() {
    let (site, ..) = site();
    let hour = OffsetDateTime::now_utc().hour();
    let closed = format!("{:02}:00-{:02}:00", (hour + 6) % 24, (hour + 8) % 24);
    let config = filesystem_config(&site.path().join("data"))
        .replace("http: {", "http: {debug: {addr: '127.0.0.1:0', prometheus: {enabled: true}}, ");
    let config = format!("{config}verify: {{enabled: true, window: '{closed}'}}\n");
    let read = |debug| {
        let metrics = get(debug, "/metrics");
        let value = metrics.lines().find_map(|line| line.strip_prefix(METRIC)?.trim().parse::<f64>().ok());
        value.unwrap_or_else(|| panic!("{METRIC} is not there: {metrics}"))
    };
    let begun = OffsetDateTime::now_utc().unix_timestamp() as f64;
    let first = registry(site.path(), &config);
    let since = read(debug(&first));
    assert!(since >= begun && since < begun + 3600.0, "{since}, started at {begun}");
    drop(first);
    // A cycle that continues, and one that has ended.
    for (progress, expected) in [
        (r#"{"cycle":{"begun_ms":1000000}}"#, 1000.0),
        (r#"{"cycle":{"begun_ms":3000000},"last":{"begun_ms":1000000,"ended_ms":2000000}}"#, 2000.0),
    ] {
        let path = site.path().join("data").join(&Entry::Verification.path().as_str()[1..]);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, progress).unwrap();
        let registry = registry(site.path(), &config);
        let debug = debug(&registry);
        while read(debug) != expected {}
    }
}

const METRIC: &str = "sampan_verify_last_cycle_timestamp_seconds ";

/// At this rate the large blob takes a minute, and a repair comes last.
#[test]
fn a_registry_that_becomes_read_only_ends_its_verification_and_changes_nothing() {
    let (site, _, path) = site();
    let store = StoreFiles::new(&site.path().join("data"));
    store.blob("large".repeat(1 << 20));
    fs::write(&path, "short").unwrap();
    let progress = store.path(&Entry::Verification);
    fs::create_dir_all(progress.parent().unwrap()).unwrap();
    fs::write(&progress, br#"{"cycle":{"begun_ms":1000000}}"#).unwrap();
    let config = filesystem_config(&site.path().join("data"))
        .replace("http: {", "http: {debug: {addr: '127.0.0.1:0'}, ");
    let config = format!("{config}verify: {{enabled: true, cycle: 24h, rate: 64KiB}}\n");
    let registry = registry(site.path(), &config);
    let debug = debug(&registry);
    let state = || serde_json::from_str::<Value>(&get(debug, "/debug/verify")).unwrap();
    let has_begun = || store.entries().iter().any(|entry| matches!(entry, Entry::VerificationTurn(_)));
    while !has_begun() {}
    let read_only = config.replace("  delete:", "  maintenance: {readonly: {enabled: true}}\n  delete:");
    fs::write(site.path().join("sampan.yml"), read_only).unwrap();
    registry.process.signal("HUP");
    registry.process.wait_to_say("read-only mode is on");
    let files = || (store.files(), fs::read(&progress).unwrap());
    let before = files();
    let ended = loop {
        let state = state();
        if state["running"].is_null() && !state["last"].is_null() {
            break state;
        }
    };
    assert_eq!(ended["last"]["ending"], "stopped", "{ended}");
    assert_eq!(files(), before, "{ended}");
    assert!(path.exists());
}
