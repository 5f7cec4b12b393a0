//! A token server: takes a name and a password, and returns a signed token, as Docker's specification defines.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode};
use rcgen::{Certificate, CertificateParams};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// A running token server. Its policy:
///
/// - `anne:secret` may do everything in `team/`, and list the catalog;
/// - `bob:secret` may pull from `team/`;
/// - `anne:secret` may push to `library/`;
/// - all users may pull from `public/` and `library/`.
pub(crate) struct TokenServer {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

/// A key, its name, and a certificate of it, which Distribution's version 2 wants.
struct SigningKey {
    kid: String,
    pair: EcdsaKeyPair,
    certificate: Certificate,
}

struct Shared {
    key: Mutex<SigningKey>,
    asked: Mutex<Vec<String>>,
}

impl TokenServer {
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Shared { key: Mutex::new(new_key("first")), asked: Mutex::default() });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/token", get(token))
            .route("/jwks", get(async |State(shared): State<Arc<Shared>>| shared.jwks().to_string()))
            .with_state(Arc::clone(&shared));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { address, shared, _runtime: runtime }
    }

    /// The section for a registry that trusts this server; `jwks` is a file or URL.
    pub(crate) fn auth_section(&self, jwks: &str) -> String {
        format!(
            "auth: {{token: {{realm: 'http://{}/token', service: registry.test, issuer: tests, jwks: '{jwks}'}}}}\n",
            self.address
        )
    }

    /// The section for Debian's registry; it writes the certificate to a file.
    pub(crate) fn debian_auth_section(&self, certificate: &Path) -> String {
        fs::write(certificate, self.shared.key.lock().unwrap().certificate.pem()).unwrap();
        format!(
            "auth: {{token: {{realm: 'http://{}/token', service: registry.test, issuer: tests, rootcertbundle: {}}}}}\n",
            self.address,
            certificate.display()
        )
    }

    /// The URL of the server's keys.
    pub(crate) fn jwks_url(&self) -> String {
        format!("http://{}/jwks", self.address)
    }

    /// The server's keys.
    pub(crate) fn jwks(&self) -> String {
        self.shared.jwks().to_string()
    }

    /// Signs with another key from now on, and forgets the old one.
    pub(crate) fn rotate(&self, kid: &str) {
        *self.shared.key.lock().unwrap() = new_key(kid);
    }

    /// A token for `user` with the part of `scopes` that the policy allows.
    pub(crate) fn token(&self, user: Option<&str>, scopes: &[&str]) -> String {
        self.shared.token(user, scopes)
    }

    /// The scopes of all requests, one line for each.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }
}

fn new_key(kid: &str) -> SigningKey {
    let pair = rcgen::KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&pair).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pair.serialize_der()).unwrap();
    SigningKey { kid: kid.to_owned(), pair, certificate }
}

async fn token(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let user = match headers.get("authorization") {
        None => None,
        Some(header) => {
            let encoded = header.to_str().unwrap().trim_start_matches("Basic ");
            let pair = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
            match pair.split_once(':') {
                Some((user @ ("anne" | "bob"), "secret")) => Some(user.to_owned()),
                _ => return StatusCode::UNAUTHORIZED.into_response(),
            }
        }
    };
    let query = query.unwrap_or_default();
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    assert!(pairs.contains(&("service".to_owned(), "registry.test".to_owned())), "{query}");
    // Some clients repeat the parameter, others put several scopes into one parameter.
    let scopes: Vec<&str> =
        pairs.iter().filter(|(name, _)| name == "scope").flat_map(|(_, value)| value.split(' ')).collect();
    shared.asked.lock().unwrap().push(scopes.join(" "));
    let token = shared.token(user.as_deref(), &scopes);
    json!({ "token": token, "access_token": token, "expires_in": 300 }).to_string().into_response()
}

impl Shared {
    fn jwks(&self) -> Value {
        let key = self.key.lock().unwrap();
        let (x, y) = key.pair.public_key().as_ref()[1..].split_at(32);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y), "kid": key.kid, "use": "sig" }] })
    }

    fn token(&self, user: Option<&str>, scopes: &[&str]) -> String {
        let access: Vec<Value> = scopes.iter().filter_map(|scope| granted(user, scope)).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({
            "iss": "tests", "aud": "registry.test", "sub": user.unwrap_or_default(),
            "exp": now + 300, "nbf": now, "iat": now, "jti": "unused", "access": access,
        });
        let key = self.key.lock().unwrap();
        let x5c = [STANDARD.encode(key.certificate.der())];
        let header = json!({ "typ": "JWT", "alg": "ES256", "kid": key.kid, "x5c": x5c });
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signed =
            format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = key.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", encode(signature.as_ref()))
    }
}

/// The part of a scope such as `repository:team/app:pull,push` that the policy allows the user.
fn granted(user: Option<&str>, scope: &str) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let may = |action: &&str| match (user, kind) {
        (Some("anne"), "registry") => true,
        (Some("anne"), _) if name.starts_with("team/") || name.starts_with("library/") => true,
        (Some("bob"), _) if name.starts_with("team/") => *action == "pull",
        _ => (name.starts_with("public/") || name.starts_with("library/")) && *action == "pull",
    };
    let actions: Vec<&str> = actions.split(',').filter(may).collect();
    (!actions.is_empty()).then(|| json!({ "type": kind, "name": name, "actions": actions }))
}
