//! A real Redis server behind `storage.cache.blobdescriptor: redis`.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use sampan_engine::oci::Digest;
use tempfile::TempDir;

use super::support::{Process, RegistryProcess, filesystem_config, registry, run, tool};

/// A Redis server with a password, over TLS or without.
struct Redis {
    process: Process,
    port: u16,
    directory: TempDir,
    tls: bool,
}

const PASSWORD: &str = "a-password-for-tests";

impl Redis {
    fn start(tls: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let port_text = port.to_string();
        let mut arguments = vec!["--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD];
        if tls {
            let certs = directory.path().join("certs");
            run(Command::new(env!("CARGO_BIN_EXE_registry"))
                .args(["certificate", "--out"])
                .arg(&certs)
                .args(["127.0.0.1", "localhost"]));
            arguments.extend(["--port", "0", "--tls-port", &port_text, "--tls-auth-clients", "no"]);
            arguments.extend(["--tls-cert-file", "certs/domain.crt", "--tls-key-file", "certs/domain.key"]);
            arguments.extend(["--tls-ca-cert-file", "certs/ca.crt"]);
        } else {
            arguments.extend(["--port", &port_text]);
        }
        // Redis logs to standard output.
        let mut command = tool("sh");
        command.current_dir(directory.path()).args(["-c", "exec redis-server \"$@\" >&2", "sh"]);
        let process = Process::start(command.args(arguments));
        process.wait_for(|line| line.contains("Ready to accept connections").then_some(()));
        Self { process, port, directory, tls }
    }

    /// The configuration of a registry that uses it.
    fn config(&self, root: &Path, password: &str) -> String {
        let tls = match self.tls {
            true => {
                format!(", tls: {{rootcas: ['{}']}}", self.directory.path().join("certs/ca.crt").display())
            }
            false => String::new(),
        };
        // The defaults are for clients who wait, not for a machine on which other tests run.
        let patience = "dialtimeout: 30s, readtimeout: 30s";
        let server = format!("addrs: ['127.0.0.1:{}'], password: {password}", self.port);
        let redis = format!("redis: {{{server}, {patience}{tls}}}\n");
        let cached = "  cache: {blobdescriptor: redis}\n  delete:";
        filesystem_config(root).replace("  delete:", cached) + &redis
    }

    fn ask(&self, question: &[&str]) -> String {
        let mut command = tool("redis-cli");
        command.env("REDISCLI_AUTH", PASSWORD).args(["-p", &self.port.to_string()]);
        if self.tls {
            command.arg("--tls").arg("--cacert").arg(self.directory.path().join("certs/ca.crt"));
        }
        run(command.args(question)).trim().to_owned()
    }
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Pushes an index with nothing in it.
fn push(registry: &RegistryProcess, tag: &str) -> Digest {
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[],"annotations":{{"tag":"{tag}"}}}}"#
    );
    let path = format!("/v2/app/manifests/{tag}");
    let answer = registry.wire().send("PUT", &path, &[("Content-Type", INDEX)], manifest.as_bytes());
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    Digest::sha256_of(manifest.as_bytes())
}

fn head(registry: &RegistryProcess, reference: impl std::fmt::Display) -> u16 {
    registry.wire().send("HEAD", &format!("/v2/app/manifests/{reference}"), &[], b"").status
}

#[test]
#[ignore = "needs redis-server"]
fn registries_share_descriptors_and_never_take_them_for_proof() {
    let redis = Redis::start(false);
    let [one, two] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let config = redis.config(&one.path().join("data"), PASSWORD);
    let (a, b) = (registry(one.path(), &config), registry(two.path(), &config));

    let digest = push(&a, "latest");
    let key = format!("blobs::{digest}");
    let entry = redis.ask(&["HMGET", &key, "digest", "size", "mediatype"]);
    assert_eq!(entry, format!("{digest}\n{}\n{INDEX}", 113 + "latest".len()), "as Distribution keeps it");
    assert!(redis.ask(&["TTL", &key]).parse::<i64>().unwrap() > 0, "an entry expires");
    assert_eq!(redis.ask(&["KEYS", "repository::*"]), "", "no entry says that a repository has it");

    assert_eq!((head(&b, "latest"), head(&b, &digest)), (200, 200));
    assert!(redis.ask(&["INFO", "commandstats"]).contains("cmdstat_hmget:calls=3"), "two, and the one above");
    let gone = a.wire().send("DELETE", &format!("/v2/app/manifests/{digest}"), &[], b"");
    assert_eq!(gone.status, 202);
    assert_eq!(redis.ask(&["EXISTS", &key]), "1");
    assert_eq!((head(&b, "latest"), head(&b, &digest)), (404, 404));
}

#[test]
#[ignore = "needs redis-server"]
fn a_server_that_goes_away_is_told_once_and_the_store_is_asked() {
    let mut redis = Redis::start(false);
    let directory = tempfile::tempdir().unwrap();
    let config = redis.config(&directory.path().join("data"), PASSWORD);
    let registry = registry(directory.path(), &config);
    push(&registry, "before");
    redis.process.kill();
    for tag in ["one", "two", "three"] {
        push(&registry, tag);
        assert_eq!((head(&registry, tag), head(&registry, "before")), (200, 200));
    }
    registry.process.wait_to_say("the Redis server is not usable");
    assert_eq!(registry.process.log().matches("the Redis server is not usable").count(), 1);
}

#[test]
#[ignore = "needs redis-server"]
fn it_is_reached_over_tls_with_a_password() {
    let redis = Redis::start(true);
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("data");
    let refused = registry(directory.path(), &redis.config(&root, "wrong"));
    let digest = push(&refused, "latest");
    assert_eq!(head(&refused, "latest"), 200);
    refused.process.wait_to_say("the Redis server is not usable");
    assert_eq!(redis.ask(&["EXISTS", &format!("blobs::{digest}")]), "0");
    drop(refused);

    let registry = registry(directory.path(), &redis.config(&root, PASSWORD));
    assert_eq!(head(&registry, "latest"), 200);
    assert_eq!(redis.ask(&["EXISTS", &format!("blobs::{digest}")]), "1");
    assert!(!registry.process.log().contains("is not usable"), "{}", registry.process.log());
}
