//! Forged, broken and unusual bearer tokens, by the API: this registry's own, and those of a token server.

use std::collections::HashSet;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sampan::auth::token::{KeySettings, Realm, Token, TokenSettings};
use sampan_config::SigningAlgorithm;
use serde_json::json;

use super::forged::{Base, Signer, Variant, Verdict};
use super::*;

const PUSH: &str = "/v2/team/app/blobs/uploads/?digest=sha256:\
                    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What the answer to a push says of its token.
fn verdict(answer: &Answer) -> Option<Verdict> {
    let challenge = challenges(answer).concat();
    let has_error = challenge.contains("error=");
    match answer.status.as_u16() {
        201 => Some(Verdict::Taken),
        401 if challenge.contains(r#"error="invalid_token""#) => Some(Verdict::Invalid),
        401 if challenge.contains(r#"error="insufficient_scope""#) => Some(Verdict::Less),
        401 if !has_error => Some(Verdict::Missing),
        _ => None,
    }
}

/// Tries all variants, and fails with a list of those that are answered otherwise.
async fn try_all(server: &Server, base: &Base, expected: fn(&Variant) -> Verdict) {
    let variants = base.variants();
    let names: HashSet<&str> = variants.iter().map(|variant| variant.what.as_str()).collect();
    assert!(names.len() > 200, "{} variants", names.len());
    let mut wrong = Vec::new();
    for variant in &variants {
        let call = server.call("POST", PUSH).header("host", "registry.example").body("");
        let answer = call.header("authorization", &format!("Bearer {}", variant.token)).send().await;
        let found = verdict(&answer);
        if found != Some(expected(variant)) {
            wrong.push(format!("{:.200}: {found:?}, not {:?}", variant.what, expected(variant)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn own_tokens_count_in_their_one_form_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signing.pem");
    let site = Fixture::with(Plan { signing_key: Some(path.clone()), ..Plan::default() }).await;
    let (bearer, _) = site.token(Some(&user("alice")), &["repository:team/app:pull,push"]).await;
    let parts: Vec<Value> = bearer["Bearer ".len()..]
        .split('.')
        .take(2)
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    let pem = std::fs::read_to_string(&path).unwrap();
    let der: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let signer = Signer::new(&STANDARD.decode(der).unwrap(), parts[0]["kid"].as_str().unwrap());
    let base = Base { signer, claims: parts[1].clone() };
    try_all(&site.server, &base, |variant| variant.own).await;
}

#[tokio::test]
async fn tokens_of_a_token_server_count_in_their_one_form_only() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let expires = time::OffsetDateTime::now_utc().unix_timestamp() + 300;
    let base = Base {
        signer: Signer::new(&key.serialize_der(), "The-Key"),
        claims: json!({
            "iss": "Acme auth", "aud": "registry.example.com", "sub": "alice", "exp": expires, "nbf": 0,
            "access": [{ "type": "repository", "name": "team/app", "actions": ["pull", "push"] }],
        }),
    };
    let jwks = folder.path().join("jwks.json");
    std::fs::write(&jwks, json!({ "keys": [base.signer.jwk()] }).to_string()).unwrap();
    let token = Token::open(TokenSettings {
        realm: Realm::Fixed("https://auth.example.com/token".to_owned()),
        service: "registry.example.com".to_owned(),
        issuer: "Acme auth".to_owned(),
        algorithms: SigningAlgorithm::asymmetric(),
        keys: KeySettings { jwks: Some(jwks), ..KeySettings::default() },
    });
    let server = Server::with(Setup { access: Arc::new(token.await.unwrap()), ..Setup::default() });
    try_all(&server, &base, |variant| variant.foreign).await;
}
