//! From the names in a request to an upstream.

use sampan::http::HttpServices;
use serde_json::json;

use super::support::{TestClock, World, caches, clean, settings};
use crate::support::{Answer, Server, Setup, Upstream};

/// A registry with two upstreams: `hub`, which is the default and adds `library/`, and `quay`, below a path there.
struct Two {
    server: Server,
    hub: Upstream,
    quay: Upstream,
}

impl Two {
    async fn new() -> Self {
        let (hub, quay, clock) = (Upstream::start().await, Upstream::start().await, TestClock::default());
        let mut of_hub = settings("hub", &hub.url(), &clock);
        of_hub.library = true;
        let mut of_quay = settings("quay", &quay.url(), &clock);
        of_quay.path = Some("group".parse().unwrap());
        let caches = Some(caches(vec![of_hub, of_quay], Some("hub")));
        let server = Server::with_services(HttpServices { caches, ..HttpServices::default() });
        Self { server, hub, quay }
    }

    async fn get(&self, host: &str, path: &str) -> Answer {
        clean(self.server.call("GET", path).header("host", host).send().await)
    }
}

#[tokio::test]
async fn all_spellings_of_an_image_are_one_in_the_store() {
    let two = Two::new().await;
    let nginx = two.hub.image("library/nginx", "latest", &[b"one"]);
    let tool = two.quay.image("group/tool", "latest", &[b"one"]);
    for (host, path, digest) in [
        ("here", "/v2/hub/library/nginx/manifests/latest", &nginx.digest),
        ("here", "/v2/hub/nginx/manifests/latest", &nginx.digest),
        ("here", "/v2/nginx/manifests/latest", &nginx.digest),
        ("here", "/v2/library/nginx/manifests/latest", &nginx.digest),
        ("here", "/v2/nginx/manifests/latest?ns=hub.example", &nginx.digest),
        ("here:5000", "/v2/library/nginx/manifests/latest?ns=HUB.EXAMPLE", &nginx.digest),
        ("here", "/v2/nginx/manifests/latest?ns=hub.example%3A443", &nginx.digest),
        ("hub.mirror.example", "/v2/nginx/manifests/latest", &nginx.digest),
        ("HUB.mirror.example:5000", "/v2/library/nginx/manifests/latest", &nginx.digest),
        // A path with the prefix needs no `ns`.
        ("here", "/v2/hub/nginx/manifests/latest?ns=hub.example", &nginx.digest),
        ("here", "/v2/hub/library/nginx/manifests/latest?ns=unknown.example", &nginx.digest),
        // `ns` comes before the host.
        ("hub.mirror.example", "/v2/tool/manifests/latest?ns=quay.example", &tool.digest),
        ("here", "/v2/quay/tool/manifests/latest", &tool.digest),
        ("quay.mirror.example", "/v2/tool/manifests/latest", &tool.digest),
        // An empty host counts as no host.
        ("here", "/v2/nginx/manifests/latest?ns=", &nginx.digest),
    ] {
        let answer = two.get(host, path).await.expect(200);
        assert_eq!(answer.header("docker-content-digest"), digest.to_string(), "{host} {path}");
    }
    // One HEAD and one GET each.
    assert_eq!((two.hub.requests().len(), two.quay.requests().len()), (2, 2));
    let catalog = two.get("here", "/v2/_catalog").await.expect(200);
    assert_eq!(catalog.json()["repositories"], json!(["hub/library/nginx", "quay/tool"]));
}

/// Fails if `ns` is anything but a key: none of these may be dialled, or change the answer for another registry.
#[tokio::test]
async fn an_unknown_registry_is_unknown_whatever_its_name() {
    let two = Two::new().await;
    two.hub.image("library/nginx", "latest", &[b"one"]);
    let address = two.hub.url();
    let long = "x".repeat(4000);
    for ns in [
        "docker.io",
        "hub",
        "hub.example:444",
        "hub.example.",
        ".hub.example",
        "hub.example/",
        "hub.example/v2",
        "https://hub.example",
        "user@hub.example",
        "hub.example%00",
        "hub.example%0d%0aX-Evil:1",
        "%22%3E%3Cscript%3E",
        "169.254.169.254",
        "localhost",
        "[::1]",
        "*",
        "%",
        "..%2Fhub.example",
        "hub.example%23",
        "%C3%A4",
        "%FF",
        "hub.example%2Cquay.example",
        &address,
        &long,
    ] {
        for (method, path) in [
            ("GET", "/v2/nginx/manifests/latest"),
            ("HEAD", "/v2/nginx/manifests/latest"),
            ("GET", "/v2/nginx/tags/list"),
            ("GET", "/v2/hub2/library/nginx/manifests/latest"),
            ("PUT", "/v2/team/app/manifests/latest"),
            ("POST", "/v2/team/app/blobs/uploads/"),
            ("DELETE", "/v2/library/nginx/manifests/latest"),
        ] {
            let answer = two.server.call(method, format!("{path}?ns={ns}")).send().await;
            assert_eq!(answer.status, 404, "{method} {path} {ns}: {answer:?}");
            assert!(answer.body.len() < 1000 && !answer.has_header("x-evil"), "{answer:?}");
            if method != "HEAD" {
                let answer = answer.expect_error(404, "NAME_UNKNOWN");
                let known = answer.details()[0].as_str().unwrap().to_owned();
                assert!(known.ends_with("it caches hub.example, quay.example"), "{known}");
            }
        }
    }
    assert_eq!(two.hub.requests().len() + two.quay.requests().len(), 0);
}

#[tokio::test]
async fn hostile_names_are_refused_before_any_request() {
    let two = Two::new().await;
    for name in [
        "..",
        "hub/..",
        "hub/a/../b",
        "hub//a",
        "hub/A",
        "hub/a%2fb",
        "hub/%2e%2e/a",
        "hub/a?x",
        "-a",
        "hub/_a",
    ] {
        let answer = two.server.call("GET", format!("/v2/{name}/manifests/latest")).send().await;
        assert!(answer.status.is_client_error() || answer.status == 301, "{name}: {answer:?}");
    }
    // Valid alone, and too long with the prefix.
    let long = ["a"; 127].join("/") + "/b";
    two.get("hub.mirror.example", &format!("/v2/{long}/manifests/latest"))
        .await
        .expect_error(400, "NAME_INVALID");
    assert_eq!(two.hub.requests(), [""; 0]);
}

#[tokio::test]
async fn local_repositories_are_ordinary_and_all_others_belong_to_the_default() {
    let two = Two::new().await;
    two.server.push_image("team/app", "latest", "1").await;
    let answer = two.get("here", "/v2/team/app/manifests/latest").await.expect(200);
    assert!(!answer.has_header("cache-status"));
    two.get("here", "/v2/team/other/manifests/latest").await.expect_error(404, "MANIFEST_UNKNOWN");
    assert_eq!(two.hub.requests(), [""; 0]);
    // The upstream's of the same name is another.
    let theirs = two.hub.image("team/app", "latest", &[b"theirs"]);
    for path in ["/v2/hub/team/app/manifests/latest", "/v2/team/app/manifests/latest?ns=hub.example"] {
        let answer = two.get("here", path).await.expect(200);
        assert_eq!(answer.header("docker-content-digest"), theirs.digest.to_string());
    }
    two.server.call("POST", "/v2/application/blobs/uploads/").send().await.expect_error(405, "UNSUPPORTED");
    two.server.call("POST", "/v2/teams/app/blobs/uploads/").send().await.expect_error(405, "UNSUPPORTED");
}

#[tokio::test]
async fn without_a_default_other_names_are_ordinary() {
    let world = World::new().await;
    world.upstream.image("app", "latest", &[b"one"]);
    world.get("/v2/app/manifests/latest").await.expect_error(404, "MANIFEST_UNKNOWN");
    world.get("/v2/upper/app/manifests/latest").await.expect_error(404, "MANIFEST_UNKNOWN");
    world.server.push_image("app", "latest", "1").await;
    world.server.push_image("up2/app", "latest", "1").await;
    // The prefix itself is no repository of the upstream.
    world.server.push_image("up", "latest", "1").await;
    assert_eq!(world.upstream.requests(), [""; 0]);
}

#[tokio::test]
async fn a_registry_that_is_nothing_but_a_cache_has_every_name_as_the_upstream() {
    let world = World::with(|upstream, _| {
        upstream.prefix = None;
        upstream.ns = Vec::new();
    })
    .await;
    let image = world.upstream.image("library/nginx", "latest", &[b"one"]);
    for path in ["/v2/library/nginx/manifests/latest", "/v2/library/nginx/manifests/latest?ns=docker.io"] {
        let answer = world.get(path).await.expect(200);
        assert_eq!(answer.header("docker-content-digest"), image.digest.to_string());
    }
    assert_eq!(world.upstream.requests().len(), 2);
}

/// A store of this registry in which the repository was ordinary before.
#[tokio::test]
async fn a_repository_that_was_ordinary_before_is_served_as_the_cache() {
    let upstream = Upstream::start().await;
    let setup = Setup::default();
    let driver = setup.driver.clone();
    let pushed = Server::with(setup).push_image("up/app", "mine", "1").await;
    let services = || {
        let caches = Some(caches(vec![settings("up", &upstream.url(), &TestClock::default())], None));
        HttpServices { caches, ..HttpServices::default() }
    };
    let server = Server::with(Setup { driver, services: services(), ..Setup::default() });
    let answer = server.call("GET", "/v2/up/app/manifests/mine").send().await.expect(200);
    assert_eq!((answer.body, upstream.requests()), (pushed, vec!["HEAD /v2/app/manifests/mine".to_owned()]));
}

/// Fails if the source of a mount is looked up by another rule than a pull.
#[tokio::test]
async fn the_source_of_a_mount_is_a_name_like_any_other() {
    let two = Two::new().await;
    let nginx = two.hub.image("library/nginx", "latest", &[b"one"]);
    let blob = &nginx.blobs[1];
    two.get("here", &format!("/v2/library/nginx/blobs/{blob}")).await.expect(200);
    while two.server.files().await.iter().all(|(path, _)| !path.contains("/_layers/")) {
        tokio::task::yield_now().await;
    }
    for (number, from) in ["hub/library/nginx", "library/nginx", "nginx", "hub/nginx"].into_iter().enumerate()
    {
        let path = format!("/v2/team/app{number}/blobs/uploads/?mount={blob}&from={from}");
        two.server.call("POST", path).send().await.expect(201);
    }
}

/// HTTP/2 has the host in the URI.
#[tokio::test]
async fn a_host_may_have_a_port_of_its_own() {
    for (configured, asked, is_meant) in [
        ("hub.mirror.example", "hub.mirror.example:5000", true),
        ("hub.mirror.example:5000", "hub.mirror.example:5000", true),
        ("hub.mirror.example:5000", "hub.mirror.example:5001", false),
        ("hub.mirror.example:5000", "hub.mirror.example", false),
        ("hub.mirror.example", "hub.mirror.example:443", true),
    ] {
        let world = World::with(|upstream, _| upstream.hosts = vec![configured.to_owned()]).await;
        world.upstream.image("app", "latest", &[b"one"]);
        let status = if is_meant { 200 } else { 404 };
        let path = "/v2/app/manifests/latest";
        let call = world.server.call("GET", path).header("host", asked);
        call.send().await.expect(status);
        world.server.call("GET", format!("http://{asked}{path}")).send().await.expect(status);
    }
}
