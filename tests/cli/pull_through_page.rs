//! `docs/pull-through.md`: each configuration in it is one that the registry takes. `tests/clients/cache` has the clients.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::support::{binary, end, expect};
use crate::clients::support::blocks;

const PAGE: &str = "docs/pull-through.md";

/// A configuration around a block of the page, which has the other section.
const REST: &str = "version: 0.1
storage: {filesystem: {rootdirectory: data}, delete: {enabled: true}}
http: {addr: '127.0.0.1:0', tls: {certificate: domain.crt, key: domain.key}}
auth: {htpasswd: {realm: Registry, path: htpasswd}}
";
const PROXY: &str = "proxy: {upstreams: [{name: hub, url: 'https://registry-1.docker.io'}]}\n";

#[test]
fn every_configuration_of_the_page_is_valid() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    expect(
        directory.path(),
        0,
        &["certificate", "--out", ".", "registry.example.com", "hub.registry.example.com"],
    );
    write("secret", "hush");
    let added = end(binary(directory.path()).args(["htpasswd", "add", "htpasswd", "alice"]), "wonderland");
    assert_eq!(added.code, Some(0), "{added:?}");
    let blocks: Vec<_> = blocks(PAGE).into_iter().filter(|block| block.first_line().ends_with(':')).collect();
    assert!(blocks.len() >= 8, "{}", blocks.len());
    for block in blocks {
        let proxy = if block.first_line() == "proxy:" { "" } else { PROXY };
        let text =
            block.text.replace("/run/secrets/hub", &directory.path().join("secret").display().to_string());
        write("config.yml", &format!("{REST}{proxy}{text}"));
        let checked = expect(directory.path(), 0, &["config", "check", "config.yml"]);
        let said = checked.stdout + &checked.stderr;
        assert!(!said.contains("warning"), "{PAGE}:{}: {said}", block.line);
    }
}
