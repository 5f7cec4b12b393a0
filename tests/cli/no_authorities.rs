//! A machine without CA certificates, as behind an air gap: plain HTTP works, and TLS says what is missing.

use std::path::Path;
use std::process::Command;

use super::support::{Ended, binary, end};
use crate::clients::support::{Fixture, Process, filesystem_config, registry};

/// The binary, for which this machine has no authorities.
fn without_authorities(directory: &Path) -> Command {
    let (file, folder) = (directory.join("no.pem"), directory.join("no-certificates"));
    std::fs::write(&file, "").unwrap();
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = binary(directory);
    command.env("SSL_CERT_FILE", file).env("SSL_CERT_DIR", folder);
    command
}

fn ask(directory: &Path, args: &[&str]) -> Ended {
    end(without_authorities(directory).args(args), "")
}

#[test]
fn commands_speak_plain_http() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path(), &filesystem_config(&directory.path().join("data")));
    let url = format!("http://{}", registry.address);
    for args in [&["ls", "--url", url.as_str()][..], &["health", "--url", url.as_str()]] {
        let ended = ask(directory.path(), args);
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
    }
}

#[test]
fn tls_names_the_missing_authorities() {
    let site = Fixture::new("localhost");
    let tls = format!("tls: {{{}}}", site.tls());
    let config = filesystem_config(&site.path("data"))
        .replace("http: {addr: '127.0.0.1:0'}", &format!("http: {{addr: '127.0.0.1:0', {tls}}}"));
    let registry = registry(&site.path(""), &config);
    let url = format!("https://localhost:{}", registry.address.port());
    for args in [&["ls", "--url", url.as_str()][..], &["health", "--url", url.as_str()]] {
        let ended = ask(&site.path(""), args);
        assert_eq!(ended.code, Some(1), "{args:?}: {ended:?}");
        for part in ["install ca-certificates", "SSL_CERT_FILE", "--cacert"] {
            assert!(ended.stderr.contains(part), "{args:?}: {part}: {ended:?}");
        }
    }
}

#[test]
fn a_registry_starts_whose_endpoint_and_upstream_speak_plain_http() {
    let directory = tempfile::tempdir().unwrap();
    let config = filesystem_config(&directory.path().join("data"));
    let config = format!(
        "{config}notifications: {{endpoints: [{{name: hook, url: 'http://127.0.0.1:9/'}}]}}\n\
         health: {{http: [{{uri: 'http://127.0.0.1:9/'}}]}}\n\
         proxy: {{upstreams: [{{name: far, url: 'http://127.0.0.1:9', prefix: far}}]}}\n"
    );
    std::fs::write(directory.path().join("sampan.yml"), config).unwrap();
    let checked = ask(directory.path(), &["config", "check", "sampan.yml"]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let process = Process::start(without_authorities(directory.path()).args(["serve", "sampan.yml"]));
    process.wait_for(|line| line.contains("listening on").then_some(()));
}

#[test]
fn a_store_is_reached_over_plain_http() {
    let directory = tempfile::tempdir().unwrap();
    let section = "s3: {region: a, bucket: b, accesskey: c, secretkey: d, forcepathstyle: true, regionendpoint: 'http://127.0.0.1:9'}";
    let config = format!("version: 0.1\nstorage: {{{section}}}\nhttp: {{addr: '127.0.0.1:0'}}\n");
    std::fs::write(directory.path().join("sampan.yml"), config).unwrap();
    let ended = ask(directory.path(), &["ls", "--config", "sampan.yml"]);
    assert!(ended.code == Some(1) && !ended.stderr.contains("builder error"), "{ended:?}");
    assert!(ended.stderr.contains("check the endpoint and the network"), "{ended:?}");
}
