//! A host that is a cache of one upstream: Docker sends the login of Docker Hub to it.

use sampan_cache::{CacheSettings, Caches, TagSettings, UpstreamSettings, WhenGone};
use sampan_engine::fill::{FillOptions, Fills};

use super::*;

/// Docker Hub, also under a host of its own, without a connection to it.
fn caches() -> Caches {
    let hub = UpstreamSettings {
        name: "hub".to_owned(),
        address: "http://127.0.0.1:1".parse().unwrap(),
        prefix: Some("docker.io".parse().unwrap()),
        ns: vec!["docker.io".to_owned()],
        hosts: vec!["hub.example".to_owned()],
        library: true,
        path: None,
        allowed: Arc::new(|_| true),
        tags: TagSettings {
            fresh: Duration::ZERO,
            stale: None,
            deleted: WhenGone::Keep,
            refused: WhenGone::Keep,
            immutable: Arc::new(|_| false),
            missing: Duration::ZERO,
        },
        client: Default::default(),
        connections: 1,
        requests_per_second: 0,
        bytes_per_second: 0,
        complete: Duration::ZERO,
    };
    let settings =
        CacheSettings { upstreams: vec![hub], default: None, local: Arc::new(|_| true), offline: true };
    Caches::new(settings, Fills::new(FillOptions::default())).unwrap()
}

async fn site(rules: &'static str) -> Fixture {
    Fixture::with(Plan { rules, caches: Some(caches()), ..Plan::default() }).await
}

const OPEN: &str =
    "rules:\n- {who: everyone, may: pull, on: 'docker.io/**'}\n- {who: users, may: pull, on: '**'}\n";
const MIXED: &str =
    "rules:\n- {who: everyone, may: pull, on: 'docker.io/library/*'}\n- {who: users, may: pull, on: '**'}\n";

/// The statuses of requests with each of these credentials.
async fn statuses(site: &Fixture, host: &str, path: &str, credentials: &[Option<&str>]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for authorization in credentials {
        let mut call = site.server.call("GET", path).header("host", host);
        if let Some(authorization) = authorization {
            call = call.header("authorization", authorization);
        }
        statuses.push(call.send().await.status.as_u16());
    }
    statuses
}

#[tokio::test]
async fn a_foreign_login_is_ignored_where_no_login_is_needed() {
    let site = site(OPEN).await;
    let foreign = basic("hub-user", "hub-password");
    let all = [None, Some(&*foreign), Some("Bearer of.another.registry"), Some("nonsense")];
    assert_eq!(statuses(&site, "hub.example", "/v2/", &all).await, [200; 4]);
    // 404: nothing is stored, and the cache is offline.
    for path in ["/v2/library/nginx/manifests/1", "/v2/nginx/tags/list", "/v2/docker.io/x/manifests/1"] {
        assert_eq!(statuses(&site, "hub.example:5000", path, &all).await, [404; 4], "{path}");
    }
    // Nor does it count as a failed login: these are more than an address may have.
    for _ in 0..50 {
        let path = "/v2/library/nginx/manifests/1";
        assert_eq!(statuses(&site, "hub.example", path, &[Some(&*foreign)]).await, [404]);
    }
    site.get("/v2/", Some(&user("alice"))).await.expect(200);
}

#[tokio::test]
async fn other_hosts_judge_every_login() {
    let site = site(OPEN).await;
    let foreign = basic("hub-user", "hub-password");
    for path in ["/v2/", "/v2/docker.io/library/nginx/manifests/1"] {
        assert_eq!(statuses(&site, "registry.example", path, &[Some(&*foreign)]).await, [401], "{path}");
    }
    assert_eq!(statuses(&site, "registry.example", "/v2/", &[None]).await, [401]);
}

/// As RFC 9112, 3.2.2, has it; HTTP/2 has the host in the URI too.
#[tokio::test]
async fn the_host_of_the_uri_comes_before_the_header() {
    let site = site(OPEN).await;
    let foreign = basic("hub-user", "hub-password");
    for (uri, header, status) in [
        ("http://hub.example/v2/", "registry.example", 200),
        ("http://hub.example:5000/v2/", "registry.example", 200),
        ("http://registry.example/v2/", "hub.example", 401),
    ] {
        assert_eq!(statuses(&site, header, uri, &[Some(&*foreign)]).await, [status], "{uri}, {header}");
    }
}

#[tokio::test]
async fn a_host_where_some_clients_log_in_asks_for_it() {
    let site = site(MIXED).await;
    let (foreign, alice) = (basic("hub-user", "hub-password"), user("alice"));
    let all = [None, Some(&*foreign), Some(&*alice)];
    assert_eq!(statuses(&site, "hub.example", "/v2/", &all).await, [401, 401, 200]);
    assert_eq!(statuses(&site, "hub.example", "/v2/nginx/manifests/1", &all).await, [404; 3]);
    assert_eq!(statuses(&site, "hub.example", "/v2/team/x/manifests/1", &all).await, [401, 401, 404]);
    // The host gives no more than the rules do.
    assert_eq!(statuses(&site, "hub.example", "/v2/_catalog", &all).await, [401, 401, 200]);
}
