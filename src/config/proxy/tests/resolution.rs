//! Upstreams with their defaults filled in.

use std::time::Duration;

use super::file;
use crate::checked::checked;
use crate::{CacheUpstream, UpstreamAccount, WhenGone};

/// The upstreams of a section without a mistake.
#[track_caller]
fn resolved(proxy: &str) -> Vec<CacheUpstream> {
    let checked = checked(&file(proxy), &[]);
    assert_eq!(checked.mistakes, "", "{proxy}");
    checked.proxy().resolved_upstreams()
}

/// The only upstream of `upstreams`.
#[track_caller]
fn only(upstream: &str) -> CacheUpstream {
    let mut resolved = resolved(&format!("upstreams: [{{ {upstream} }}]"));
    assert_eq!(resolved.len(), 1);
    resolved.remove(0)
}

fn texts(hosts: &[crate::RegistryHost]) -> Vec<&str> {
    hosts.iter().map(crate::RegistryHost::as_str).collect()
}

#[test]
fn a_remote_is_one_upstream_that_behaves_as_in_distribution() {
    let mut resolved = resolved("remoteurl: 'https://registry-1.docker.io', username: robot, password: hush");
    assert_eq!(resolved.len(), 1);
    let remote = resolved.remove(0);
    assert_eq!((remote.name.as_str(), remote.url.as_str()), ("remote", "https://registry-1.docker.io/"));
    assert_eq!((remote.prefix, remote.path), (None, None));
    assert!(remote.ns.is_empty() && remote.hosts.is_empty() && remote.library && !remote.public);
    assert!(matches!(remote.account, UpstreamAccount::Password { user, password }
        if user == "robot" && password.expose() == "hush"));
    let tags = remote.tags;
    assert_eq!((tags.fresh, tags.stale, tags.missing), (Duration::ZERO, None, Duration::ZERO));
    assert_eq!((tags.deleted, tags.refused), (WhenGone::Keep, WhenGone::Keep));
    assert!(tags.immutable.is_empty());
    assert_eq!(
        (remote.maxsize, remote.requests, remote.bandwidth, remote.connections),
        (None, None, None, 16)
    );
}

#[test]
fn an_upstream_needs_a_name_and_a_url_alone() {
    let quay = only("name: quay, url: 'https://quay.io'");
    assert_eq!((quay.name.as_str(), quay.url.as_str()), ("quay", "https://quay.io/"));
    assert_eq!(quay.prefix.as_deref(), Some("quay.io"));
    assert_eq!(texts(&quay.ns), ["quay.io"]);
    assert!(quay.hosts.is_empty() && !quay.library && quay.path.is_none() && !quay.public);
    assert_eq!(quay.account, UpstreamAccount::Anonymous);
    assert!(quay.repositories.allow.is_empty() && quay.repositories.deny.is_empty());
    let tags = quay.tags;
    assert_eq!((tags.fresh, tags.stale), (Duration::from_secs(30), None));
    assert_eq!((tags.deleted, tags.refused), (WhenGone::Keep, WhenGone::Forget));
    assert_eq!(tags.missing, Duration::from_secs(30));
    let timeouts = quay.timeouts;
    let seconds = [timeouts.connect, timeouts.answer, timeouts.stall].map(|duration| duration.as_secs());
    assert_eq!(seconds, [5, 30, 60]);
    assert_eq!((quay.maxsize, quay.requests, quay.bandwidth, quay.connections), (None, None, None, 16));
}

#[test]
fn docker_hub_is_known_by_each_of_its_names() {
    for url in
        ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "DOCKER.IO/v2/"]
    {
        let hub = only(&format!("name: hub, url: 'https://{url}'"));
        assert_eq!(hub.url.as_str(), "https://registry-1.docker.io/", "{url}");
        assert_eq!((hub.prefix.as_deref(), hub.library), (Some("docker.io"), true), "{url}");
        assert_eq!(texts(&hub.ns), ["docker.io"], "{url}");
    }
    let other = only("name: hub, url: 'https://docker.io', prefix: mirrors/hub, library: false");
    assert_eq!((other.prefix.as_deref(), other.library), (Some("mirrors/hub"), false));
    assert_eq!(texts(&other.ns), ["docker.io"]);
}

#[test]
fn places_and_names_have_these_defaults() {
    for (upstream, prefix, ns) in [
        ("url: 'https://registry.k8s.io'", "registry.k8s.io", vec!["registry.k8s.io"]),
        ("url: 'https://registry.k8s.io', prefix: k8s", "k8s", vec!["k8s", "registry.k8s.io"]),
        ("url: 'http://localhost'", "localhost", vec!["localhost"]),
        ("url: 'http://localhost:5000', prefix: lab", "lab", vec!["lab", "localhost:5000"]),
        ("url: 'https://[::1]:5000', prefix: lab/six", "lab/six", vec!["[::1]:5000"]),
        ("url: 'https://bücher.example'", "xn--bcher-kva.example", vec!["xn--bcher-kva.example"]),
        ("url: 'https://10.0.0.1', prefix: '10'", "10", vec!["10.0.0.1"]),
        ("url: 'https://h.example/artifactory/api/docker/r'", "h.example", vec!["h.example"]),
        (
            "url: 'https://quay.io', ns: ['QUAY.IO:443', 'quay.io', 'q:5000']",
            "quay.io",
            vec!["quay.io", "q:5000"],
        ),
    ] {
        let resolved = only(&format!("name: a, {upstream}"));
        assert_eq!((resolved.prefix.as_deref(), texts(&resolved.ns)), (Some(prefix), ns), "{upstream}");
    }
}

#[test]
fn an_ns_that_one_upstream_names_is_no_default_of_another() {
    let both = resolved(
        "upstreams: [{ name: a, url: 'https://ghcr.io', prefix: team-a, path: team-a }, \
         { name: b, url: 'https://ghcr.io', ns: [ghcr.io] }]",
    );
    assert_eq!(texts(&both[0].ns), ["team-a"]);
    assert_eq!(texts(&both[1].ns), ["ghcr.io"]);
}

#[test]
fn every_kind_of_account_is_resolved() {
    let account = |keys: &str| only(&format!("name: a, url: 'https://a.example', {keys}")).account;
    let (user, path) = ("u".to_owned(), "/run/p".into());
    assert_eq!(account("username: u, passwordfile: /run/p"), UpstreamAccount::PasswordFile { user, path });
    assert_eq!(account("dockerconfig: /c.json"), UpstreamAccount::DockerConfig("/c.json".into()));
    for (lifetime, expected) in [
        ("", None),
        (", lifetime: 0", Some(Duration::ZERO)),
        (", lifetime: 0s", Some(Duration::ZERO)),
        (", lifetime: 12h", Some(Duration::from_secs(12 * 3600))),
    ] {
        let command = "docker-credential-x".to_owned();
        let exec = account(&format!("exec: {{ command: docker-credential-x{lifetime} }}"));
        assert_eq!(exec, UpstreamAccount::Exec { command, lifetime: expected });
    }
}

#[test]
fn all_keys_of_an_upstream_reach_it() {
    let text = "\
version: 0.1
storage: inmemory
proxy:
  offline: true
  default: hub
  local: [team/**]
  maxsize: 500GiB
  ttl: 720h
  upstreams:
    - name: hub
      url: https://docker.io
      hosts: [Hub.mirror.example]
      path: team
      username: robot
      passwordfile: /run/secrets/hub
      public: true
      realms: [auth.example, '[::1]']
      redirects: [10.0.0.1]
      ca: /ca.pem
      clientcertificate: /c.pem
      clientkey: /k.pem
      repositories: { allow: ['library/*'], deny: [library/secret] }
      tags: { fresh: 1m, stale: 24h, deleted: forget, refused: keep, immutable: ['^v1'], missing: 5s }
      maxsize: 200GiB
      connections: 4
      requests: 10
      bandwidth: 1MiB
      timeouts: { connect: 1s, answer: 2s, stall: 3s }
";
    let checked = checked(text, &[]);
    assert_eq!((checked.mistakes.as_str(), checked.warnings.as_str()), ("", ""));
    let proxy = checked.proxy();
    assert!(proxy.offline && proxy.is_cache());
    assert_eq!(proxy.default.as_deref(), Some("hub"));
    assert_eq!(proxy.local[0].as_str(), "team/**");
    assert_eq!(proxy.max_size_bytes(), Some(500 << 30));
    assert_eq!(proxy.expiry(), Some(Duration::from_secs(720 * 3600)));
    let hub = proxy.resolved_upstreams().remove(0);
    assert_eq!(texts(&hub.hosts), ["hub.mirror.example"]);
    assert_eq!((hub.path.as_deref(), hub.public), (Some("team"), true));
    assert_eq!(
        (hub.realms.as_slice(), hub.redirects.as_slice()),
        (&["auth.example".to_owned(), "[::1]".to_owned()][..], &["10.0.0.1".to_owned()][..])
    );
    assert_eq!(hub.ca.as_deref(), Some("/ca.pem".as_ref()));
    assert_eq!(hub.clientcertificate.as_deref(), Some("/c.pem".as_ref()));
    assert_eq!(hub.clientkey.as_deref(), Some("/k.pem".as_ref()));
    assert_eq!((hub.repositories.allow.len(), hub.repositories.deny.len()), (1, 1));
    assert_eq!((hub.tags.stale, hub.tags.deleted), (Some(Duration::from_secs(24 * 3600)), WhenGone::Forget));
    assert!(hub.tags.immutable[0].as_regex().is_match("v1.2"));
    assert_eq!((hub.maxsize, hub.connections), (Some(200 << 30), 4));
    assert_eq!((hub.requests, hub.bandwidth), (Some(10), Some(1 << 20)));
    assert_eq!(hub.timeouts.stall, Duration::from_secs(3));
}

#[test]
fn zero_is_no_bound_and_no_expiry_and_the_default_of_the_write_timeout() {
    let proxy = |keys: &str| checked(&file(keys), &[]).config.proxy.unwrap();
    let zero = proxy("ttl: 0, maxsize: 0, cachewritetimeout: 0s");
    assert_eq!((zero.expiry(), zero.max_size_bytes()), (None, None));
    assert_eq!(zero.write_timeout(), Duration::from_secs(300));
    let unset = proxy("offline: false");
    assert_eq!((unset.expiry(), unset.max_size_bytes()), (Some(Duration::from_secs(168 * 3600)), None));
    assert_eq!(unset.write_timeout(), Duration::from_secs(300));
}
