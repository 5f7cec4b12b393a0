//! A token server for the tests: keys, certificates, valid and invalid tokens.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

pub(super) const ISSUER: &str = "Acme auth";
pub(super) const SERVICE: &str = "registry.example.com";

pub(super) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// Valid claims, for pulling from and pushing to `team/app`.
pub(super) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": SERVICE, "sub": "anne", "exp": now() + 300, "nbf": now() - 10,
        "access": [{ "type": "repository", "name": "team/app", "actions": ["pull", "push"] }],
    })
}

/// A private key of any kind.
pub(super) enum Signer {
    Ec(EcdsaKeyPair, &'static str),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
    Secret(Vec<u8>),
}

impl Signer {
    pub(super) fn p256() -> Self {
        Self::ec(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256")
    }

    pub(super) fn p384() -> Self {
        Self::ec(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384")
    }

    pub(super) fn p521() -> Self {
        Self::ec(&ECDSA_P521_SHA512_FIXED_SIGNING, "P-521")
    }

    pub(super) fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub(super) fn rsa() -> Self {
        Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    fn ec(algorithm: &'static EcdsaSigningAlgorithm, curve: &'static str) -> Self {
        Self::Ec(EcdsaKeyPair::generate(algorithm).unwrap(), curve)
    }

    /// The private key of a certificate's key pair.
    fn of(key: &KeyPair) -> Self {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der()).unwrap();
        Self::Ec(pair, "P-256")
    }

    pub(super) fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Ec(pair, curve) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y), "kid": kid })
            }
            Self::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key()), "kid": kid })
            }
            Self::Rsa(pair) => {
                let public = pair.public_key();
                let n = base64url(public.modulus().big_endian_without_leading_zero());
                let e = base64url(public.exponent().big_endian_without_leading_zero());
                json!({ "kty": "RSA", "n": n, "e": e, "kid": kid })
            }
            Self::Secret(secret) => json!({ "kty": "oct", "k": base64url(secret), "kid": kid }),
        }
    }

    /// The public key as encoded in a certificate.
    pub(super) fn public_der(&self) -> Vec<u8> {
        match self {
            Self::Rsa(pair) => AsDer::as_der(pair.public_key()).unwrap().as_ref().to_vec(),
            Self::Ec(pair, _) => AsDer::as_der(pair.public_key()).unwrap().as_ref().to_vec(),
            _ => unreachable!(),
        }
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ec(pair, _) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Rsa(pair) => {
                let padding: &dyn aws_lc_rs::signature::RsaEncoding = match algorithm {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Secret(secret) => {
                use aws_lc_rs::hmac;
                let hash = match algorithm {
                    "HS384" => hmac::HMAC_SHA384,
                    "HS512" => hmac::HMAC_SHA512,
                    _ => hmac::HMAC_SHA256,
                };
                hmac::sign(&hmac::Key::new(hash, secret), message).as_ref().to_vec()
            }
        }
    }

    /// A token with this header and these claims, correctly signed.
    pub(super) fn token(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), &claims.to_string())
    }

    /// A token from text, which can contain what no JSON value can.
    pub(super) fn token_of(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", base64url(header), base64url(claims));
        let algorithm = serde_json::from_str::<Value>(header).unwrap_or_default();
        let algorithm = algorithm["alg"].as_str().unwrap_or_default();
        let signature = self.sign(algorithm, signed.as_bytes());
        format!("{signed}.{}", base64url(signature))
    }
}

/// A certificate and its key.
pub(super) struct Certified {
    pub(super) der: Vec<u8>,
    pub(super) pem: String,
    pub(super) signer: Signer,
    issuer: Issuer<'static, KeyPair>,
}

/// A deviation from a valid certificate.
#[derive(Clone, Copy, Default)]
pub(super) struct Deviation {
    pub(super) is_authority: bool,
    pub(super) has_expired: bool,
    pub(super) usage: Option<KeyUsagePurpose>,
}

impl Certified {
    /// A self-signed certificate.
    pub(super) fn root(oddity: Deviation) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = params("root", oddity);
        let certificate = params.self_signed(&key).unwrap();
        Self::new(&certificate, params, key)
    }

    /// A certificate signed by this one.
    pub(super) fn certify(&self, oddity: Deviation) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = params("below", oddity);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self::new(&certificate, params, key)
    }

    fn new(certificate: &rcgen::Certificate, params: CertificateParams, key: KeyPair) -> Self {
        Self {
            der: certificate.der().to_vec(),
            pem: certificate.pem(),
            signer: Signer::of(&key),
            issuer: Issuer::new(params, key),
        }
    }

    /// The certificate's encoding in `x5c`.
    pub(super) fn x5c(&self) -> String {
        STANDARD.encode(&self.der)
    }
}

fn params(name: &str, oddity: Deviation) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::days(2);
    params.not_after = if oddity.has_expired { now - Duration::days(1) } else { now + Duration::days(1) };
    if oddity.is_authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    }
    params.key_usages.extend(oddity.usage);
    params
}
