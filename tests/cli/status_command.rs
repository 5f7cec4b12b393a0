//! `registry health` and `registry status`.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;

use super::debug_listener::debug;
use super::support::{Ended, binary, end};
use crate::clients::support::{Fixture, RegistryProcess, filesystem_config, registry};

fn start(directory: &Path, more: &str) -> RegistryProcess {
    let config = filesystem_config(&directory.join("data"))
        .replace("http: {", &format!("{more}http: {{debug: {{addr: '127.0.0.1:0'}}, "));
    registry(directory, &config)
}

fn ask(directory: &Path, args: &[&str]) -> Ended {
    end(binary(directory).args(args), "")
}

#[test]
fn a_registry_says_whether_it_is_well() {
    let directory = tempfile::tempdir().unwrap();
    let bad = directory.path().join("bad");
    let more = format!("health: {{file: [{{file: {}, interval: 2s}}]}}\n", bad.display());
    let mut registry = start(directory.path(), &more);
    let url = format!("http://{}", registry.address);
    for url in [url.clone(), format!("{url}/"), format!("{url}/readyz")] {
        let ended = ask(directory.path(), &["health", "--url", &url]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "ok\n"), "{ended:?}");
    }
    let ended = ask(directory.path(), &["status", "--url", &url]);
    assert!(
        ended.code == Some(1) && ended.stderr.contains("pass the address of http.debug.addr"),
        "{ended:?}"
    );
    fs::write(&bad, "").unwrap();
    registry.process.wait_for(|line| line.contains("file exists").then_some(()));
    let ended = ask(directory.path(), &["health", "--url", &url]);
    assert!(ended.code == Some(1) && ended.stderr.contains("a health check fails"), "{ended:?}");
    let status = ask(directory.path(), &["status", "--url", &format!("http://{}", debug(&registry))]);
    assert!(status.code == Some(0) && status.stdout.contains("bad: file exists"), "{status:?}");
    registry.process.terminate();
    let ended = ask(directory.path(), &["health", "--url", &url]);
    assert!(ended.code == Some(1) && ended.stderr.contains("does not respond"), "{ended:?}");
}

/// As the image's health check asks: by the configuration, over TLS with a certificate for another name.
#[test]
fn a_registry_is_found_by_its_configuration() {
    let site = Fixture::new("registry.example");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let tls = format!(
        "http: {{addr: ':{port}', prefix: /images/, tls: {{certificate: {}, key: {}}}}}",
        site.text("certs/domain.crt"),
        site.text("certs/domain.key")
    );
    let config = filesystem_config(&site.path("data")).replace("http: {addr: '127.0.0.1:0'}", &tls);
    let _registry = registry(&site.path(""), &config);
    let ended = ask(&site.path(""), &["health", "sampan.yml"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "ok\n"), "{ended:?}");
    // The certificate of another name is looked at.
    let ended = ask(&site.path(""), &["health", "--url", &format!("https://localhost:{port}/images")]);
    assert!(ended.code == Some(1) && ended.stderr.contains("certificate"), "{ended:?}");

    let socket = site.text("registry.sock");
    let config = filesystem_config(&site.path("data"))
        .replace("addr: '127.0.0.1:0'", &format!("net: unix, addr: {socket}"));
    fs::write(site.path("socket.yml"), &config).unwrap();
    let ended = ask(&site.path(""), &["health", "socket.yml"]);
    assert!(ended.code == Some(1) && ended.stderr.contains("registry.sock does not respond"), "{ended:?}");
    let process =
        crate::clients::support::Process::start(binary(&site.path("")).args(["serve", "socket.yml"]));
    process.wait_for(|line| line.contains("listening on").then_some(()));
    let ended = ask(&site.path(""), &["health", "socket.yml"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "ok\n"), "{ended:?}");
}

#[test]
fn a_registry_is_asked_over_tls_with_its_own_authority() {
    let site = Fixture::new("localhost");
    let registry = site.serve(&format!("addr: '127.0.0.1:0', tls: {{{}}}", site.tls()), "");
    let url = format!("https://localhost:{}", registry.address.port());
    let ended = ask(&site.path(""), &["health", "--url", &url]);
    assert!(ended.code == Some(1) && ended.stderr.contains("`--cacert`"), "{ended:?}");
    for trust in [&["--cacert", "certs/ca.crt"][..], &["--insecure"]] {
        let ended = ask(&site.path(""), &[&["health", "--url", &url], trust].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "ok\n"), "{ended:?}");
        let ended = ask(&site.path(""), &[&["status", "--url", &url], trust].concat());
        assert!(!ended.stderr.contains("unexpected argument"), "{ended:?}");
    }
    // Where no URL is given, the certificate of this machine's registry is not looked at.
    let ended = ask(&site.path(""), &["health", "--insecure", "sampan.yml"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");

    let plain = site.serve("addr: '127.0.0.1:0'", "");
    let url = format!("https://localhost:{}", plain.address.port());
    let ended = ask(&site.path(""), &["health", "--url", &url]);
    assert!(ended.code == Some(1) && ended.stderr.contains("use http://"), "{ended:?}");
}

#[test]
fn a_registry_that_requires_certificates_is_asked_by_its_debug_listener_alone() {
    let directory = tempfile::tempdir().unwrap();
    let tls = "addr: '127.0.0.1:5000', tls: {certificate: /c, key: /k, clientcas: [/ca]}";
    let config = filesystem_config(&directory.path().join("data")).replace("addr: '127.0.0.1:0'", tls);
    std::fs::write(directory.path().join("sampan.yml"), config).unwrap();
    let ended = ask(directory.path(), &["health", "sampan.yml"]);
    assert!(ended.code == Some(1) && ended.stderr.contains("set http.debug.addr"), "{ended:?}");
}

#[test]
fn a_registry_tells_its_state_and_collects_when_it_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    let registry = start(directory.path(), "");
    let url = format!("http://{}", debug(&registry));
    let ended = ask(directory.path(), &["status", "--url", &url]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for line in ["ready:      ok", "health:     no configured check fails", "collection: not scheduled"] {
        assert!(ended.stdout.contains(line), "{line}: {ended:?}");
    }
    let ended = ask(directory.path(), &["status", "--url", &url, "--collect-garbage"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    registry.process.wait_for(|line| line.contains("collected garbage").then_some(()));
    let ended = ask(directory.path(), &["status", "--url", &url, "--format", "json"]);
    let state: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (&state["ready"], &state["collection"]["last"][0]["trigger"]),
        (&"ok".into(), &"request".into()),
        "{state}"
    );
    let ended = ask(directory.path(), &["status", "--url", &url]);
    assert!(ended.stdout.contains("0 blobs deleted"), "{ended:?}");

    fs::write(directory.path().join("plain.yml"), filesystem_config(&directory.path().join("data"))).unwrap();
    let ended = ask(directory.path(), &["status", "plain.yml"]);
    assert!(ended.code == Some(1) && ended.stderr.contains("http.debug.addr is not set"), "{ended:?}");
}
