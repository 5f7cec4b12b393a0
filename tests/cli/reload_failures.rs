//! What SIGHUP says at its end where something could not be replaced.

use std::fs;

use crate::clients::support::{RegistryProcess, Site};

/// Sends SIGHUP and waits for a line with all these parts.
fn reload(registry: &RegistryProcess, parts: &[&str]) {
    registry.process.signal("HUP");
    registry.process.wait_for(|line| parts.iter().all(|part| line.contains(part)).then_some(()));
}

#[test]
fn the_last_line_names_what_was_not_replaced() {
    let site = Site::new("localhost");
    site.set_password("alice", "secret");
    let registry = site.serve(&format!("addr: '127.0.0.1:0', tls: {{{}}}", site.tls()), &site.auth());
    let good = fs::read(site.path("certs/domain.crt")).unwrap();
    fs::write(site.path("certs/domain.crt"), "none").unwrap();
    let nothing = "SIGHUP: nothing was applied; not replaced";
    reload(&registry, &["level=error", nothing, "the certificates"]);
    fs::write(site.path("certs/domain.crt"), good).unwrap();
    fs::write(site.path("auth/htpasswd"), "no entry\n").unwrap();
    reload(&registry, &["level=error", nothing, "the users and passwords"]);
    fs::remove_file(site.path("sampan.yml")).unwrap();
    reload(&registry, &["level=error", "SIGHUP: cannot apply", "No such file or directory"]);
}
