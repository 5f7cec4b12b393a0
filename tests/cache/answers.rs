//! Answers to clients while the upstream gives no good one: with something stored, and with nothing.

use std::time::Duration;

use sampan::http::HttpServices;
use sampan_cache::{UpstreamSettings, WhenGone};

use super::support::{TestClock, World, caches, clean, impatient, settings, with_account};
use crate::support::Server;
use crate::support::hostile_server::{Authority, Gate, Reply, Server as HostileServer};
use crate::support::upstream::{Login, error};

/// The status, the code of an error, and a header's value: `Cache-Status` of a success, `Retry-After` of an error.
type Expected = (u16, &'static str, Option<&'static str>);

const STALE: Expected = (200, "", Some("sampan; hit; detail=stale"));
const UNKNOWN: Expected = (404, "MANIFEST_UNKNOWN", None);
const AWAY: Expected = (502, "UNAVAILABLE", Some("5"));
const WRONG: Expected = (502, "UNAVAILABLE", None);

/// Asks for a stored tag, and for a tag and a manifest that are not here, while the upstream answers so.
async fn check(
    what: &str,
    change: fn(&mut UpstreamSettings),
    misbehave: impl FnOnce(&World),
    stored: Expected,
    absent: Expected,
) {
    let world = World::with(|upstream, _| change(upstream)).await;
    if world.caches.upstreams()[0].name() == "up" {
        world.upstream.want(Login::Token);
    }
    let image = world.upstream.image("app", "latest", &[b"one"]);
    let unseen = world.upstream.image("app", "unseen", &[b"two"]);
    let has_account = what.starts_with("account");
    if !has_account {
        world.upstream.want(Login::None);
    }
    world.manifest("latest").await.expect(200);
    world.clock.advance(Duration::from_secs(60));
    misbehave(&world);
    for method in ["GET", "HEAD"] {
        for (reference, (status, code, header)) in [
            ("latest".to_owned(), stored),
            ("unseen".to_owned(), absent),
            (unseen.digest.to_string(), absent),
        ] {
            // All memory is old, and an upstream that was away is asked again.
            world.clock.advance(Duration::from_secs(100));
            let answer = world.call(method, format!("/v2/up/app/manifests/{reference}")).await;
            assert!(answer.header("cache-status").starts_with("sampan; "), "{what}: {answer:?}");
            let told = (
                answer.status.as_u16(),
                answer.headers.get(if code.is_empty() { "cache-status" } else { "retry-after" }),
            );
            let told = (told.0, told.1.map(|value| value.to_str().unwrap()));
            assert_eq!(told, (status, header), "{what}: {method} {reference}: {answer:?}");
            if method == "GET" && !code.is_empty() {
                answer.expect_error(status, code);
            } else if method == "GET" {
                assert_eq!(answer.body, image.manifest, "{what}");
            }
        }
        // By digest it stays.
        let answer = world.call(method, format!("/v2/up/app/manifests/{}", image.digest)).await.expect(200);
        assert_eq!(answer.header("cache-status"), "sampan; hit", "{what}");
    }
}

fn same(_: &mut UpstreamSettings) {}

#[tokio::test]
async fn an_upstream_that_does_not_show_it_has_no_new_content() {
    for (what, status) in [("not found", 404), ("login required", 401), ("denied", 403)] {
        let misbehave = |world: &World| world.upstream.answer_all(error(status, "NAME_UNKNOWN"));
        check(what, same, misbehave, STALE, UNKNOWN).await;
    }
    check("token refused", same, |world| world.upstream.want(Login::Token), STALE, UNKNOWN).await;
}

#[tokio::test]
async fn an_upstream_that_fails_is_replaced_by_what_is_stored() {
    for (what, reply, absent) in [
        ("500", error(500, "UNKNOWN"), AWAY),
        ("502", error(502, "UNKNOWN"), AWAY),
        ("503", error(503, "UNKNOWN").header("Retry-After", 3), AWAY),
        ("504", error(504, "UNKNOWN"), (504, "UNAVAILABLE", Some("5"))),
        ("broken", Reply::broken(), AWAY),
        ("cut", Reply::new(200).announcing(Some(1000)).cut_after(0), AWAY),
        (
            "limited",
            error(429, "TOOMANYREQUESTS").header("Retry-After", 77),
            (429, "TOOMANYREQUESTS", Some("77")),
        ),
        ("limited without a time", error(429, "TOOMANYREQUESTS"), (429, "TOOMANYREQUESTS", Some("60"))),
        (
            "limited for ever",
            error(429, "TOOMANYREQUESTS").header("Retry-After", "99999999999999999999"),
            (429, "TOOMANYREQUESTS", Some("86400")),
        ),
        ("bad request", error(400, "UNSUPPORTED"), WRONG),
        ("teapot", error(418, "UNKNOWN"), WRONG),
        ("nothing", Reply::new(200), WRONG),
        ("redirected in a circle", Reply::new(302).header("Location", "/v2/"), WRONG),
        ("redirected inside", Reply::new(307).header("Location", "http://169.254.169.254/latest"), WRONG),
        ("portal", Reply::new(200).header("Content-Type", "text/html").body("<html>log in</html>"), WRONG),
        ("portal with JSON", Reply::new(200).json(r#"{"login":"here"}"#), WRONG),
        ("token server inside", challenge("http://169.254.169.254/token"), WRONG),
        ("token server without TLS", challenge("http://auth.example/token"), WRONG),
        ("unknown challenge", error(401, "UNAUTHORIZED").header("WWW-Authenticate", "Negotiate"), WRONG),
        ("redirected to a portal", Reply::new(302).header("Location", "/portal"), WRONG),
    ] {
        let misbehave = move |world: &World| {
            world.upstream.script(move |seen, _| match seen.path() {
                "/portal" => Reply::new(200).json(r#"{"login":"here"}"#),
                _ => reply.clone(),
            });
        };
        check(what, same, misbehave, STALE, absent).await;
    }
}

#[tokio::test]
async fn a_silent_upstream_is_replaced_by_what_is_stored() {
    let misbehave = |world: &World| world.upstream.answer_all(Reply::new(200).behind(&Gate::new()));
    check("silent", impatient, misbehave, STALE, (504, "UNAVAILABLE", Some("5"))).await;
}

#[tokio::test]
async fn an_account_that_is_refused_is_an_error_of_ours_and_takes_the_tag_away() {
    const DENIED: Expected = (502, "DENIED", None);
    fn keep(upstream: &mut UpstreamSettings) {
        with_account(upstream);
        upstream.tags.refused = WhenGone::Keep;
    }
    for status in [401, 403] {
        let misbehave = |world: &World| world.upstream.answer_all(error(status, "DENIED"));
        check("account: forget", with_account, misbehave, UNKNOWN, DENIED).await;
        check("account: keep", keep, misbehave, STALE, DENIED).await;
    }
    // The token server refuses it.
    let misbehave = |world: &World| {
        world.upstream.script(|seen, reply| match seen.path() {
            "/token" => error(401, "DENIED"),
            _ if seen.header("authorization").is_none() => reply,
            _ => error(401, "DENIED").header(
                "WWW-Authenticate",
                format!(r#"Bearer realm="http://{}/token""#, seen.header("host").unwrap()),
            ),
        });
    };
    check("account: no token", with_account, misbehave, UNKNOWN, DENIED).await;
}

#[tokio::test]
async fn what_is_deleted_there_is_kept_or_forgotten() {
    fn forget(upstream: &mut UpstreamSettings) {
        upstream.tags.deleted = WhenGone::Forget;
    }
    let misbehave = |world: &World| world.upstream.answer_all(error(404, "MANIFEST_UNKNOWN"));
    check("forget", forget, misbehave, UNKNOWN, UNKNOWN).await;
    // Only an answer takes it away.
    check("forget", forget, |world| world.upstream.answer_all(error(500, "UNKNOWN")), STALE, AWAY).await;
}

#[tokio::test]
async fn offline_no_request_is_sent() {
    let misbehave = |world: &World| {
        world.caches.set_offline(true);
        world.upstream.script(|seen, _| panic!("{seen:?}"));
    };
    check("offline", same, misbehave, STALE, (404, "NAME_UNKNOWN", None)).await;
    let world = World::new().await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    world.caches.set_offline(true);
    for path in [
        format!("/v2/up/app/blobs/{}", image.blobs[0]),
        "/v2/up/app/tags/list".to_owned(),
        "/v2/up/app/manifests/latest".to_owned(),
    ] {
        let answer = world.get(&path).await.expect_error(404, "NAME_UNKNOWN");
        assert!(answer.body.windows(7).any(|text| text == b"offline"), "{path}: {answer:?}");
    }
    assert_eq!(world.upstream.requests(), [""; 0]);
    world.caches.set_offline(false);
    world.manifest("latest").await.expect(200);
}

/// Fails if the answer that there is nothing is not remembered, or for longer than it may be.
#[tokio::test]
async fn not_found_is_remembered_for_a_while() {
    let world = World::new().await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    let references = ["later".to_owned(), image.digest.to_string()];
    for reference in &references {
        world.upstream.answer_all(error(404, "MANIFEST_UNKNOWN"));
        world.upstream.requests();
        for _ in 0..3 {
            world.manifest(reference).await.expect_error(404, "MANIFEST_UNKNOWN");
        }
        assert_eq!(world.upstream.requests().len(), 1);
        world.upstream.behave();
        world.upstream.manifest("app", "later", "", &image.manifest);
        world.upstream.image("app", "later", &[b"later"]);
        world.clock.advance(Duration::from_secs(29));
        world.manifest(reference).await.expect(404);
        world.clock.advance(Duration::from_secs(1));
        world.manifest(reference).await.expect(200);
    }
}

#[tokio::test]
async fn a_tag_is_served_stale_for_as_long_as_the_rule_says() {
    let hour = Duration::from_secs(3600);
    let world = World::with(|upstream, _| upstream.tags.stale = Some(hour)).await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    world.manifest("latest").await.expect(200);
    world.upstream.answer_all(error(500, "UNKNOWN"));
    world.clock.advance(hour);
    world.manifest("latest").await.expect(200);
    world.clock.advance(Duration::from_secs(1));
    world.manifest("latest").await.expect_error(502, "UNAVAILABLE");
    world.caches.set_offline(true);
    // No upstream is asked then, so the rule has no say.
    world.manifest("latest").await.expect(200);
    world.manifest(&image.digest).await.expect(200);
    world.caches.set_offline(false);
    world.upstream.behave();
    world.manifest("latest").await.expect(200);
}

/// Fails if an error repeats the words of the upstream: `clean` looks for them in each answer of these tests.
#[tokio::test]
async fn an_error_names_the_upstream_as_the_configuration_does() {
    let world = World::new().await;
    world.upstream.answer_all(error(500, "UNKNOWN"));
    let answer = world.manifest("latest").await.expect_error(502, "UNAVAILABLE");
    let reason = "upstream up responds with status 500, and this registry has not cached it";
    assert_eq!(answer.details(), [reason]);
    let listed =
        World::with(|upstream, _| upstream.allowed = std::sync::Arc::new(|name| name != "app")).await;
    let answer = listed.manifest("latest").await.expect_error(404, "NAME_UNKNOWN");
    assert_eq!(answer.details(), ["upstream up is not configured to be asked for app"]);
    assert_eq!(listed.upstream.requests(), [""; 0]);
}

fn challenge(realm: &str) -> Reply {
    error(401, "UNAUTHORIZED").header("WWW-Authenticate", format!(r#"Bearer realm="{realm}""#))
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_or_trusted_is_away() {
    let untrusted = Authority::new().acceptor("upstream.example", None);
    let with_tls = HostileServer::start_with(Some(untrusted), |_| None, |_| Reply::new(200)).await;
    let gone = HostileServer::start(|_| Reply::new(200)).await.url();
    for (url, reason, detail) in
        [(with_tls.url(), "certificate", "untrusted-certificate"), (gone, "cannot be reached", "unreachable")]
    {
        let caches = Some(caches(vec![settings("up", &url, &TestClock::default())], None));
        let server = Server::with_services(HttpServices { caches, ..HttpServices::default() });
        let answer = server.call("GET", "/v2/up/app/manifests/latest").send().await;
        let answer = clean(answer).expect_error(502, "UNAVAILABLE");
        assert_eq!(answer.header("retry-after"), "5");
        assert_eq!(answer.header("cache-status"), format!("sampan; fwd=uri-miss; detail={detail}"));
        assert!(answer.details()[0].as_str().unwrap().contains(reason), "{answer:?}");
    }
}

/// Fails if a redirect of a blob leads this registry inside its network.
#[tokio::test]
async fn blobs_are_not_fetched_from_internal_addresses() {
    for target in
        ["http://169.254.169.254/latest", "http://[fd00:ec2::254]/", "file:///etc/passwd", "http://0/"]
    {
        let world = World::new().await;
        let blob = world.upstream.blob("app", "content");
        world.upstream.answer_all(Reply::new(307).header("Location", target));
        for method in ["HEAD", "GET"] {
            let answer = world.call(method, format!("/v2/up/app/blobs/{blob}")).await.expect(502);
            assert!(!answer.has_header("location"), "{target}");
        }
    }
}
