//! The configurations that Distribution's images ship, in facts: they start as they are, with every section in effect.
//!
//! Only the ports and the data directory are others, because a test has neither to itself.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::debug_listener::{debug, get};
use super::support::binary;
use crate::clients::support::{Process, RegistryProcess};
use crate::support::image_configs::{LIBRARY, UPSTREAM};

/// `command`, which has a configuration, on ports and in a directory of its own.
fn start(command: &mut Command, directory: &Path) -> RegistryProcess {
    command
        .env("REGISTRY_HTTP_ADDR", "127.0.0.1:0")
        .env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", directory.join("data"));
    let process = Process::start(command);
    let address = process.wait_for(|line| {
        let address = line.split_once("msg=\"listening on ")?.1;
        address.split('"').next()?.parse().ok()
    });
    RegistryProcess { process, address }
}

#[test]
fn the_images_configurations_start_with_every_section_in_effect() {
    for config in [UPSTREAM, LIBRARY] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("config.yml"), config).unwrap();
        let mut command = binary(directory.path());
        let registry = start(
            command.env("REGISTRY_HTTP_DEBUG_ADDR", "127.0.0.1:0").args(["serve", "config.yml"]),
            directory.path(),
        );
        let log = registry.process.log();
        assert!(!log.contains("not served") && !log.contains("level=warning"), "{log}");
        assert!(
            log.lines().all(|line| line.contains(" service=registry ") || line.ends_with("service=registry"))
        );
        assert!(log.contains(" environment=development"), "{log}");

        let base = registry.wire().send("GET", "/v2/", &[], b"");
        let has_header = base.header("x-content-type-options") == Some("nosniff");
        assert_eq!((base.status, has_header), (200, config == UPSTREAM));
        let location = registry.wire().send("POST", "/v2/a/blobs/uploads/", &[], b"").location();
        let digest = sampan_engine::oci::Digest::sha256_of(b"content");
        let put = format!("{location}?digest={digest}");
        assert_eq!(registry.wire().send("PUT", &put, &[], b"content").status, 201);
        assert_eq!(registry.wire().send("DELETE", &format!("/v2/a/blobs/{digest}"), &[], b"").status, 202);

        let debug = debug(&registry);
        assert_eq!(get(debug, "/debug/health"), "{}");
        let metrics = get(debug, "/metrics");
        for name in [
            "registry_http_requests_total{code=\"202\",handler=\"blob\",method=\"delete\"} 1",
            "registry_storage_action_seconds_count{action=\"Commit\",driver=\"filesystem\"} 1",
            "sampan_health_failing_checks 0",
        ] {
            assert!(metrics.contains(name), "{name}: {metrics}");
        }
    }
}

#[test]
#[ignore = "needs docker-registry"]
fn the_configuration_of_debians_package_is_found_and_served() {
    let packaged = Path::new("/etc/docker/registry/config.yml");
    assert!(packaged.exists(), "{} is missing: it comes with docker-registry", packaged.display());
    let directory = tempfile::tempdir().unwrap();
    // As it is shipped, `auth.htpasswd.path` names a directory, so no login could succeed; that is an error here.
    let users = directory.path().join("users");
    fs::write(&users, "").unwrap();
    let mut command = binary(directory.path());
    let registry = start(command.env("REGISTRY_AUTH_HTPASSWD_PATH", users).arg("serve"), directory.path());
    let log = registry.process.log();
    assert!(log.contains("/etc/docker/registry/config.yml"), "{log}");
    let base = registry.wire().send("GET", "/v2/", &[], b"");
    assert_eq!((base.status, base.header("x-content-type-options")), (401, Some("nosniff")));
}
