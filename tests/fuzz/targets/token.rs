//! Tokens: any text, and any claims under a valid signature. Only claims that name this registry, its issuer, a time and the
//! repository grant anything.

use std::cell::LazyCell;
use std::fs;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
use sampan::auth::token::{KeySettings, Realm, Token, TokenSettings};
use sampan::auth::{Access, AccessController, Credentials, Denied};
use sampan::config::SigningAlgorithm;
use serde_json::Value;
use sha2::Sha256;
use tokio::runtime::Runtime;

const ISSUER: &str = "issuer";
const SERVICE: &str = "registry";
const SECRET: &[u8; 32] = b"a secret of thirty-two bytes, so";

thread_local! {
    static CONTROLLER: LazyCell<(Token, Runtime)> = LazyCell::new(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let directory = tempfile::tempdir().expect("a directory");
        let jwks = directory.path().join("jwks.json");
        let secret = URL_SAFE_NO_PAD.encode(SECRET);
        let keys = format!(r#"{{"keys":[{{"kty":"oct","kid":"k","alg":"HS256","k":"{secret}"}}]}}"#);
        fs::write(&jwks, keys).expect("the file can be written");
        let settings = TokenSettings {
            realm: Realm::Fixed("https://auth.example.com/token".to_owned()),
            service: SERVICE.to_owned(),
            issuer: ISSUER.to_owned(),
            algorithms: vec![SigningAlgorithm::Hs256],
            keys: KeySettings { jwks: Some(jwks), secrets: true, ..KeySettings::default() },
        };
        let token = runtime.block_on(Token::open(settings)).expect("a controller");
        (token, runtime)
    });
}

pub(super) fn run(data: &[u8]) {
    let Some((mode, data)) = data.split_first() else { return };
    if *mode == b'c' {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"k"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(data));
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("a key");
        mac.update(signed.as_bytes());
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
        if authorize(format!("Bearer {token}").as_bytes()).is_ok() {
            check(data);
        }
    } else {
        assert!(authorize(data).is_err(), "a token that was not signed was taken");
    }
}

fn authorize(header: &[u8]) -> Result<(), Denied> {
    let Ok(header) = HeaderValue::from_bytes(header) else { return Err(Denied::Unavailable) };
    CONTROLLER.with(|controller| {
        let (token, runtime) = &**controller;
        let credentials = Credentials { authorization: Some(&header), ..Credentials::default() };
        let wanted = [Access::push("team/app".parse().expect("a name"))];
        runtime.block_on(token.authorize(&credentials, &wanted)).map(drop)
    })
}

/// The claims say what they must, in the plainest reading.
fn check(claims: &[u8]) {
    let claims = std::str::from_utf8(claims).expect("what was taken is UTF-8");
    // Half a surrogate pair, or a number too large, where nothing is read.
    let Ok(claims) = serde_json::from_str::<Value>(claims) else { return };
    assert_eq!(claims["iss"], ISSUER, "{claims}");
    let names_us = |audience: &Value| audience == SERVICE;
    let audience = &claims["aud"];
    assert!(
        names_us(audience) || audience.as_array().is_some_and(|all| all.iter().any(names_us)),
        "{claims}"
    );
    assert!(claims["exp"].as_f64().is_some_and(|expires| expires > 1.7e9), "{claims}");
    let allows = |granted: &Value| {
        granted["type"] == "repository"
            && granted["name"] == "team/app"
            && granted["actions"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one == "push" || one == "*"))
    };
    assert!(claims["access"].as_array().is_some_and(|all| all.iter().any(allows)), "{claims}");
}
