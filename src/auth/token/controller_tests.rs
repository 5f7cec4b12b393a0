//! Tests of valid and forged tokens.

use std::path::PathBuf;

use rcgen::KeyUsagePurpose;
use serde_json::{Value, json};

use super::*;
use crate::auth::token::testing::{Certified, Deviation, ISSUER, SERVICE, Signer, base64url, claims, now};

#[path = "answer_tests.rs"]
mod answers;

const AUTHORITY: Deviation = Deviation { is_authority: true, has_expired: false, usage: None };

/// A controller and its trusted keys: a root certificate and a key set.
struct Fixture {
    token: Token,
    root: Certified,
    rsa: Signer,
    secret: Signer,
    _dir: tempfile::TempDir,
}

fn write(dir: &tempfile::TempDir, name: &str, content: &str) -> Option<PathBuf> {
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    Some(path)
}

fn settings(keys: KeySettings) -> TokenSettings {
    TokenSettings {
        realm: Realm::Fixed("https://auth.example.com/token".to_owned()),
        service: SERVICE.to_owned(),
        issuer: ISSUER.to_owned(),
        algorithms: SigningAlgorithm::asymmetric(),
        keys,
    }
}

impl Fixture {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut TokenSettings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (root, rsa, secret) = (Certified::root(AUTHORITY), Signer::rsa(), Signer::Secret(vec![7; 32]));
        let set = json!({ "keys": [rsa.jwk("rsa"), secret.jwk("secret")] }).to_string();
        let keys = KeySettings {
            bundle: write(&dir, "roots.pem", &root.pem),
            jwks: write(&dir, "keys.json", &set),
            ..KeySettings::default()
        };
        let mut settings = settings(keys);
        change(&mut settings);
        Self { token: Token::open(settings).await.unwrap(), root, rsa, secret, _dir: dir }
    }

    async fn judge(&self, token: &str) -> Result<Arc<Claims>, Refusal> {
        self.token.verify(token.as_bytes()).await
    }

    /// A token with these claims, signed by the set's RSA key.
    fn with_claims(&self, claims: &Value) -> String {
        self.rsa.token(&json!({ "alg": "RS256", "kid": "rsa" }), claims)
    }
}

#[tokio::test]
async fn every_asymmetric_algorithm_is_accepted_by_default() {
    let dir = tempfile::tempdir().unwrap();
    let signers = [Signer::rsa(), Signer::p256(), Signer::p384(), Signer::p521(), Signer::ed25519()];
    let algorithms: [&[&str]; 5] = [
        &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
        &["ES256"],
        &["ES384"],
        &["ES512"],
        &["EdDSA"],
    ];
    let set: Vec<Value> =
        signers.iter().enumerate().map(|(index, signer)| signer.jwk(&index.to_string())).collect();
    let jwks = write(&dir, "keys.json", &json!({ "keys": set }).to_string());
    let token = Token::open(settings(KeySettings { jwks, ..KeySettings::default() })).await.unwrap();
    for (index, signer) in signers.iter().enumerate() {
        for algorithm in algorithms[index] {
            let shown = signer.token(&json!({ "alg": algorithm, "kid": index.to_string() }), &claims());
            assert!(token.verify(shown.as_bytes()).await.is_ok(), "{algorithm}");
            // The same signature does not verify under a key of another kind.
            let other = (index + 1) % signers.len();
            let shown = signer.token(&json!({ "alg": algorithm, "kid": other.to_string() }), &claims());
            assert_eq!(token.verify(shown.as_bytes()).await.unwrap_err(), Refusal::Signature, "{algorithm}");
        }
    }
}

#[tokio::test]
async fn a_roots_key_is_found_by_its_thumbprint_and_by_its_libtrust_id() {
    let fixture = Fixture::new().await;
    let (_, certificate) = x509_parser::parse_x509_certificate(&fixture.root.der).unwrap();
    let info = certificate.public_key();
    let key = super::super::key::Key::of_certificate(info).unwrap();
    for kid in [key.thumbprints().remove(0), super::super::key::libtrust_id(info.raw)] {
        let shown = fixture.root.signer.token(&json!({ "alg": "ES256", "kid": kid }), &claims());
        assert!(fixture.judge(&shown).await.is_ok(), "{kid}");
    }
}

#[tokio::test]
async fn chains_must_lead_to_a_root() {
    let fixture = Fixture::new().await;
    let root = &fixture.root;
    let between = root.certify(AUTHORITY);
    let leaf = between.certify(Deviation::default());
    let foreign = Certified::root(AUTHORITY);
    let foreign_leaf = foreign.certify(Deviation::default());
    let expired = root.certify(Deviation { has_expired: true, ..Deviation::default() });
    let agreeing =
        root.certify(Deviation { usage: Some(KeyUsagePurpose::KeyAgreement), ..Deviation::default() });
    let signing =
        root.certify(Deviation { usage: Some(KeyUsagePurpose::DigitalSignature), ..Deviation::default() });
    // A leaf must not act as an authority.
    let not_authorized = leaf.certify(Deviation::default());
    let x5c = |chain: &[&Certified]| chain.iter().map(|certified| certified.x5c()).collect::<Vec<_>>();
    for (what, signer, chain, is_good) in [
        ("the root itself", &root.signer, x5c(&[root]), true),
        ("a chain", &leaf.signer, x5c(&[&leaf, &between]), true),
        ("a chain with its root", &leaf.signer, x5c(&[&leaf, &between, root]), true),
        ("one for signatures", &signing.signer, x5c(&[&signing]), true),
        ("a chain with a hole", &leaf.signer, x5c(&[&leaf]), false),
        ("a foreign authority", &foreign_leaf.signer, x5c(&[&foreign_leaf, &foreign]), false),
        ("a foreign root", &foreign.signer, x5c(&[&foreign]), false),
        ("an expired one", &expired.signer, x5c(&[&expired]), false),
        ("one not for signatures", &agreeing.signer, x5c(&[&agreeing]), false),
        ("one signed by a leaf", &not_authorized.signer, x5c(&[&not_authorized, &leaf, &between]), false),
        ("another's chain", &foreign.signer, x5c(&[&leaf, &between]), false),
        ("the key of the authority between", &between.signer, x5c(&[&leaf, &between]), false),
    ] {
        let shown = signer.token(&json!({ "alg": "ES256", "x5c": chain }), &claims());
        assert_eq!(fixture.judge(&shown).await.is_ok(), is_good, "{what}");
        // The same inside an embedded key, whose own numbers are ignored.
        let mut jwk = signer.jwk("whatever");
        jwk["x5c"] = json!(chain);
        let shown = signer.token(&json!({ "alg": "ES256", "jwk": jwk }), &claims());
        assert_eq!(fixture.judge(&shown).await.is_ok(), is_good, "{what}, embedded");
        // A key id does not make up for a chain that leads to no root.
        let shown = signer.token(&json!({ "alg": "ES256", "kid": "rsa", "x5c": chain }), &claims());
        assert_eq!(fixture.judge(&shown).await.is_ok(), is_good, "{what}, with a name");
    }
    for garbage in [json!(["AAAA"]), json!(["not base64!"]), json!([""]), json!(vec![root.x5c(); 11])] {
        let shown = root.signer.token(&json!({ "alg": "ES256", "x5c": garbage }), &claims());
        assert!(matches!(fixture.judge(&shown).await, Err(Refusal::Chain(_))), "{garbage}");
    }
}

#[tokio::test]
async fn an_expired_root_invalidates_chains_but_not_its_key_id() {
    let dir = tempfile::tempdir().unwrap();
    let root = Certified::root(Deviation { has_expired: true, ..AUTHORITY });
    let bundle = write(&dir, "roots.pem", &root.pem);
    let token = Token::open(settings(KeySettings { bundle, ..KeySettings::default() })).await.unwrap();
    let leaf = root.certify(Deviation::default());
    for (signer, x5c) in [(&leaf.signer, leaf.x5c()), (&root.signer, root.x5c())] {
        let shown = signer.token(&json!({ "alg": "ES256", "x5c": [x5c] }), &claims());
        assert!(matches!(token.verify(shown.as_bytes()).await, Err(Refusal::Chain(_))));
    }
    let (_, certificate) = x509_parser::parse_x509_certificate(&root.der).unwrap();
    let kid = super::super::key::libtrust_id(certificate.public_key().raw);
    let shown = root.signer.token(&json!({ "alg": "ES256", "kid": kid }), &claims());
    assert!(token.verify(shown.as_bytes()).await.is_ok());
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let fixture = Fixture::new().await;
    let Fixture { rsa, secret, root, .. } = &fixture;
    let (mallory, header) = (Signer::rsa(), json!({ "alg": "RS256", "kid": "rsa" }));
    let good = rsa.token(&header, &claims());
    fixture.judge(&good).await.unwrap();
    let [head, body, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let public = Signer::Secret(rsa.public_der());
    let certificate = Signer::Secret(root.der.clone());
    let pem = Signer::Secret(root.pem.clone().into_bytes());
    let unsigned = |alg: &str| {
        let header = json!({ "alg": alg, "kid": "rsa" }).to_string();
        format!("{}.{body}", base64url(header))
    };
    let mut embedded = mallory.jwk("rsa");
    let by_mallory = |header: Value| mallory.token(&header, &claims());
    let greedy = claims().to_string().replace("team/app", "team/other");
    let flipped = |index: usize| {
        let mut bytes = good.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };

    for (what, shown) in [
        ("no algorithm and no signature", format!("{}.", unsigned("none"))),
        ("no algorithm, spelled oddly", format!("{}.", unsigned("nOnE"))),
        ("no algorithm and a signature", format!("{}.{signature}", unsigned("none"))),
        ("an empty algorithm", format!("{}.{signature}", unsigned(""))),
        ("no signature", format!("{head}.{body}.")),
        ("no third part", format!("{head}.{body}")),
        ("HMAC with the public key", public.token(&json!({ "alg": "HS256", "kid": "rsa" }), &claims())),
        ("HMAC with the certificate", certificate.token(&json!({ "alg": "HS256", "kid": "rsa" }), &claims())),
        ("HMAC with the PEM text", pem.token(&json!({ "alg": "HS512", "kid": "rsa" }), &claims())),
        (
            "a secret when secrets are disabled",
            secret.token(&json!({ "alg": "HS256", "kid": "secret" }), &claims()),
        ),
        ("a key of another name", rsa.token(&json!({ "alg": "RS256", "kid": "other" }), &claims())),
        ("a name with a path", rsa.token(&json!({ "alg": "RS256", "kid": "../rsa" }), &claims())),
        ("no name at all", rsa.token(&json!({ "alg": "RS256" }), &claims())),
        ("an empty name", rsa.token(&json!({ "alg": "RS256", "kid": "" }), &claims())),
        ("a stranger's key under a known name", by_mallory(header.clone())),
        ("a stranger's key, embedded", by_mallory(json!({ "alg": "RS256", "jwk": mallory.jwk("mine") }))),
        (
            "a stranger's key, embedded under a known name",
            by_mallory(json!({ "alg": "RS256", "jwk": embedded })),
        ),
        ("a stranger's key, embedded, a known name beside it", {
            embedded["kid"] = json!("mine");
            by_mallory(json!({ "alg": "RS256", "jwk": embedded, "kid": "rsa" }))
        }),
        (
            "a key by URL",
            by_mallory(json!({ "alg": "RS256", "jku": "http://127.0.0.1/", "x5u": "http://127.0.0.1/" })),
        ),
        (
            "another algorithm of the same key",
            rsa.token(&json!({ "alg": "PS256", "kid": "rsa" }), &claims()).replace(
                &base64url(r#"{"alg":"PS256","kid":"rsa"}"#),
                &base64url(r#"{"alg":"RS256","kid":"rsa"}"#),
            ),
        ),
        ("other claims under the same signature", format!("{head}.{}.{signature}", base64url(&greedy))),
        (
            "another header under the same signature",
            format!("{}.{body}.{signature}", base64url(r#"{"kid":"rsa","alg":"RS256"}"#)),
        ),
        ("a flipped letter in the header", flipped(3)),
        ("a flipped letter in the claims", flipped(head.len() + 20)),
        ("a flipped letter in the signature", flipped(good.len() - 20)),
        ("a cut-off end", good[..good.len() - 1].to_owned()),
        ("a dot at the end", format!("{good}.")),
        ("a dot at the beginning", format!(".{good}")),
        ("five parts, as if encrypted", format!("{good}.AAAA.AAAA")),
        ("padding", format!("{good}==")),
        ("a blank at the end", format!("{good} ")),
        ("a second token", format!("{good},{good}")),
        ("other letters of base64", good.replace(['-', '_'], "+")),
        ("nothing but dots", "..".to_owned()),
        ("a word", "token".to_owned()),
        ("letters beyond ASCII", "ä.ö.ü".to_owned()),
        ("a header that is a list", rsa.token_of("[]", &claims().to_string())),
        (
            "a header twice over",
            rsa.token_of(r#"{"alg":"none","alg":"RS256","kid":"rsa"}"#, &claims().to_string()),
        ),
        (
            "an extension to be understood",
            rsa.token(&json!({ "alg": "RS256", "kid": "rsa", "crit": ["b64"], "b64": false }), &claims()),
        ),
        ("claims that are a list", rsa.token_of(&header.to_string(), "[]")),
        ("claims that are no JSON", rsa.token_of(&header.to_string(), "sub=anne")),
        (
            "a claim twice over",
            rsa.token_of(&header.to_string(), &claims().to_string().replacen('{', "{\"iss\":\"x\",", 1)),
        ),
        ("a huge token", rsa.token_of(&header.to_string(), &format!("{}{}", claims(), " ".repeat(200_000)))),
    ] {
        let judged = fixture.judge(&shown).await;
        // A changed letter may still decode, even to the same bits.
        assert!(judged.is_err() || shown == good, "{what} was accepted: {shown}");
    }
    fixture.judge(&good).await.unwrap();
}

#[tokio::test]
async fn wrong_claims_are_refused_with_a_reason() {
    let fixture = Fixture::new().await;
    let mut cases: Vec<(&str, Value, &str)> = vec![
        ("iss", json!("Acme auth "), "issuer `Acme auth `"),
        ("iss", json!("acme auth"), "issuer"),
        ("iss", Value::Null, "claims"),
        ("aud", json!("other.example.com"), "for `other.example.com`"),
        ("aud", json!(["a", "b"]), "for `a, b`"),
        ("aud", json!({}), "claims"),
        ("exp", json!(now() - 61), "expired"),
        ("exp", json!(0), "expired"),
        ("exp", json!(-1), "expired"),
        ("exp", Value::Null, "no `exp`"),
        ("nbf", json!(now() + 120), "it becomes valid in "),
        ("access", json!("repository:team/app:pull"), "claims"),
        ("sub", json!(["anne"]), "claims"),
    ];
    cases.push(("iss", json!("x".repeat(5000)), "xxx…`"));
    for (claim, value, reason) in cases {
        let mut wrong = claims();
        wrong[claim] = value.clone();
        let refusal = fixture.judge(&fixture.with_claims(&wrong)).await.unwrap_err().to_string();
        assert!(refusal.contains(reason), "{claim} = {value}: {refusal}");
        assert!(refusal.len() < 300, "{refusal}");
    }
}

#[tokio::test]
async fn secrets_are_keys_only_when_enabled() {
    let fixture = Fixture::with(|settings| {
        settings.algorithms = vec![SigningAlgorithm::Hs256];
        settings.keys.secrets = true;
    })
    .await;
    let shown = fixture.secret.token(&json!({ "alg": "HS256", "kid": "secret" }), &claims());
    assert!(fixture.judge(&shown).await.is_ok());
    // The secret is then the only key; a public key is still not a secret.
    let refusal = fixture.judge(&fixture.with_claims(&claims())).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Algorithm(_)), "{refusal}");
    let public = Signer::Secret(fixture.rsa.public_der());
    let shown = public.token(&json!({ "alg": "HS256", "kid": "rsa" }), &claims());
    assert_eq!(fixture.judge(&shown).await.unwrap_err(), Refusal::Signature);
}

#[tokio::test]
async fn a_verified_token_still_expires() {
    let fixture = Fixture::new().await;
    let claims = claims();
    let shown = fixture.with_claims(&claims);
    fixture.judge(&shown).await.unwrap();
    let keyring = fixture.token.keys.current();
    let known = keyring.verified.get(shown.as_bytes()).unwrap();
    let expires = claims["exp"].as_i64().unwrap();
    assert_eq!(known.check_time(expires + 60), Ok(()));
    assert_eq!(known.check_time(expires + 61), Err(Refusal::Expired(61)));
}
