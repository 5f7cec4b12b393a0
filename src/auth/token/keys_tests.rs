//! Tests of keys that change while the registry runs.

use std::collections::VecDeque;

use axum::Router;
use axum::routing::get;
use serde_json::json;

use super::*;
use crate::atomic_write::{Existing, write_atomically};
use crate::auth::token::testing::{Certified, Deviation, Signer};
use crate::test_log::TestLog;

fn has(keys: &Keys, kid: &str) -> bool {
    let jws = format!(
        "{}.e30.AA",
        crate::auth::token::testing::base64url(format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#))
    );
    let jws = crate::auth::token::jws::Jws::parse(&jws).ok().unwrap();
    // With a known key the signature is found wrong; an unknown key fails earlier.
    keys.current().verify(&jws, UnixTime::now()) == Err(crate::auth::token::refusal::Refusal::Signature)
}

fn set(kid: &str) -> String {
    json!({ "keys": [Signer::ed25519().jwk(kid)] }).to_string()
}

#[tokio::test]
async fn a_changed_file_is_used_and_a_broken_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (bundle, jwks) = (dir.path().join("roots.pem"), dir.path().join("keys.json"));
    let root = Certified::root(Deviation::default());
    std::fs::write(&bundle, &root.pem).unwrap();
    std::fs::write(&jwks, set("one")).unwrap();
    let settings =
        KeySettings { bundle: Some(bundle.clone()), jwks: Some(jwks.clone()), ..KeySettings::default() };
    let keys = Keys::open(settings).await.unwrap();
    let log = TestLog::default();
    let _guard = log.capture();
    let reload_if_changed = || {
        let before = log.text().len();
        keys.0.reload_if_changed();
        log.text().split_off(before)
    };
    assert!(has(&keys, "one"));
    assert_eq!(reload_if_changed(), "");

    write_atomically(&jwks, set("two").as_bytes(), 0o600, Existing::Replace).unwrap();
    let reloaded = reload_if_changed();
    assert!(reloaded.contains("have changed and are in use"), "{reloaded}");
    assert!(has(&keys, "two") && !has(&keys, "one"));

    for broken in ["", "{", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#] {
        std::fs::write(&jwks, broken).unwrap();
        let said = reload_if_changed();
        assert!(said.contains("ERROR") && said.contains("the old ones remain in use"), "{said}");
        assert!(said.contains("keys.json"), "{said}");
        assert_eq!(reload_if_changed(), "", "once is enough");
        assert!(has(&keys, "two"));
        assert!(keys.reload().await.is_err());
    }
    std::fs::remove_file(&jwks).unwrap();
    assert!(reload_if_changed().contains("cannot read auth.token.jwks"));
    assert!(has(&keys, "two"));

    std::fs::write(&jwks, set("three")).unwrap();
    assert!(reload_if_changed().contains("are in use"));
    std::fs::write(&bundle, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(reload_if_changed().contains("certificate 1 is damaged"));
    assert!(has(&keys, "three"));
}

#[tokio::test]
async fn files_without_keys_are_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    for (content, in_bundle, in_jwks) in [
        ("", "it has no certificate", "EOF"),
        ("{\"keys\":[]}", "it has no certificate", "no key that verifies"),
        (
            r#"{"keys":[{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","kid":"a"}]}"#,
            "no certificate",
            "secrets (`oct`)",
        ),
    ] {
        std::fs::write(&path, content).unwrap();
        for (settings, expected) in [
            (KeySettings { bundle: Some(path.clone()), ..KeySettings::default() }, in_bundle),
            (KeySettings { jwks: Some(path.clone()), ..KeySettings::default() }, in_jwks),
        ] {
            let error = Keys::open(settings).await.err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

/// A server that gives these responses in order, repeats the last one, and counts requests.
async fn server(answers: Vec<(u16, String)>) -> (RemoteKeys, Arc<Mutex<usize>>) {
    let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let answer = move || async move {
        *count.lock() += 1;
        let mut answers = answers.lock();
        let (status, text) =
            if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }.unwrap();
        http::Response::builder().status(status).body(text).unwrap().map(axum::body::Body::from)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/jwks", get(answer))).await });
    (RemoteKeys { url, authorities: None, refresh: Duration::from_secs(300) }, asked)
}

async fn open(remote: RemoteKeys) -> Keys {
    Keys::open(KeySettings { remote: Some(remote), ..KeySettings::default() }).await.unwrap()
}

/// Acts as if the last fetch had been a while ago.
async fn forget_the_last_fetch(keys: &Keys) {
    *keys.0.fetching.lock().await = None;
}

#[tokio::test]
async fn an_unknown_key_causes_at_most_one_fetch_in_a_while() {
    let (remote, asked) = server(vec![(200, set("one")), (200, set("two"))]).await;
    let keys = open(remote).await;
    assert!(has(&keys, "one"));
    keys.ask_about_an_unknown_key().await;
    assert_eq!(*asked.lock(), 1, "the last fetch was just now");
    forget_the_last_fetch(&keys).await;
    futures::future::join_all((0..20).map(|_| keys.ask_about_an_unknown_key())).await;
    assert_eq!(*asked.lock(), 2, "one fetch serves all waiting requests");
    assert!(has(&keys, "two") && !has(&keys, "one"));
}

#[tokio::test]
async fn an_unusable_response_keeps_the_old_keys() {
    let oct = r#"{"keys":[{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","kid":"a"}]}"#;
    let bad = [
        (500, set("x")),
        (302, set("x")),
        (200, "<html>".to_owned()),
        (200, oct.to_owned()),
        (200, " ".repeat(2 << 20)),
    ];
    let (remote, _) = server([vec![(200, set("one"))], bad.to_vec()].concat()).await;
    let keys = open(remote).await;
    for _ in bad {
        let error = keys.reload().await.unwrap_err().to_string();
        assert!(error.contains("/jwks"), "{error}");
        assert!(has(&keys, "one") && !keys.are_missing(), "{error}");
    }
}

#[tokio::test]
async fn keys_are_missing_until_the_first_fetch_succeeds() {
    let (remote, _) = server(vec![(503, String::new()), (200, set("one"))]).await;
    let keys = open(remote).await;
    assert!(keys.are_missing());
    forget_the_last_fetch(&keys).await;
    keys.ask_about_an_unknown_key().await;
    assert!(!keys.are_missing() && has(&keys, "one"));
}
