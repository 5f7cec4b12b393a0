//! The way back: Debian's package of Distribution starts with every sample whose driver it knows, and with the output of
//! `config show` for it.
//!
//! Debian packages version 2.8. That version lacks `storage.tag` and `azure.credentials` of version 3; no sample for a driver
//! that it knows has them.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use super::support::{Fixture, Process, run, tool};
use crate::cli::support::binary;

/// Samples whose driver the package lacks, or that have keys of version 3 alone.
const UNKNOWN: [&str; 3] = ["azure.yml", "bundle.yml", "gcs.yml"];

fn samples() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config-samples");
    let listing =
        run(tool("find").arg(&root).args(["-name", "*.yml", "-not", "-name", "docker-compose.yml"]));
    let mut found: Vec<PathBuf> = listing.lines().map(PathBuf::from).collect();
    found.sort();
    found.retain(|path| !UNKNOWN.iter().any(|name| path.ends_with(name)));
    assert!(found.len() >= 10, "{found:?}");
    found
}

/// The variables that replace paths and addresses of a configuration by those of this test.
fn places(site: &Fixture, config: &str) -> Vec<(&'static str, String)> {
    let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut variables = vec![("REGISTRY_HTTP_ADDR", port())];
    let mut set = |key: &str, name: &'static str, value: String| {
        if config.contains(key) {
            variables.push((name, value));
        }
    };
    set("filesystem:", "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", site.text("data"));
    set("  debug:", "REGISTRY_HTTP_DEBUG_ADDR", port());
    set("  tls:", "REGISTRY_HTTP_TLS_CERTIFICATE", site.text("certs/domain.crt"));
    set("  tls:", "REGISTRY_HTTP_TLS_KEY", site.text("certs/domain.key"));
    set("htpasswd:", "REGISTRY_AUTH_HTPASSWD_PATH", site.text("auth/htpasswd"));
    set("rootcertbundle:", "REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE", site.text("certs/domain.crt"));
    variables
}

fn starts_distribution(site: &Fixture, config: &Path) {
    let text = fs::read_to_string(config).unwrap();
    let mut command = tool("docker-registry");
    command.env_remove("AWS_CA_BUNDLE").envs(places(site, &text)).arg("serve").arg(config);
    let mut process = Process::start(&mut command);
    // Distribution exits on a configuration that it refuses, and its log gives the reason.
    process.wait_for(|line| line.contains("listening on").then_some(()));
    process.terminate();
}

fn site() -> Fixture {
    let site = Fixture::new("127.0.0.1");
    site.set_password("alice", "wonderland");
    site
}

#[test]
#[ignore = "needs docker-registry"]
fn distribution_starts_with_every_sample() {
    let site = site();
    for sample in samples() {
        starts_distribution(&site, &sample);
    }
}

#[test]
#[ignore = "needs docker-registry"]
fn distribution_starts_with_what_config_show_prints() {
    let site = site();
    for sample in samples() {
        let shown = run(binary(&site.path("")).args(["config", "show"]).arg(&sample));
        let path = site.path("shown.yml");
        fs::write(&path, shown).unwrap();
        starts_distribution(&site, &path);
    }
}

/// Every key that only this registry has, with its path.
#[test]
#[ignore = "needs docker-registry"]
fn distribution_starts_with_every_key_of_ours() {
    let site = site();
    let config = format!(
        "\
version: 0.1
storage:
  filesystem: {{ rootdirectory: {data} }}
  delete: {{ enabled: true }}
gc: {{ enabled: true, interval: 24h, window: 02:00-05:00, grace: 24h, untagged: true, maxdeletepercent: 50 }}
auth:
  token:
    realm: https://auth.example.com/token
    service: registry.example.com
    issuer: auth.example.com
    rootcertbundle: {certificate}
    jwksca: {certificate}
    jwksrefresh: 5m
http:
  addr: 127.0.0.1:0
  trustedproxies: [10.0.0.0/8, unix]
  debug: {{ addr: '127.0.0.1:0', hosts: [ops.example], prometheus: {{ enabled: true, repositories: 10 }} }}
  limits: {{ headertimeout: 30s, idletimeout: 2m, readtimeout: 1m, minbodyspeed: 1KiB, maxconnections: 4096, connectionsperaddress: 1024, maxmanifestsize: 4MiB, uploadsperaddress: 100 }}
health:
  diskspace: {{ enabled: true, floor: 1, interval: 10s }}
notifications:
  endpoints: [{{ name: portal, url: 'http://127.0.0.1:9/', secret: hush }}]
  queue: {{ directory: {data}/notifications, maxsize: 64MiB }}
proxy:
  offline: true
  default: a
  local: ['team/**']
  maxsize: 1GiB
  ttl: 720h
  upstreams:
    - {{ name: a, url: 'https://a.example', prefix: a, ns: [a.example], hosts: [m.example], library: true, path: b,
        username: u, passwordfile: /p, public: true, realms: [b.example], redirects: [c.example], ca: {certificate},
        clientcertificate: {certificate}, clientkey: {key}, repositories: {{ allow: ['**'], deny: [x] }}, maxsize: 1MiB, connections: 1, requests: 1, bandwidth: 1,
        tags: {{ fresh: 1s, stale: 1h, deleted: forget, refused: keep, immutable: [a], missing: 1s }},
        timeouts: {{ connect: 1s, answer: 1s, stall: 1s }} }}
    - {{ name: b, url: 'https://b.example', exec: {{ command: c, lifetime: 0s }} }}
    - {{ name: c, url: 'https://c.example', dockerconfig: /c.json }}
sync:
  - {{ name: s, from: b, interval: 1h, window: 02:00-05:00, reserve: 1, repositories: [{{ from: x/y, to: team/y,
      tags: {{ allow: [a], deny: [b], semver: '>=1, <2', newest: 1 }}, platforms: [linux/amd64], referrers: false, prune: true }}] }}
",
        data = site.text("data"),
        certificate = site.text("certs/domain.crt"),
        key = site.text("certs/domain.key"),
    );
    let path = site.path("ours.yml");
    fs::write(&path, &config).unwrap();
    // This registry accepts it: the list holds no misspellings.
    run(binary(&site.path("")).args(["config", "check"]).arg(&path));
    starts_distribution(&site, &path);
    // No store answers there; version 2.8 asks for none at the start.
    let s3 = "version: 0.1\nhttp: { addr: '127.0.0.1:0' }\nstorage: { s3: { bucket: b, region: us-east-1, regionendpoint: \
              'http://127.0.0.1:9', accesskey: a, secretkey: b, cafile: /ca.pem, redirectexpiry: 20m, uploadbuffer: 1 } }\n";
    fs::write(&path, s3).unwrap();
    starts_distribution(&site, &path);
    let inmemory = "version: 0.1\nstorage: { inmemory: { maxsize: 1GiB } }\nhttp: { addr: '127.0.0.1:0' }\n";
    fs::write(&path, inmemory).unwrap();
    starts_distribution(&site, &path);
    // Beside `auth: token`, another server decides.
    let access = format!(
        "version: 0.1\nhttp: {{ addr: '127.0.0.1:0', tls: {{ certificate: {certificate}, key: {key}, clientcas: [{certificate}] }} }}\n\
         storage: inmemory\nauth: {{ htpasswd: {{ realm: r, path: {passwords} }} }}\naccess: \
         {{ groups: {{ g: [a] }}, rules: [{{ who: 'group:g', may: pull, on: '**', except: a }}], tokens: {{ service: s, lifetime: 5m, \
         longest: 0s, signingkey: /k }}, certificates: {{ identity: [dns, uri, cn] }} }}\n",
        certificate = site.text("certs/domain.crt"),
        key = site.text("certs/domain.key"),
        passwords = site.text("auth/htpasswd"),
    );
    fs::write(&path, access).unwrap();
    run(binary(&site.path("")).args(["config", "check", "--without-files"]).arg(&path));
    starts_distribution(&site, &path);
}
