//! `registry bench`, against the same binary and against servers that misbehave.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;

use super::fake_registry::FakeRegistry;
use super::support::{Ended, binary, end};
use crate::clients::support::{RegistryProcess, filesystem_config, registry};

/// A run that takes next to no time, of one work with one client unless more is asked for.
fn bench(directory: &Path, url: &str, args: &[&str]) -> Ended {
    let mut command = binary(directory);
    command.env_remove("BENCH_PASSWORD");
    command.args(["bench", url, "--rounds", "1", "--duration", "20ms", "--large", "100KiB"]);
    end(command.args(["--push-volume", "300KiB"]).args(args), "")
}

fn start(directory: &Path) -> RegistryProcess {
    registry(directory, &filesystem_config(&directory.join("data")))
}

fn url(registry: &RegistryProcess) -> String {
    format!("http://{}", registry.address)
}

#[test]
fn every_work_is_measured_and_nothing_stays() {
    let directory = tempfile::tempdir().unwrap();
    let registry = start(directory.path());
    let pid = registry.process.pid().to_string();
    let args = ["--pid", &pid, "--clients", "1,3", "--repository", "bench/run", "--format", "json"];
    let ended = bench(directory.path(), &url(&registry), &args);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2 * 15, "{report:#}");
    for row in rows {
        for figure in ["operations_per_second", "p50_ms", "p99_ms", "cpu_us_per_request", "peak_mib"] {
            assert!(row["a"][figure].as_f64().is_some_and(|value| value > 0.0), "{figure} of {row:#}");
        }
    }
    let large = rows.iter().find(|row| row["work"] == "push-streamed").unwrap();
    assert!(large["a"]["cpu_s_per_gib"].is_f64(), "{large:#}");
    let left = registry.wire().send("GET", "/v2/bench/run/tags/list", &[], b"");
    assert!(!String::from_utf8_lossy(&left.body).contains("\"tags\":[\""), "{left:?}");
}

#[test]
fn two_registries_are_compared_in_a_table() {
    let directory = tempfile::tempdir().unwrap();
    let registry = start(directory.path());
    let args = ["--vs", &url(&registry), "--work", "tags-list,manifest-head-tag", "--rounds", "3"];
    let mut command = binary(directory.path());
    command.args(["bench", &url(&registry), "--duration", "20ms", "--clients", "2"]);
    let ended = end(command.args(args), "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ratio = ended.stdout.lines().find(|line| line.contains("A/B")).unwrap();
    let first: f64 = ratio.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(first > 0.0, "{}", ended.stdout);
    assert!(ended.stdout.contains("everything was deleted again"), "{}", ended.stdout);
}

#[test]
fn a_registry_that_does_not_delete_is_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let config = filesystem_config(&directory.path().join("data"))
        .replace("delete: {enabled: true}", "delete: {enabled: false}");
    let registry = registry(directory.path(), &config);
    let ended = bench(directory.path(), &url(&registry), &["--work", "push-small", "--clients", "1"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("does not delete"), "{}", ended.stdout);
}

#[test]
fn a_password_is_asked_for_and_used() {
    let directory = tempfile::tempdir().unwrap();
    let htpasswd = ["htpasswd", "add", "htpasswd", "alice"];
    assert_eq!(end(binary(directory.path()).args(htpasswd), "secret\n").code, Some(0));
    let auth = format!(
        "{}auth: {{htpasswd: {{realm: test, path: {}}}}}\n",
        filesystem_config(&directory.path().join("data")),
        directory.path().join("htpasswd").display()
    );
    let registry = registry(directory.path(), &auth);
    let run = |args: &[&str]| {
        bench(
            directory.path(),
            &url(&registry),
            &[&["--work", "push-small", "--clients", "1"], args].concat(),
        )
    };
    let without = run(&[]);
    assert_eq!(without.code, Some(1));
    assert!(without.stderr.contains("give --user and a password"), "{without:?}");
    fs::write(directory.path().join("wrong"), "guess\n").unwrap();
    let wrong = run(&["--user", "alice", "--password-file", "wrong"]);
    assert!(wrong.stderr.contains("the user or the password is wrong"), "{wrong:?}");
    fs::write(directory.path().join("right"), "secret\n").unwrap();
    let right = run(&["--user", "alice", "--password-file", "right"]);
    assert_eq!(right.code, Some(0), "{right:?}");
}

#[test]
fn a_token_is_fetched_for_a_challenge() {
    let directory = tempfile::tempdir().unwrap();
    let registry = FakeRegistry::start();
    let args = ["--work", "push-small", "--clients", "2", "--user", "alice", "--password-file", "password"];
    fs::write(directory.path().join("password"), "secret\n").unwrap();
    let ended = bench(directory.path(), &registry.url(), &args);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let scopes = registry.token_requests();
    assert!(scopes.iter().all(|query| query.contains("service=fake")), "{scopes:?}");
    assert!(scopes[0].contains("scope=repository%3Abench%2F"), "{scopes:?}");
}

#[test]
fn content_that_comes_back_changed_ends_the_run() {
    let directory = tempfile::tempdir().unwrap();
    let registry = FakeRegistry::start();
    let ended = bench(
        directory.path(),
        &registry.url(),
        &["--work", "pull-large", "--user", "alice", "--password-file", "password"],
    );
    assert!(ended.stderr.contains("cannot read the password from password"), "{ended:?}");
    fs::write(directory.path().join("password"), "secret\n").unwrap();
    let ended = bench(
        directory.path(),
        &registry.url(),
        &["--work", "pull-large", "--user", "alice", "--password-file", "password"],
    );
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("what came has the digest sha256:"), "{ended:?}");
}

#[test]
fn mistakes_are_explained() {
    let directory = tempfile::tempdir().unwrap();
    let registry = start(directory.path());
    let check = |url: &str, args: &[&str], code: i32, text: &str| {
        let ended = bench(directory.path(), url, args);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(ended.stderr.contains(text), "{text} is not in {ended:?}");
    };
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    check(&format!("http://{closed}"), &[], 1, &format!("no connection to {closed}: Connection refused"));
    check(&format!("https://{}", registry.address), &[], 1, "perhaps it speaks plain HTTP: try http://");
    check(&format!("http://{}/elsewhere/", registry.address), &[], 1, "there is no registry at this address");
    check("ftp://localhost", &[], 1, "begins neither with http:// nor with https://");
    check(&url(&registry), &["--pid", "2147483647"], 1, "cannot watch process 2147483647");
    check(&url(&registry), &["--work", "pull-lagre"], 2, "pull-large");
    check(&url(&registry), &["--small", "10"], 1, "a blob has at least 32 bytes");
    check(&url(&registry), &["--vs-pid", "1"], 2, "--vs");
    check(&url(&registry), &["--files", ".", "--work", "catalog"], 1, "catalog cannot be asked of");
}

#[test]
fn tls_is_spoken_with_a_certificate_that_is_believed() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = ["certificate", "--out", "tls", "127.0.0.1"];
    assert_eq!(end(binary(directory.path()).args(certificate), "").code, Some(0));
    let tls = directory.path().join("tls");
    let http = format!(
        "http: {{addr: '127.0.0.1:0', tls: {{certificate: {0}/domain.crt, key: {0}/domain.key}}}}",
        tls.display()
    );
    let config = filesystem_config(&directory.path().join("data"));
    let registry = registry(directory.path(), &config.replace("http: {addr: '127.0.0.1:0'}", &http));
    let run = |scheme: &str, args: &[&str]| {
        let url = format!("{scheme}://{}", registry.address);
        bench(directory.path(), &url, &[&["--work", "pull-large", "--clients", "1"], args].concat())
    };
    let unknown = run("https", &[]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("give --cacert"), "{unknown:?}");
    assert_eq!(run("http", &[]).code, Some(1));
    let missing = run("https", &["--cacert", "nowhere.crt"]);
    assert!(missing.stderr.contains("cannot read an authority from nowhere.crt"), "{missing:?}");
    for args in [&["--cacert", "tls/ca.crt"][..], &["--insecure"]] {
        let ended = run("https", args);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
}
