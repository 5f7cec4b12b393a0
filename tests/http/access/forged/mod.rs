//! Variants of a bearer token: what an attacker could send, what a broken token server could sign, and a few that
//! count, which prove that the others are refused for what they are.
//!
//! The same variants are for this registry's own tokens and for those of a token server. The base is a token for
//! pulling from and pushing to `team/app`, signed by the trusted key.

mod claims;
mod encoding;
mod header;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// What a registry says to a push with a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// The push is done.
    Taken,
    /// 401 `invalid_token`.
    Invalid,
    /// 401 `insufficient_scope`: the token counts, and does not give this.
    Less,
    /// 401 without an error: there is no token, or it is that of an anonymous client.
    Missing,
}

/// A token, and what is said to it.
pub(super) struct Variant {
    pub(super) what: String,
    pub(super) token: String,
    /// Where the token is one of the registry's own.
    pub(super) own: Verdict,
    /// Where it is a token server's.
    pub(super) foreign: Verdict,
}

/// The token that the variants differ from.
pub(super) struct Base {
    pub(super) signer: Signer,
    pub(super) claims: Value,
}

/// An Ed25519 key with its id.
pub(super) struct Signer {
    pair: Ed25519KeyPair,
    kid: String,
}

pub(super) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since 1970.
fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

impl Signer {
    pub(super) fn new(pkcs8: &[u8], kid: &str) -> Self {
        Self { pair: Ed25519KeyPair::from_pkcs8(pkcs8).unwrap(), kid: kid.to_owned() }
    }

    fn random(kid: &str) -> Self {
        Self { pair: Ed25519KeyPair::generate().unwrap(), kid: kid.to_owned() }
    }

    pub(super) fn jwk(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(self.public()), "kid": self.kid })
    }

    fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    fn header(&self) -> Value {
        json!({ "alg": "EdDSA", "typ": "JWT", "kid": self.kid })
    }

    /// A token of any bytes, correctly signed.
    fn sign(&self, header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
        self.sign_encoded(&base64url(header), &base64url(claims))
    }

    /// A token of two encoded parts, correctly signed.
    fn sign_encoded(&self, header: &str, claims: &str) -> String {
        let signed = format!("{header}.{claims}");
        format!("{signed}.{}", base64url(self.pair.sign(signed.as_bytes())))
    }
}

impl Base {
    /// The token itself, with letters that the two alphabets of base64 write differently.
    fn token(&self) -> String {
        let with = |number: u32| {
            let mut claims = self.claims.clone();
            claims["jti"] = json!(number.to_string());
            self.signer.sign(self.signer.header().to_string(), claims.to_string())
        };
        (0..).map(with).find(|token| token.contains('-') && token.contains('_')).unwrap()
    }

    /// A token with this header, correctly signed by the trusted key.
    fn with_header(&self, header: impl AsRef<[u8]>) -> String {
        self.signer.sign(header, self.claims.to_string())
    }

    /// A token with these claims, correctly signed by the trusted key.
    fn with_claims(&self, claims: impl AsRef<[u8]>) -> String {
        self.signer.sign(self.signer.header().to_string(), claims)
    }

    /// All variants.
    pub(super) fn variants(&self) -> Vec<Variant> {
        let mut all = encoding::variants(self);
        all.extend(header::variants(self));
        all.extend(claims::variants(self));
        all
    }
}

/// A variant with one verdict.
fn variant(what: impl Into<String>, token: String, verdict: Verdict) -> Variant {
    Variant { what: what.into(), token, own: verdict, foreign: verdict }
}

/// A signature by HMAC-SHA-256.
fn hs256(secret: &[u8], header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", base64url(tag))
}
