//! Operators learn reasons and addresses; strangers do not.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::thread;

use super::debug_listener::{debug, get};
use super::support::{binary, end};
use crate::clients::support::{Answer, Process, Wire, filesystem_config, registry};

fn config(directory: &Path, more: &str) -> String {
    let config = filesystem_config(&directory.join("data"))
        .replace("http: {", "http: {debug: {addr: '127.0.0.1:0', prometheus: {enabled: true}}, ");
    format!("{config}{more}\n")
}

#[test]
fn nobody_is_told_the_passwords_in_urls_and_strangers_not_even_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    // Nothing listens there, unless another process gets the port.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let more = format!(
        "health: {{http: [{{uri: 'http://svc:hunter2@{closed}/health?token=abcd'}}]}}\n\
         notifications: {{endpoints: [{{url: 'http://hook:s3cr3t@{closed}/events?key=KEYKEY'}}]}}"
    );
    let registry = registry(directory.path(), &config(directory.path(), &more));
    registry.process.wait_to_say(&format!("health check http://{closed}/health failed"));
    let debug = debug(&registry);
    let ask = |address: SocketAddr, path: &str| -> Answer {
        let answer = Wire::connect(address).send("GET", path, &[], b"");
        assert_eq!(answer.status, 503, "{path}: {answer:?}");
        answer
    };
    assert_eq!(ask(registry.address, "/readyz").body, b"a health check fails\n");
    let mut told = vec![registry.process.log(), get(debug, "/debug/config"), get(debug, "/metrics")];
    for path in ["/readyz", "/debug/health"] {
        let reason = String::from_utf8(ask(debug, path).body).unwrap();
        assert!(
            reason.contains(&format!("http://{closed}/health")) && reason.contains("refused"),
            "{reason}"
        );
        told.push(reason);
    }
    for page in told {
        for secret in ["hunter2", "abcd", "s3cr3t", "KEYKEY", "svc", "hook"] {
            assert!(!page.contains(secret), "{secret} is in\n{page}");
        }
    }
}

/// A request with a `Host` of one's own.
fn request(address: SocketAddr, head: &str) -> Answer {
    let mut wire = Wire::connect(address);
    wire.write(format!("{head}Content-Length: 0\r\n\r\n").as_bytes());
    wire.finish(head.split(' ').next().unwrap())
}

#[test]
fn a_web_page_neither_starts_a_collection_nor_reads_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path(), &config(directory.path(), ""));
    let debug = debug(&registry);
    let forged = format!(
        "POST /debug/gc HTTP/1.1\r\nHost: {debug}\r\nOrigin: https://evil.example\r\nSec-Fetch-Fixture: cross-site\r\n\
         Content-Type: text/plain\r\n"
    );
    assert_eq!(request(debug, &forged).status, 403);
    for page in ["/debug/config", "/debug/gc", "/debug/verify", "/"] {
        let rebound = request(debug, &format!("GET {page} HTTP/1.1\r\nHost: evil.example\r\n"));
        assert_eq!(rebound.status, 403, "{page}");
        assert!(String::from_utf8(rebound.body).unwrap().contains("http.debug.hosts"), "{page}");
    }
    let state = get(debug, "/debug/gc");
    assert!(state.contains("\"requested\":false") && state.contains("\"last\":[]"), "{state}");
    // What Distribution's listener has is there under every name, for a Prometheus that knows it by one.
    for page in ["/metrics", "/debug/health", "/livez", "/readyz"] {
        let scraped =
            request(debug, &format!("GET {page} HTTP/1.1\r\nHost: registry.monitoring.svc:5001\r\n"));
        assert_eq!(scraped.status, 200, "{page}");
    }
}

#[test]
fn a_name_that_is_configured_leads_to_the_debug_listener() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), "")
        .replace("debug: {", "host: 'http://registry.example:5000', debug: {hosts: [ops.example], ");
    let registry = registry(directory.path(), &config);
    for host in ["registry.example", "OPS.example:5001", "localhost:5001", "127.0.0.1"] {
        let answer = request(debug(&registry), &format!("GET /debug/config HTTP/1.1\r\nHost: {host}\r\n"));
        assert_eq!(answer.status, 200, "{host}");
    }
}

#[test]
fn a_health_check_takes_its_headers_to_no_other_server() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (from, to) = (first.local_addr().unwrap(), second.local_addr().unwrap());
    thread::spawn(move || {
        for connection in first.incoming() {
            let mut connection = BufReader::new(connection.unwrap());
            let mut line = String::new();
            while connection.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            let answer = format!(
                "HTTP/1.1 302 Found\r\nLocation: http://u:p@{to}/there?x=y\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            // The asker may have gone.
            let _ = connection.get_mut().write_all(answer.as_bytes());
        }
    });
    let health = format!("health: {{http: [{{uri: 'http://{from}/', headers: {{X-Api-Key: [KEY]}}}}]}}");
    let registry = registry(directory.path(), &config(directory.path(), &health));
    registry.process.wait_to_say(&format!(
        "unexpected status: 302 to http://{to}/there, and redirects are not followed: use that URL as `uri`"
    ));
    second.set_nonblocking(true).unwrap();
    assert!(second.accept().is_err(), "the redirect was followed");
}

#[test]
fn an_open_registry_is_warned_of_at_the_start_and_by_config_check() {
    let directory = tempfile::tempdir().unwrap();
    let open = filesystem_config(&directory.path().join("data")).replace("127.0.0.1:0", ":0");
    fs::write(directory.path().join("config.yml"), &open).unwrap();
    let expected = "auth: is not set, and :0 can be reached from other machines";
    let ended = end(binary(directory.path()).args(["config", "check", "config.yml"]), "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains(&format!("warning: config.yml:1:1: {expected}")), "{ended:?}");
    let process = Process::start(binary(directory.path()).args(["serve", "config.yml"]));
    process.wait_for(|line| (line.contains("level=warning") && line.contains(expected)).then_some(()));
    process.wait_for(|line| line.contains("listening on").then_some(()));

    fs::write(directory.path().join("config.yml"), format!("{open}auth: none\n")).unwrap();
    let ended = end(binary(directory.path()).args(["config", "check", "config.yml"]), "");
    assert!(ended.code == Some(0) && !ended.stderr.contains("warning"), "{ended:?}");
}

#[test]
fn what_would_be_served_without_its_tls_or_passwords_is_not_served() {
    let directory = tempfile::tempdir().unwrap();
    let config = filesystem_config(&directory.path().join("data"));
    fs::write(directory.path().join("config.yml"), config).unwrap();
    for (variables, name) in [
        (
            &[("REGISTRY_HTTP_TLS_CERTIFICATE", ""), ("REGISTRY_HTTP_TLS_KEY", "")][..],
            "REGISTRY_HTTP_TLS_CERTIFICATE",
        ),
        (&[("REGISTRY_HTTP_TLS", "{}")][..], "REGISTRY_HTTP_TLS"),
        (&[("REGISTRY_AUTH", "{}")][..], "REGISTRY_AUTH"),
    ] {
        for command in [&["serve", "config.yml"][..], &["config", "check", "config.yml"]] {
            let mut command_line = binary(directory.path());
            let ended = end(command_line.envs(variables.iter().copied()).args(command), "");
            assert_eq!(ended.code, Some(1), "{ended:?}");
            assert!(ended.stderr.contains(name), "{ended:?}");
        }
    }
}
