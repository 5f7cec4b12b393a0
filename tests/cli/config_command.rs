//! `registry config check` and `registry config show`.

use std::fs;
use std::path::Path;

use super::support::{Ended, binary, end};

#[test]
fn a_mistyped_key_is_found_with_its_line_and_the_key_that_was_meant() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.yml");
    fs::write(&file, "version: 0.1\nstorage: inmemory\nhttp:\n  adr: :5000\n").unwrap();
    let ended = end(binary(directory.path()).args(["config", "check"]).arg(&file), "");
    assert_eq!(ended.code, Some(1));
    for part in ["config.yml:4", "adr", "addr"] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
}

#[test]
fn values_are_shown_with_their_origin_and_secrets_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.yml");
    fs::write(&file, "version: 0.1\nstorage: inmemory\nhttp:\n  addr: :5000\n  secret: geheim\n").unwrap();
    let mut command = binary(directory.path());
    command.env("REGISTRY_LOG_LEVEL", "debug").args(["config", "show"]).arg(&file);
    let ended = end(&mut command, "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stdout.contains("geheim"), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("config.yml:4") && ended.stdout.contains("REGISTRY_LOG_LEVEL"),
        "{}",
        ended.stdout
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    for command in ["check", "show"] {
        let ended = end(binary(directory.path()).args(["config", command, "nowhere.yml"]), "");
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains("nowhere.yml"), "{ended:?}");
    }
}

#[test]
fn a_file_that_is_too_long_for_a_configuration_is_not_read_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("images.tar");
    fs::write(&file, "# The name is that of another file.\n".repeat(500_000)).unwrap();
    let refused = end(binary(directory.path()).args(["config", "check", "images.tar"]), "");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("it is longer than 16 MiB: is it the right file?"), "{refused:?}");
}

#[test]
fn an_audit_file_that_cannot_be_opened_is_found_and_none_is_made() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("folder")).unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    let config = |audit: &str| {
        format!(
            "storage: {{filesystem: {{rootdirectory: data}}}}\naccess: {{rules: [{{who: anonymous, may: pull, on: '**'}}]}}\n\
             audit: {{file: {audit}}}"
        )
    };
    for (audit, expected) in
        [("folder", "directory"), ("missing/audit.log", "missing"), ("file/audit.log", "file/audit.log")]
    {
        let ended = check(directory.path(), &[], &config(audit));
        assert_eq!(ended.code, Some(1), "{audit}: {ended:?}");
        assert!(ended.stderr.contains("audit.file") && ended.stderr.contains(expected), "{audit}: {ended:?}");
    }
    for audit in ["audit.log", "file", "folder/audit.log", "/dev/stderr"] {
        let ended = check(directory.path(), &[], &config(audit));
        assert_eq!(ended.code, Some(0), "{audit}: {ended:?}");
    }
    assert!(
        !directory.path().join("audit.log").exists() && !directory.path().join("folder/audit.log").exists()
    );
    let files = check(directory.path(), &["--without-files"], &config("folder"));
    assert_eq!(files.code, Some(0), "{files:?}");
}

fn check(directory: &Path, args: &[&str], config: &str) -> Ended {
    fs::write(directory.join("config.yml"), format!("version: 0.1\n{config}\n")).unwrap();
    end(binary(directory).args(["config", "check"]).args(args).arg("config.yml"), "")
}

#[test]
fn authorities_of_upstreams_that_cannot_be_read_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let config = "storage: inmemory\nproxy: { upstreams: [ { name: up, prefix: up, url: 'https://up.example', ca: nowhere.pem } ] }";
    let ended = check(directory.path(), &[], config);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("upstream up") && ended.stderr.contains("nowhere.pem"), "{ended:?}");
    assert_eq!(check(directory.path(), &["--without-files"], config).code, Some(0));
}

#[test]
fn everything_that_serve_would_open_and_cannot_is_told_at_once_and_nothing_is_made() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["file", "htpasswd"] {
        fs::write(directory.path().join(name), "no colon here\n").unwrap();
    }
    let config = "storage: { filesystem: { rootdirectory: file } }\nauth: { htpasswd: { realm: r, path: htpasswd } }\n\
                  http: { addr: '127.0.0.1:0', tls: { certificate: nowhere.crt, key: nowhere.key } }";
    let ended = check(directory.path(), &[], config);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for part in
        ["3 things cannot be used", "rootdirectory", "line 1 has no `:`", "http.tls.certificate nowhere.crt"]
    {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    assert!(!ended.stdout.contains("can be served"), "{ended:?}");
    // The start tells them all, too.
    let served = end(binary(directory.path()).arg("config.yml"), "");
    assert!(served.code == Some(1) && served.stderr.contains("3 things cannot be used"), "{served:?}");

    let config = "storage: { filesystem: { rootdirectory: new/data } }\nauth: { htpasswd: { realm: r, path: auth/new } }\n\
                  http: { addr: '127.0.0.1:0' }";
    let ended = check(directory.path(), &[], config);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("auth.htpasswd.path auth/new does not exist"), "{ended:?}");
    assert!(!directory.path().join("new").exists() && !directory.path().join("auth").exists());
    // Read-only, there must be something to read.
    let config =
        "storage: { filesystem: { rootdirectory: new/data }, maintenance: { readonly: { enabled: true } } }";
    let ended = check(directory.path(), &[], config);
    assert!(ended.code == Some(1) && ended.stderr.contains("it does not exist"), "{ended:?}");
}

#[test]
fn check_says_what_distribution_would_make_of_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let ours = "storage: { inmemory: { maxsize: 1GiB } }\nauth: none\ngc: { enabled: true }\nhttp:\n  addr: 127.0.0.1:0\n  \
                limits: { maxconnections: 10 }";
    let ended = check(directory.path(), &["--for", "distribution"], ours);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for part in [
        "config.yml:2:33: storage.inmemory.maxsize: is unknown to Distribution",
        "config.yml:4:5: gc: is unknown to Distribution",
        "http.limits: is unknown to Distribution",
    ] {
        assert!(ended.stdout.contains(part), "{part}: {ended:?}");
    }
    assert!(ended.stdout.contains("Distribution would start with it"), "{ended:?}");
    assert_eq!(ended.stdout.matches("is unknown to Distribution").count(), 3, "{ended:?}");

    let purging = "storage: { inmemory: {}, gc: { enabled: true }, maintenance: { uploadpurging: { enabled: true, age: 1h } } }\n\
                   auth: none";
    let ended = check(directory.path(), &["--for", "distribution"], purging);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for part in
        ["config.yml:2:26: storage.gc: has moved", "lacks `interval`, `dryrun`, and Distribution panics"]
    {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    let rules = "storage: inmemory\naccess: {rules: [{who: everyone, may: pull, on: '**'}]}";
    let ended = check(directory.path(), &["--for", "distribution"], rules);
    assert!(ended.code == Some(1) && !ended.stdout.contains("would start with it"), "{ended:?}");
    assert!(
        ended.stderr.contains("config.yml:3:9: access: ") && ended.stderr.contains("lets EVERY client"),
        "{ended:?}"
    );
    fs::write(directory.path().join("config.yml"), "storage: inmemory\nauth: none\n").unwrap();
    let args = ["config", "check", "--for=distribution", "config.yml"];
    let ended = end(binary(directory.path()).args(args), "");
    assert!(
        ended.code == Some(1) && ended.stderr.contains("version: is missing, and Distribution requires it"),
        "{ended:?}"
    );
}

#[test]
fn an_authority_of_clients_that_has_expired_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let made = end(binary(directory.path()).args(["certificate", "localhost", "--out", "."]), "");
    assert_eq!(made.code, Some(0), "{made:?}");
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "old authority");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let authority = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    fs::write(directory.path().join("clients.crt"), authority.pem()).unwrap();
    let check = |clientauth: &str| {
        let tls = format!(
            "{{certificate: domain.crt, key: domain.key, clientcas: [clients.crt], clientauth: {clientauth}}}"
        );
        let config = format!("version: 0.1\nstorage: inmemory\nhttp: {{tls: {tls}}}\n");
        fs::write(directory.path().join("config.yml"), config).unwrap();
        let checked = end(binary(directory.path()).args(["config", "check", "config.yml"]), "");
        assert_eq!(checked.code, Some(0), "{checked:?}");
        checked.stdout + &checked.stderr
    };
    let told = check("require-and-verify-client-cert");
    assert!(told.contains("CN=old authority") && told.contains("has expired"), "{told}");
    let told = check("request-client-cert");
    assert!(!told.contains("has expired"), "nothing is verified: {told}");
}
