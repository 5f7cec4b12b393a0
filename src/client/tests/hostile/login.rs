//! Challenges, tokens and passwords.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sampan_client::{ClientOptions, Credential, Credentials, Problem, RetryPolicy, Secret, Timeouts};

use crate::server::{Reply, Seen, Server};
use crate::support::{Waits, options, registry, repository, with_user};

const TAGS: &str = r#"{"name":"team/app","tags":["a"]}"#;

fn basic(user: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:hunter2")))
}

/// A token server whose tokens are their number, with a life in seconds.
async fn token_server(life: u64) -> Server {
    let count = AtomicU32::new(0);
    Server::start(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        Reply::new(200).json(&format!(r#"{{"token":"t{number}","expires_in":{life}}}"#))
    })
    .await
}

/// A registry that accepts the bearer tokens for which `is_valid`, and names `tokens` otherwise.
async fn bearer_registry(tokens: &Server, is_valid: impl Fn(&str) -> bool + Send + Sync + 'static) -> Server {
    let challenge = format!(
        r#"Negotiate, Bearer realm="{}/token?kind=x",service="the service",scope="repository:team/app:pull repository:other:pull", Basic realm="x""#,
        tokens.url()
    );
    Server::start(move |seen| {
        match seen.header("authorization").and_then(|text| text.strip_prefix("Bearer ")) {
            Some(token) if is_valid(token) => Reply::new(200).json(TAGS),
            _ => Reply::new(401).header("WWW-Authenticate", &challenge),
        }
    })
    .await
}

#[tokio::test]
async fn a_token_is_fetched_once_and_asked_for_with_the_scopes_of_the_challenge() {
    let tokens = token_server(300).await;
    let server = bearer_registry(&tokens, |token| token == "t0").await;
    let repository = repository(&server, with_user(&Waits::default(), "alice"));
    for _ in 0..3 {
        assert_eq!(repository.tags().await.unwrap().unwrap().len(), 1);
    }
    let [asked] = &tokens.seen()[..] else { panic!("{:?}", tokens.seen()) };
    assert_eq!(asked.method, "GET");
    assert_eq!(asked.header("authorization").unwrap(), basic("alice"));
    assert_eq!(asked.query("kind"), ["x"]);
    assert_eq!(asked.query("service"), ["the service"]);
    assert_eq!(asked.query("account"), ["alice"]);
    assert_eq!(asked.query("scope"), ["repository:other:pull", "repository:team/app:pull"]);
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn an_anonymous_token_is_asked_for_without_a_password() {
    let tokens = token_server(300).await;
    let server = bearer_registry(&tokens, |_| true).await;
    repository(&server, options(&Waits::default())).tags().await.unwrap();
    assert_eq!(tokens.seen()[0].header("authorization"), None);
    assert!(tokens.seen()[0].query("account").is_empty());
}

#[tokio::test]
async fn many_requests_at_once_fetch_one_token() {
    let tokens = token_server(300).await;
    let server = bearer_registry(&tokens, |token| token == "t0").await;
    let repository = repository(&server, options(&Waits::default()));
    let tags = (0..20).map(|_| repository.tags());
    for tags in futures::future::join_all(tags).await {
        tags.unwrap();
    }
    assert_eq!(tokens.seen().len(), 1);
}

#[tokio::test]
async fn repositories_have_tokens_of_their_own() {
    let tokens = token_server(300).await;
    let server = bearer_registry(&tokens, |_| true).await;
    let registry = registry(&server, options(&Waits::default()));
    for name in ["a", "b", "a"] {
        registry.repository(name.parse().unwrap()).tags().await.unwrap();
    }
    assert_eq!(tokens.seen().len(), 2);
}

/// Fails if a token server that is not for a repository decides about it.
#[tokio::test]
async fn repositories_may_have_token_servers_of_their_own() {
    for (user, status) in [(None, 403), (Some("alice"), 403), (None, 401), (Some("alice"), 400), (None, 404)]
    {
        let tokens = Server::start(move |seen| {
            let own = format!("repository:{}/app:pull", seen.path().trim_start_matches("/token/"));
            match seen.query("scope") == [own] {
                true => Reply::new(200).json(&format!(r#"{{"token":"{}"}}"#, &seen.path()[7..])),
                false => Reply::new(status),
            }
        })
        .await;
        let realm = tokens.url();
        let server = Server::start(move |seen| {
            let project = seen.path()[4..].split('/').next().unwrap();
            match seen.header("authorization") == Some(&format!("Bearer {project}")) {
                true => Reply::new(200).json(TAGS),
                false => Reply::new(401)
                    .header("WWW-Authenticate", format!(r#"Bearer realm="{realm}/token/{project}""#)),
            }
        })
        .await;
        let options =
            user.map_or_else(|| options(&Waits::default()), |user| with_user(&Waits::default(), user));
        let registry = registry(&server, options);
        for name in ["x/app", "y/app", "x/app", "y/app"] {
            let tags = registry.repository(name.parse().unwrap()).tags().await;
            assert_eq!(tags.unwrap().unwrap().len(), 1, "{user:?} {status} {name}");
        }
    }
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end() {
    let (tokens, waits) = (token_server(100).await, Waits::default());
    let server = bearer_registry(&tokens, |_| true).await;
    let repository = repository(&server, options(&waits));
    for (advance, fetched) in [(0, 1), (79, 1), (2, 2)] {
        waits.advance(Duration::from_secs(advance));
        repository.tags().await.unwrap();
        assert_eq!(tokens.seen().len(), fetched);
    }
    // No request was refused for the second token.
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_refused_token_is_dropped_once() {
    let tokens = token_server(300).await;
    let server = bearer_registry(&tokens, |token| token == "t1").await;
    let repository = repository(&server, with_user(&Waits::default(), "alice"));
    // The first token is new, so its refusal is final.
    let error = repository.tags().await.unwrap_err();
    assert!(matches!(error.problem(), Problem::LoginRefused { user, .. } if user == "alice"), "{error}");
    assert_eq!(tokens.seen().len(), 1);
    // The next request drops it.
    repository.tags().await.unwrap();
    assert_eq!(tokens.seen().len(), 2);
}

#[tokio::test]
async fn an_identity_token_is_posted_and_never_in_a_url() {
    let tokens = Server::start(|_| Reply::new(200).json(r#"{"access_token":"x"}"#)).await;
    let server = bearer_registry(&tokens, |token| token == "x").await;
    let credentials = Credentials::fixed(Credential::IdentityToken(Secret::new("refresh&me")));
    let repository = repository(&server, ClientOptions { credentials, ..options(&Waits::default()) });
    repository.tags().await.unwrap();
    let [asked] = &tokens.seen()[..] else { panic!() };
    assert_eq!(asked.method, "POST");
    assert!(!asked.target.contains("refresh"), "{}", asked.target);
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&asked.body).into_owned().collect();
    let value = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!(value("grant_type"), Some("refresh_token"));
    assert_eq!(value("refresh_token"), Some("refresh&me"));
    assert_eq!(value("service"), Some("the service"));
    assert_eq!(value("scope"), Some("repository:other:pull repository:team/app:pull"));
}

#[tokio::test]
async fn a_registry_token_goes_to_the_registry_alone() {
    let tokens = token_server(300).await;
    let server = bearer_registry(&tokens, |token| token == "mine").await;
    let credentials = Credentials::fixed(Credential::RegistryToken(Secret::new("mine")));
    repository(&server, ClientOptions { credentials, ..options(&Waits::default()) }).tags().await.unwrap();
    assert!(tokens.seen().is_empty());
}

#[tokio::test]
async fn basic_is_sent_when_asked_for_and_from_then_on() {
    let server = Server::start(|seen| match seen.header("authorization") {
        Some(text) if *text == basic("alice") => Reply::new(200).json(TAGS),
        _ => Reply::new(401).header("WWW-Authenticate", "Basic realm=\"x\""),
    })
    .await;
    let alice = repository(&server, with_user(&Waits::default(), "alice"));
    for _ in 0..2 {
        alice.tags().await.unwrap();
    }
    let sent: Vec<_> = server.seen().iter().map(|seen| seen.header("authorization").is_some()).collect();
    assert_eq!(sent, [false, true, true]);
    let error = repository(&server, with_user(&Waits::default(), "bob")).tags().await.unwrap_err();
    assert!(matches!(error.problem(), Problem::LoginRefused { user, .. } if user == "bob"), "{error}");
    let error = repository(&server, options(&Waits::default())).tags().await.unwrap_err();
    assert!(matches!(error.problem(), Problem::LoginRequired), "{error}");
}

#[tokio::test]
async fn credentials_do_not_go_to_a_strange_token_server() {
    for (realm, reason) in [
        ("https://tokens.invalid/", "another domain"),
        ("http://tokens.invalid/", "no TLS"),
        ("ftp://tokens.invalid/", "must be https"),
    ] {
        let challenge = format!(r#"Bearer realm="{realm}""#);
        let server = Server::start(move |_| Reply::new(401).header("WWW-Authenticate", &challenge)).await;
        let error = repository(&server, with_user(&Waits::default(), "alice")).tags().await.unwrap_err();
        assert!(matches!(error.problem(), Problem::Realm { .. }), "{error}");
        assert!(error.to_string().contains(reason) && !error.to_string().contains("hunter2"), "{error}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_token_server_that_refuses_is_a_refused_login_of_the_registry() {
    let refusal = r#"{"errors":[{"code":"UNAUTHORIZED","message":"no\u001b[31m way"}]}"#;
    let tokens = Server::start(move |_| Reply::new(401).json(refusal)).await;
    let server = bearer_registry(&tokens, |_| true).await;
    let error = repository(&server, with_user(&Waits::default(), "alice")).tags().await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with(&server.url()) && text.contains("alice") && text.contains("no[31m way"),
        "{text}"
    );
    assert!(!text.contains("hunter2") && !text.contains('\u{1b}'), "{text}");
    assert_eq!(tokens.seen().len(), 1);
}

#[tokio::test]
async fn a_hostile_token_server_gets_nowhere() {
    type Handler = fn(&Seen) -> Reply;
    let cases: [(Handler, &str); 4] = [
        (|_| Reply::new(200).body(vec![b' '; (1 << 20) + 1]), "exceeds the limit"),
        (|_| Reply::new(200).announcing(Some(1 << 40)), "exceeds the limit"),
        (|_| Reply::new(200).json("{}"), "no token"),
        (|_| Reply::new(200).json(r#"{"token":"a\r\nX-Evil: b"}"#), "not the value of a header"),
    ];
    for (handler, reason) in cases {
        let tokens = Server::start(handler).await;
        let server = bearer_registry(&tokens, |_| true).await;
        let error = repository(&server, options(&Waits::default())).tags().await.unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_token_server_is_asked_again_when_it_is_busy() {
    let count = AtomicU32::new(0);
    let tokens = Server::start(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::new(503),
        1 => Reply::new(429).header("Retry-After", 20),
        _ => Reply::new(200).json(r#"{"token":"x"}"#),
    })
    .await;
    let (server, waits) = (bearer_registry(&tokens, |_| true).await, Waits::default());
    repository(&server, options(&waits)).tags().await.unwrap();
    assert_eq!(waits.all().len(), 2);
    assert_eq!(waits.all()[1], Duration::from_secs(20));
}

#[tokio::test]
async fn an_unknown_scheme_is_named() {
    let server = Server::start(|_| Reply::new(401).header("WWW-Authenticate", "Negotiate")).await;
    let error = repository(&server, with_user(&Waits::default(), "alice")).tags().await.unwrap_err();
    assert!(error.to_string().contains("`negotiate`"), "{error}");
    let server = Server::start(|_| Reply::new(401).header("WWW-Authenticate", "Bearer service=x")).await;
    let error = repository(&server, options(&Waits::default())).tags().await.unwrap_err();
    assert!(error.to_string().contains("names no token server"), "{error}");
    let server = Server::start(|_| Reply::new(401)).await;
    let error = repository(&server, options(&Waits::default())).tags().await.unwrap_err();
    assert!(matches!(error.problem(), Problem::LoginRequired), "{error}");
}

#[tokio::test]
async fn an_identity_token_does_not_follow_a_redirect_to_another_server() {
    let other = Server::start(|_| Reply::new(200).json(r#"{"access_token":"x"}"#)).await;
    for (status, host) in [(307, "localhost"), (308, "localhost"), (307, "127.0.0.1")] {
        let target = format!("http://{host}:{}/token", other.address.port());
        let tokens = Server::start(move |_| Reply::new(status).header("Location", &target)).await;
        let server = bearer_registry(&tokens, |_| true).await;
        let credentials = Credentials::fixed(Credential::IdentityToken(Secret::new("refresh")));
        let repository = repository(&server, ClientOptions { credentials, ..options(&Waits::default()) });
        let error = repository.tags().await.unwrap_err();
        assert!(matches!(error.problem(), Problem::Redirect { .. }), "{error}");
    }
    assert!(other.seen().is_empty());
    // Within its origin it may move.
    let tokens = Server::start(|seen| match seen.path() {
        "/moved" => Reply::new(200).json(r#"{"access_token":"x"}"#),
        _ => Reply::new(307).header("Location", "/moved"),
    })
    .await;
    let server = bearer_registry(&tokens, |_| true).await;
    let credentials = Credentials::fixed(Credential::IdentityToken(Secret::new("refresh")));
    let repository = repository(&server, ClientOptions { credentials, ..options(&Waits::default()) });
    repository.tags().await.unwrap();
}

#[tokio::test]
async fn a_token_server_that_does_not_exist_is_no_missing_content() {
    let tokens = Server::start(|_| Reply::new(404)).await;
    let server = bearer_registry(&tokens, |_| true).await;
    let repository = repository(&server, options(&Waits::default()));
    for error in [
        repository.blob(&crate::support::digest(b"x"), None).await.map(|_| ()).unwrap_err(),
        repository.manifest(&"latest".parse().unwrap()).await.map(|_| ()).unwrap_err(),
        repository.tags().await.map(|_| ()).unwrap_err(),
    ] {
        assert!(matches!(error.problem(), Problem::TokenServer { status: 404, .. }), "{error}");
        assert_eq!(error.status(), None);
    }
}

/// A registry that accepts any bearer token, and names the next of `realms` in each challenge, the last for ever.
async fn wandering_registry(realms: Vec<String>) -> Server {
    let count = AtomicU32::new(0);
    Server::start(move |seen| match seen.header("authorization") {
        Some(_) => Reply::new(200).json(TAGS),
        None => {
            let index = count.fetch_add(1, Ordering::Relaxed) as usize;
            let realm = &realms[index.min(realms.len() - 1)];
            Reply::new(401).header("WWW-Authenticate", format!("Bearer realm=\"{realm}\""))
        }
    })
    .await
}

#[tokio::test]
async fn a_challenge_that_cannot_be_met_does_not_last() {
    let tokens = token_server(300).await;
    let server = wandering_registry(vec!["https://tokens.invalid/".to_owned(), tokens.url()]).await;
    let repository = repository(&server, with_user(&Waits::default(), "alice"));
    let error = repository.tags().await.unwrap_err();
    assert!(matches!(error.problem(), Problem::Realm { .. }), "{error}");
    repository.tags().await.unwrap();
}

#[tokio::test]
async fn a_token_server_that_moved_is_found_by_the_next_challenge() {
    let (new, waits, count) = (token_server(100).await, Waits::default(), AtomicU32::new(0));
    let old = Server::start(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::new(200).json(r#"{"token":"x"}"#),
        _ => Reply::new(410),
    })
    .await;
    let server = wandering_registry(vec![old.url(), new.url()]).await;
    let repository = repository(&server, options(&waits));
    repository.tags().await.unwrap();
    waits.advance(Duration::from_secs(100));
    // By the same request, since the old one refuses it.
    repository.tags().await.unwrap();
    assert_eq!((old.seen().len(), new.seen().len()), (2, 1));
}

/// Fails if a token server keeps requests byte by byte, or by redirect after redirect.
#[tokio::test]
async fn a_token_has_a_time_for_all_of_its_answer() {
    let (answer, pause) = (Duration::from_secs(1), Duration::from_millis(400));
    let drip = Reply::new(200).body(vec![b' '; 100_000]).byte_by_byte(pause / 20);
    let wander = Reply::new(307).header("Location", "/token").after(pause);
    for reply in [drip, wander] {
        let tokens = Server::start(move |_| reply.clone()).await;
        let server = bearer_registry(&tokens, |_| true).await;
        let timeouts = Timeouts { answer, ..Timeouts::default() };
        let options = ClientOptions { retry: RetryPolicy::NONE, timeouts, ..options(&Waits::default()) };
        let repository = repository(&server, options);
        let begun = Instant::now();
        for tags in futures::future::join_all((0..20).map(|_| repository.tags())).await {
            let error = tags.unwrap_err();
            assert!(matches!(error.problem(), Problem::SlowToken(_)), "{error}");
            assert!(error.is_after_answer() && error.is_transient());
        }
        // Not one after the other.
        assert!(begun.elapsed() < 15 * answer, "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn requests_that_waited_for_a_token_share_its_failure() {
    let tokens = Server::start(|_| Reply::new(401).after(Duration::from_millis(300))).await;
    let server = bearer_registry(&tokens, |_| true).await;
    let repository = repository(&server, with_user(&Waits::default(), "alice"));
    let tags = (0..20).map(|_| repository.tags());
    for tags in futures::future::join_all(tags).await {
        assert!(matches!(tags.unwrap_err().problem(), Problem::LoginRefused { .. }));
    }
    assert!(tokens.seen().len() < 20);
    // A later request asks again.
    let before = tokens.seen().len();
    repository.tags().await.unwrap_err();
    assert_eq!(tokens.seen().len(), before + 1);
}
