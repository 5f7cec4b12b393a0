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

/// Asks the debug listener again and again until it answers with this status.
fn wait_for_status(registry: &RegistryProcess, status: u16) -> String {
    let debug = debug(registry);
    loop {
        let answer = Wire::connect(debug).send("GET", "/debug/health", &[], b"");
        if answer.status == status {
            return String::from_utf8(answer.body).unwrap();
        }
        // Looking at it again is all there is to do; it changes with the next look of the check.
        std::thread::yield_now();
    }
}

#[test]
fn a_file_takes_the_registry_out_of_service() {
    let directory = tempfile::tempdir().unwrap();
    let down = directory.path().join("down");
    let health = format!("{{file: [{{file: {}, interval: 50ms}}]}}", down.display());
    let registry = registry(directory.path(), &config(directory.path(), &health));
    assert_eq!(wait_for_status(&registry, 200), "{}");
    fs::write(&down, "").unwrap();
    assert_eq!(wait_for_status(&registry, 503), format!("{{\"{}\":\"file exists\"}}", down.display()));
    assert_eq!(registry.wire().send("GET", "/v2/", &[], b"").status, 503);
    assert_eq!(registry.wire().send("GET", "/", &[], b"").status, 200);
    fs::remove_file(&down).unwrap();
    wait_for_status(&registry, 200);
    assert_eq!(registry.wire().send("GET", "/v2/", &[], b"").status, 200);
}

#[test]
fn a_store_that_has_gone_is_noticed_and_so_is_its_return() {
    let directory = tempfile::tempdir().unwrap();
    let health = "{storagedriver: {enabled: true, interval: 50ms, threshold: 3}}";
    let registry = registry(directory.path(), &config(directory.path(), health));
    wait_for_status(&registry, 200);
    let (data, away) = (directory.path().join("data"), directory.path().join("away"));
    fs::rename(&data, &away).unwrap();
    let seen = wait_for_status(&registry, 503);
    assert!(seen.starts_with("{\"storagedriver_filesystem\":") && seen.contains("No such file"), "{seen}");
    fs::rename(&away, &data).unwrap();
    wait_for_status(&registry, 200);
}

#[test]
fn other_servers_are_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let other = other(directory.path());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let health = format!(
        "{{tcp: [{{addr: '{address}', interval: 50ms}}, {{addr: '{closed}', interval: 50ms, timeout: 1s}}], \
         http: [{{uri: 'http://{address}/v2/', interval: 50ms}}, \
         {{uri: 'http://{address}/nowhere', interval: 50ms}}]}}",
        address = other.address
    );
    fs::create_dir(directory.path().join("second")).unwrap();
    let registry = registry(&directory.path().join("second"), &config(directory.path(), &health));
    let seen = loop {
        let seen = wait_for_status(&registry, 503);
        if seen.matches("\":\"").count() == 2 {
            break seen;
        }
    };
    assert!(seen.contains(&format!("\"{closed}\":\"connection to {closed} failed: ")), "{seen}");
    let nowhere = format!(
        "\"http://{}/nowhere\":\"downstream service returned unexpected status: 404\"",
        other.address
    );
    assert!(seen.contains(&nowhere), "{seen}");
}

/// Something to look at.
fn other(directory: &Path) -> RegistryProcess {
    registry(directory, &filesystem_config(&directory.join("other")))
}

#[test]
fn below_the_floor_no_upload_begins() {
    let directory = tempfile::tempdir().unwrap();
    let health = "{diskspace: {enabled: true, floor: 9000000GiB, interval: 50ms}}";
    let registry = registry(directory.path(), &config(directory.path(), health));
    registry.process.wait_for(|line| line.contains("new uploads are refused").then_some(()));
    let refused = registry.wire().send("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!(refused.status, 503);
    assert!(String::from_utf8_lossy(&refused.body).contains("health.diskspace.floor"), "{refused:?}");
    assert_eq!(registry.wire().send("GET", "/v2/", &[], b"").status, 200);
    assert_eq!(wait_for_status(&registry, 200), "{}");
}
