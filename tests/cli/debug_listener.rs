//! `http.debug.addr`: what those see who run the registry.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use crate::clients::support::{RegistryProcess, Wire, filesystem_config, registry};

/// A configuration with a debug listener and metrics.
fn config(directory: &Path) -> String {
    filesystem_config(&directory.join("data"))
        .replace("http: {", "http: {debug: {addr: '127.0.0.1:0', prometheus: {enabled: true}}, ")
}

/// Where the debug listener of a registry is.
pub(crate) fn debug(registry: &RegistryProcess) -> SocketAddr {
    let log = registry.process.log();
    let line = log.lines().find_map(|line| line.split_once("debug server listening ")).unwrap().1;
    line.split('"').next().unwrap().parse().unwrap()
}

#[track_caller]
pub(super) fn get(address: SocketAddr, path: &str) -> String {
    let answer = Wire::connect(address).send("GET", path, &[], b"");
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    String::from_utf8(answer.body).unwrap()
}

#[test]
fn it_tells_of_health_metrics_and_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(
        directory.path(),
        &config(directory.path()).replace("http: {", "http: {secret: dont-tell, "),
    );
    let debug = debug(&registry);
    assert_eq!(get(debug, "/debug/health"), "{}");
    let shown = get(debug, "/debug/config");
    assert!(shown.contains("secret: \"***\"") && !shown.contains("dont-tell"), "{shown}");
    assert!(shown.contains("rootdirectory:"), "{shown}");

    assert_eq!(registry.wire().send("GET", "/v2/", &[], b"").status, 200);
    let metrics = get(debug, "/metrics");
    for line in [
        "registry_http_requests_total{code=\"200\",handler=\"base\",method=\"get\"} 1",
        "registry_http_in_flight_requests{handler=\"blob_upload_chunk\"} 0",
        "registry_http_request_duration_seconds_count{handler=\"base\",method=\"get\"} 1",
        "sampan_http_sent_bytes_total{handler=\"base\"} 2",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    let lost = Wire::connect(debug).send("GET", "/debug/pprof/", &[], b"");
    assert_eq!(lost.status, 404);
    assert!(String::from_utf8(lost.body).unwrap().contains("/debug/health\n"), "what there is");
}

#[test]
fn it_is_on_until_the_last_transfer_has_ended() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path()).replace("http: {", "http: {draintimeout: 60s, ");
    let mut registry = registry(directory.path(), &config);
    let debug = debug(&registry);
    let mut wire = registry.wire();
    let location = wire.send("POST", "/v2/app/blobs/uploads/", &[], b"").location();
    wire.begin("PATCH", &location, &[], 4);
    wire.write(b"ab");
    while registry.wire().send("GET", &location, &[], b"").status != 409 {}
    registry.process.signal("TERM");
    registry.process.wait_for(|line| line.contains("shutting down, waiting").then_some(()));
    let metrics = get(debug, "/metrics");
    assert!(
        metrics.contains("registry_http_in_flight_requests{handler=\"blob_upload_chunk\"} 1"),
        "{metrics}"
    );
    wire.write(b"cd");
    assert_eq!(wire.finish("PATCH").status, 202);
    assert!(registry.process.wait().success());
}

#[test]
fn a_wide_open_one_is_warned_of() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let closed = registry(directory.path(), &config);
    assert!(!closed.process.log().contains("level=warning"), "{}", closed.process.log());
    let wide = config.replace("debug: {addr: '127.0.0.1:0'", "debug: {addr: ':0'");
    fs::remove_dir_all(directory.path().join("data")).unwrap();
    let open = registry(directory.path(), &wide);
    open.process.wait_to_say("needs no password");
}

#[test]
fn garbage_is_collected_when_somebody_asks_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = crate::support::StoreFiles::new(&directory.path().join("data"));
    store.blob("garbage");
    let registry = registry(
        directory.path(),
        &config(directory.path()).replace("storage:", "gc: {grace: 1m}\nstorage:"),
    );
    let debug = debug(&registry);
    let state = || serde_json::from_str::<serde_json::Value>(&get(debug, "/debug/gc")).unwrap();
    assert_eq!((&state()["scheduled"], &state()["last"]), (&false.into(), &serde_json::json!([])));
    let post = || Wire::connect(debug).send("POST", "/debug/gc", &[], b"");
    let begun = post();
    assert_eq!(begun.status, 202);
    let begun: serde_json::Value = serde_json::from_slice(&begun.body).unwrap();
    assert!(begun["requested"] == true || !begun["running"].is_null(), "{begun}");
    let again = post();
    assert_eq!(again.status, 409, "{again:?}");
    assert!(String::from_utf8(again.body).unwrap().contains("already running"));
    registry.process.wait_for(|line| line.contains("collected garbage").then_some(()));
    let last = &state()["last"][0];
    assert_eq!((&last["trigger"], &last["outcome"]), (&"request".into(), &"finished".into()));
    assert_eq!(last["report"]["blobs"], serde_json::json!({ "count": 1, "bytes": 7 }));
    let metrics = get(debug, "/metrics");
    for line in [
        "sampan_gc_runs_total{outcome=\"finished\"} 1",
        "sampan_gc_runs_total{outcome=\"failed\"} 0",
        "sampan_gc_running 0",
        "sampan_gc_candidates_total 1",
        "sampan_gc_deleted_blobs_total 1",
        "sampan_gc_freed_bytes_total 7",
        "sampan_gc_young_blobs 0",
        "sampan_gc_last_success_timestamp_seconds 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[test]
fn collections_are_switched_off_and_on_by_sighup_with_the_grace_of_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let config = |gc: &str| config(directory.path()).replace("storage:", &format!("gc: {gc}\nstorage:"));
    let registry = registry(directory.path(), &config("{enabled: true, interval: 100h}"));
    let debug = debug(&registry);
    let scheduled = || {
        let state: serde_json::Value = serde_json::from_str(&get(debug, "/debug/gc")).unwrap();
        (state["scheduled"].as_bool().unwrap(), state["grace_secs"].as_u64().unwrap())
    };
    let (day, path) = (86400, directory.path().join("sampan.yml"));
    assert_eq!(scheduled(), (true, day));
    for (gc, expected, found) in [
        ("{enabled: false}", "SIGHUP: applied: gc", (false, day)),
        ("{enabled: true, grace: 24h}", "SIGHUP: applied: gc", (true, day)),
        // Switched off at once; the grace waits.
        ("{enabled: false, grace: 1h}", "SIGHUP: applied: gc; gc waits for a restart", (false, day)),
        ("{enabled: true, grace: 1h}", "SIGHUP: nothing was applied; gc waits for a restart", (false, day)),
        ("{enabled: true}", "SIGHUP: applied: gc", (true, day)),
    ] {
        std::fs::write(&path, config(gc)).unwrap();
        registry.process.signal("HUP");
        let said = registry.process.wait_for(|line| line.contains("msg=\"SIGHUP: ").then(|| line.to_owned()));
        assert!(said.contains("reading"), "{said}");
        registry.process.wait_for(|line| line.contains(&format!("{expected}\"")).then_some(()));
        assert_eq!(scheduled(), found, "{gc}");
    }
}
