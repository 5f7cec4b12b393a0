//! `registry bundle serve`, and bundles in a configuration.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sampan_engine::oci::Digest;
use tempfile::TempDir;

use super::support::{Ended, binary, end, expect};
use crate::clients::support::{Process, RegistryProcess, filesystem_config};
use crate::support::StoreFiles;

/// A directory with the bundles `base.tar`, `delta.tar` and `parts.tar.001`, ….
struct Stick {
    directory: TempDir,
    /// The image that only the delta has, whose layer is in the base.
    newer: Digest,
    layer: Digest,
}

impl Stick {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let near = StoreFiles::new(&directory.path().join("near"));
        let layer = "layer".repeat(500_000);
        let older = near.image("team/app", "one", std::slice::from_ref(&layer));
        near.tag("team/app", "1.0", &older);
        near.tag("team/app", "latest", &older);
        fs::write(directory.path().join("near.yml"), filesystem_config(&directory.path().join("near")))
            .unwrap();
        expect(directory.path(), 0, &["export", "**", "-c", "near.yml", "-o", "base.tar"]);
        let newer = near.image("team/app", "two", std::slice::from_ref(&layer));
        near.tag("team/app", "latest", &newer);
        let delta = ["export", "**", "-c", "near.yml", "--have", "base.tar", "-o", "delta.tar"];
        expect(directory.path(), 0, &delta);
        expect(
            directory.path(),
            0,
            &["export", "**", "-c", "near.yml", "-o", "parts.tar", "--split", "1MiB"],
        );
        Self { directory, newer, layer: Digest::sha256_of(layer.as_bytes()) }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn serve(&self, args: &[&str]) -> RegistryProcess {
        let mut command = binary(self.path());
        RegistryProcess::start(command.args(["bundle", "serve", "--addr", "127.0.0.1:0"]).args(args))
    }

    fn expect(&self, code: i32, args: &[&str]) -> Ended {
        expect(self.path(), code, args)
    }

    /// Damages the last content of a bundle.
    fn damage(&self, name: &str) {
        let file = fs::File::options().write(true).open(self.path().join(name)).unwrap();
        file.write_all_at(b"#", file.metadata().unwrap().len() - 1600).unwrap();
    }

    fn config(&self, storage: &str) -> PathBuf {
        let path = self.path().join("bundle.yml");
        let config = format!("version: 0.1\nstorage:\n  {storage}\nhttp: {{addr: '127.0.0.1:0'}}\n");
        fs::write(&path, config).unwrap();
        path
    }
}

#[test]
fn a_bundle_is_served_whole_in_parts_and_with_its_delta() {
    let stick = Stick::new();
    for (args, has_newer) in [
        (&["base.tar"][..], false),
        (&["base.tar", "delta.tar"], true),
        (&["parts.tar"], true),
        (&["parts.tar.001", "parts.tar.003", "parts.tar.002", "--verify"], true),
    ] {
        let mut served = stick.serve(args);
        let get = |path: &str| served.wire().send("GET", path, &[], b"").body;
        let latest = get("/v2/team/app/manifests/latest");
        assert_eq!(Digest::sha256_of(&latest) == stick.newer, has_newer, "{args:?}");
        let layer = get(&format!("/v2/team/app/blobs/{}", stick.layer));
        assert_eq!(Digest::sha256_of(&layer), stick.layer, "{args:?}");
        assert_eq!(get("/v2/_catalog"), b"{\"repositories\":[\"team/app\"]}\n");
        let log = served.process.log();
        assert!(log.contains("1 repository in ") && log.contains("read-only"), "{log}");
        assert_eq!(log.contains("all content is verified"), args.contains(&"--verify"), "{log}");
        assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");
        assert!(served.process.terminate().success());
    }
}

#[test]
fn what_cannot_be_served_is_named_with_a_code_of_its_own() {
    let stick = Stick::new();
    let refused = stick.expect(5, &["bundle", "serve", "delta.tar"]).stderr;
    let presumed = format!(
        "registry: delta.tar presumes one blob that no bundle here carries, the first is {}",
        stick.layer
    );
    assert!(refused.contains(&presumed), "{refused}");
    fs::rename(stick.path().join("parts.tar.002"), stick.path().join("away")).unwrap();
    let refused = stick.expect(4, &["bundle", "serve", "parts.tar"]).stderr;
    assert!(refused.contains("registry: part parts.tar.002 is missing"), "{refused}");
    for (code, file, problem) in [
        (1, "none.tar", "registry: none.tar: No such file or directory (os error 2)"),
        (4, "near.yml", "registry: near.yml: this is not a bundle"),
        (4, "near", "registry: near: this is not a bundle: it is a directory"),
    ] {
        let refused = stick.expect(code, &["bundle", "serve", file]).stderr;
        assert!(refused.contains(problem) && refused.matches(file).count() == 1, "{refused}");
    }
    // A configuration has the place as well, and the file once.
    stick.config("bundle: {files: [none.tar]}");
    let refused = stick.expect(1, &["serve", "bundle.yml"]).stderr;
    assert!(refused.contains("bundle.yml:3:") && refused.matches("none.tar").count() == 1, "{refused}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = stick.expect(1, &["bundle", "serve", "base.tar", "--addr", &address]).stderr;
    let problem = refused.lines().last().unwrap_or_default();
    assert!(problem.contains(&address) && problem.contains("in use"), "{refused}");
    assert!(!problem.contains("bundle serve:"), "{refused}");
    stick.damage("base.tar");
    let refused =
        stick.expect(4, &["bundle", "serve", "base.tar", "--verify", "--addr", "127.0.0.1:0"]).stderr;
    assert!(refused.contains("registry: base.tar: the bundle is damaged at byte"), "{refused}");
    stick.expect(2, &["bundle", "serve"]);
}

#[test]
fn rot_is_logged_with_its_entry_and_offset() {
    let stick = Stick::new();
    stick.damage("base.tar");
    let served = stick.serve(&["base.tar"]);
    let path = format!("/v2/team/app/blobs/{}", stick.layer);
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    let answer = {
        use std::io::{Read, Write};
        let mut client = std::net::TcpStream::connect(served.address).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer);
        answer
    };
    assert!(answer.len() < 2_500_000, "{} bytes", answer.len());
    served.process.wait_to_say("the bundle is damaged at byte");
    let log = served.process.log();
    let line = log.lines().find(|line| line.contains("the bundle is damaged at byte")).unwrap();
    assert!(
        line.contains(&format!("blobs/sha256/{}", stick.layer.hex())) && line.contains("offset"),
        "{line}"
    );
}

#[test]
fn a_configuration_serves_bundles_and_is_checked_like_them() {
    let stick = Stick::new();
    let config = stick.config("bundle: {files: [base.tar, delta.tar]}");
    let checked = stick.expect(0, &["config", "check", "bundle.yml"]);
    assert_eq!(checked.stderr, "", "{checked:?}");
    let shown = stick.expect(0, &["config", "show", "bundle.yml"]).stdout;
    assert!(shown.contains("delta.tar") && shown.contains("readonly:\n      enabled: true"), "{shown}");
    let served = RegistryProcess::start(binary(stick.path()).arg("serve").arg(&config));
    let latest = served.wire().send("GET", "/v2/team/app/manifests/latest", &[], b"");
    assert_eq!(Digest::sha256_of(&latest.body), stick.newer);
    // The other commands that read a store read bundles as well.
    let listed = stick.expect(0, &["ls", "-c", "bundle.yml"]).stdout;
    assert!(listed.contains("team/app:1.0") && listed.contains("team/app:latest"), "{listed}");
    stick.expect(0, &["export", "**", "-c", "bundle.yml", "-o", "again.tar"]);
    stick.expect(0, &["bundle", "verify", "again.tar"]);
    let refused = stick.expect(1, &["import", "base.tar", "-c", "bundle.yml"]).stderr;
    assert!(refused.contains("read-only"), "{refused}");

    let refused = stick.expect(1, &["config", "check", "--for", "distribution", "bundle.yml"]).stderr;
    assert!(refused.contains("a driver that Distribution lacks"), "{refused}");

    stick.config("bundle: {files: [delta.tar]}");
    for command in [&["config", "check", "bundle.yml"][..], &["serve", "bundle.yml"]] {
        let refused = stick.expect(1, command).stderr;
        assert!(refused.contains("delta.tar presumes one blob"), "{refused}");
    }
    for (storage, mistake) in [
        ("bundle: {}", "storage.bundle"),
        ("bundle: {files: []}", "storage.bundle.files is empty"),
        ("bundle: {file: [base.tar]}", "storage.bundle.file"),
        (
            "bundle: {files: [base.tar]}\n  maintenance: {readonly: {enabled: false}}",
            "a registry over bundles is read-only",
        ),
    ] {
        stick.config(storage);
        let refused = stick.expect(1, &["config", "check", "bundle.yml"]).stderr;
        assert!(refused.contains(mistake), "{storage}: {refused}");
    }
}

#[test]
fn a_stick_that_is_pulled_out_fails_the_health_check() {
    let stick = Stick::new();
    let config = stick.config(
        "bundle: {files: [base.tar]}\nhealth: {storagedriver: {enabled: true, interval: 200ms, threshold: 1}}",
    );
    let served = Process::start(binary(stick.path()).arg("serve").arg(&config));
    served.wait_for(|line| line.contains("listening on").then_some(()));
    fs::remove_file(stick.path().join("base.tar")).unwrap();
    served.wait_to_say("base.tar");
    assert!(!served.log().contains("refusing new uploads"), "{}", served.log());
    let ended = end(binary(stick.path()).args(["bundle", "ls", "delta.tar"]), "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
