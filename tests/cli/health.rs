//! The health checks of a running registry.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use super::debug_listener::debug;
use crate::clients::support::{RegistryProcess, Wire, filesystem_config, registry};

fn config(directory: &Path, health: &str) -> String {
    let config = filesystem_config(&directory.join("data"))
        .replace("http: {", "http: {debug: {addr: '127.0.0.1:0'}, ");
    format!("{config}health: {health}\n")
}

/// Asks the debug listener again and again until it answers with this status and a body that will do.
///
/// On a busy machine a check may take too long once: its answer says so, and the next one is the expected answer.
fn wait_for(registry: &RegistryProcess, status: u16, will_do: impl Fn(&str) -> bool) {
    let debug = debug(registry);
    loop {
        let answer = Wire::connect(debug).send("GET", "/debug/health", &[], b"");
        if answer.status == status && will_do(&String::from_utf8(answer.body).unwrap()) {
            return;
        }
        // Looking at it again is all there is to do; it changes with the next look of the check.
        std::thread::yield_now();
    }
}

#[test]
fn a_file_takes_the_registry_out_of_service() {
    let directory = tempfile::tempdir().unwrap();
    let down = directory.path().join("down");
    let health = format!("{{file: [{{file: {}, interval: 200ms}}]}}", down.display());
    let registry = registry(directory.path(), &config(directory.path(), &health));
    wait_for(&registry, 200, |body| body == "{}");
    fs::write(&down, "").unwrap();
    let expected = format!("{{\"{}\":\"file exists\"}}", down.display());
    wait_for(&registry, 503, |body| body == expected);
    assert_eq!(registry.wire().send("GET", "/v2/", &[], b"").status, 503);
    assert_eq!(registry.wire().send("GET", "/", &[], b"").status, 200);
    fs::remove_file(&down).unwrap();
    wait_for(&registry, 200, |body| body == "{}");
    assert_eq!(registry.wire().send("GET", "/v2/", &[], b"").status, 200);
}

#[test]
fn a_store_that_has_gone_is_noticed_and_so_is_its_return() {
    let directory = tempfile::tempdir().unwrap();
    let health = "{storagedriver: {enabled: true, interval: 200ms, threshold: 3}}";
    let registry = registry(directory.path(), &config(directory.path(), health));
    wait_for(&registry, 200, |body| body == "{}");
    let (data, away) = (directory.path().join("data"), directory.path().join("away"));
    fs::rename(&data, &away).unwrap();
    wait_for(&registry, 503, |body| {
        body.starts_with("{\"storagedriver_filesystem\":") && body.contains("is gone or is not the one")
    });
    fs::rename(&away, &data).unwrap();
    wait_for(&registry, 200, |body| body == "{}");
}

/// Such as the mount point of a disk that is not mounted: nothing is written there, so all is not well.
#[test]
fn a_store_in_whose_place_is_another_takes_the_registry_out_of_service() {
    let directory = tempfile::tempdir().unwrap();
    let health = "{storagedriver: {enabled: true, interval: 200ms, threshold: 3}}";
    let registry = registry(directory.path(), &config(directory.path(), health));
    wait_for(&registry, 200, |body| body == "{}");
    let (data, away) = (directory.path().join("data"), directory.path().join("away"));
    fs::rename(&data, &away).unwrap();
    fs::create_dir(&data).unwrap();
    wait_for(&registry, 503, |body| body.contains("is not the one that was opened"));
    assert_eq!(registry.wire().send("GET", "/readyz", &[], b"").status, 503);
    assert_eq!(registry.wire().send("GET", "/v2/", &[], b"").status, 503);
    fs::remove_dir(&data).unwrap();
    fs::rename(&away, &data).unwrap();
    wait_for(&registry, 200, |body| body == "{}");
}

#[test]
fn other_servers_are_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let other = other(directory.path());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // The first look is at once; the interval is only how long it may take.
    let health = format!(
        "{{tcp: [{{addr: '{address}', interval: 60s}}, {{addr: '{closed}', interval: 60s, timeout: 30s}}], \
         http: [{{uri: 'http://{address}/v2/', interval: 60s}}, \
         {{uri: 'http://{address}/nowhere', interval: 60s}}]}}",
        address = other.address
    );
    fs::create_dir(directory.path().join("second")).unwrap();
    let registry = registry(&directory.path().join("second"), &config(directory.path(), &health));
    let refused = format!("\"{closed}\":\"connection to {closed} failed: ");
    let nowhere = format!(
        "\"http://{}/nowhere\":\"downstream service returned unexpected status: 404\"",
        other.address
    );
    wait_for(&registry, 503, |body| {
        body.contains(&refused) && body.contains(&nowhere) && body.matches("\":\"").count() == 2
    });
}

/// Something to look at.
fn other(directory: &Path) -> RegistryProcess {
    registry(directory, &filesystem_config(&directory.join("other")))
}

#[test]
fn below_the_floor_no_upload_begins() {
    let directory = tempfile::tempdir().unwrap();
    let health = "{diskspace: {enabled: true, floor: 9000000GiB, interval: 200ms}}";
    let registry = registry(directory.path(), &config(directory.path(), health));
    registry.process.wait_to_say("refusing new uploads");
    let refused = registry.wire().send("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!(refused.status, 503);
    assert!(String::from_utf8_lossy(&refused.body).contains("health.diskspace.floor"), "{refused:?}");
    assert_eq!(registry.wire().send("GET", "/v2/", &[], b"").status, 200);
    wait_for(&registry, 200, |body| body == "{}");
}
