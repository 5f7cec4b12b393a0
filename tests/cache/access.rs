//! Rights on caches: those of the stored name, before anything is asked.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use http::HeaderValue;
use sampan::auth::{Access, AccessController, ChallengeReason, Credentials, Denied, Grant};

use super::support::World;

/// Grants the scopes in the `Authorization` header, and records those that were wanted.
#[derive(Clone, Debug, Default)]
struct ByHeader(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl AccessController for ByHeader {
    async fn authorize(&self, credentials: &Credentials<'_>, wanted: &[Access]) -> Result<Grant, Denied> {
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        self.0.lock().unwrap().clone_from(&wanted);
        let granted = credentials.authorization.map_or("", |header| header.to_str().unwrap());
        if wanted.iter().all(|scope| granted.split(' ').any(|granted| granted == scope)) {
            return Ok(Grant::to("anne"));
        }
        let challenge = HeaderValue::try_from(format!("Bearer realm=\"r\",scope=\"{}\"", wanted.join(" ")));
        Err(Denied::Challenge { challenges: vec![challenge.unwrap()], reason: ChallengeReason::Missing })
    }
}

/// Fails if an endpoint asks for the name in the path, or asks the upstream first.
#[tokio::test]
async fn a_client_without_pull_on_the_stored_name_gets_nothing_and_causes_nothing() {
    let access = ByHeader::default();
    let shared = access.clone();
    let world = World::with(|_, setup| setup.access = Arc::new(shared)).await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    let all = "repository:up/app:pull";
    let (manifest, blob) = (&image.digest, &image.blobs[1]);
    let paths = [
        "manifests/latest".to_owned(),
        format!("manifests/{manifest}"),
        format!("blobs/{blob}"),
        "tags/list".to_owned(),
        format!("referrers/{manifest}"),
    ];
    // Once with nothing stored, once with all.
    for is_stored in [false, true] {
        world.upstream.requests();
        for path in &paths {
            for (full, host) in [
                (format!("/v2/up/app/{path}"), "here"),
                (format!("/v2/app/{path}?ns=up.example"), "here"),
                (format!("/v2/app/{path}"), "up.mirror.example"),
            ] {
                for method in ["GET", "HEAD"] {
                    for authorization in [None, Some("repository:app:pull"), Some("repository:up/app2:pull")]
                    {
                        let call = world.server.call(method, &full).header("host", host);
                        let call = call.header("range", "bytes=0-0").header("if-none-match", "*");
                        let call = match authorization {
                            Some(authorization) => call.header("authorization", authorization),
                            None => call,
                        };
                        let answer = call.send().await.expect(401);
                        assert_eq!(
                            answer.header("www-authenticate"),
                            format!("Bearer realm=\"r\",scope=\"{all}\"")
                        );
                        let text = format!("{answer:?}");
                        assert!(
                            !text.contains(&manifest.to_string()[7..]) && !answer.has_header("cache-status"),
                            "{text}"
                        );
                    }
                }
            }
        }
        assert_eq!(world.upstream.requests(), [""; 0], "{is_stored}");
        for path in &paths {
            let call = world.server.call("GET", format!("/v2/up/app/{path}"));
            call.header("authorization", all).send().await.expect(200);
        }
        world.settle().await;
    }
    assert_eq!(*access.0.lock().unwrap(), [all]);
}

#[tokio::test]
async fn a_push_into_a_cache_is_refused_to_those_alone_who_may_push_there() {
    let access = ByHeader::default();
    let world = World::with(|_, setup| setup.access = Arc::new(access)).await;
    let path = "/v2/app/blobs/uploads/?ns=up.example";
    let answer = world.server.call("POST", path).send().await.expect(401);
    let scope = "repository:up/app:pull repository:up/app:push";
    assert!(answer.header("www-authenticate").contains(scope), "{answer:?}");
    let call = world.server.call("POST", path).header("authorization", scope);
    call.send().await.expect_error(405, "UNSUPPORTED");
}

/// Fails if a mount reads a cache without the right to pull from it.
#[tokio::test]
async fn mounting_from_a_cache_needs_pull_on_it() {
    let access = ByHeader::default();
    let world = World::with(|_, setup| setup.access = Arc::new(access)).await;
    let image = world.upstream.image("app", "latest", &[b"one"]);
    let blob = &image.blobs[1];
    let (own, theirs) = ("repository:team/app:pull repository:team/app:push", "repository:up/app:pull");
    let call = world.server.call("GET", format!("/v2/up/app/blobs/{blob}"));
    call.header("authorization", theirs).send().await.expect(200);
    world.settle().await;
    let mount = || world.server.call("POST", format!("/v2/team/app/blobs/uploads/?mount={blob}&from=up/app"));
    mount().header("authorization", own).send().await.expect(401);
    mount().header("authorization", &format!("{own} {theirs}")).send().await.expect(201);
}

/// The names of upstreams may be internal.
#[tokio::test]
async fn the_known_registries_are_listed_only_to_clients_that_may_use_this_one() {
    #[derive(Debug)]
    struct Closed;

    #[async_trait]
    impl AccessController for Closed {
        async fn authorize(&self, _: &Credentials<'_>, _: &[Access]) -> Result<Grant, Denied> {
            let challenges = vec![HeaderValue::from_static("Basic realm=\"r\"")];
            Err(Denied::Challenge { challenges, reason: ChallengeReason::Missing })
        }
    }

    let world = World::with(|_, setup| setup.access = Arc::new(Closed)).await;
    let answer = world.get("/v2/app/manifests/latest?ns=other.example").await.expect(401);
    assert!(!String::from_utf8_lossy(&answer.body).contains("up.example"), "{answer:?}");
}
