//! `Key`: a key that verifies signatures. A key works only with the algorithms of its own kind.

use aws_lc_rs::hmac;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sampan_config::SigningAlgorithm;
use sha2::{Digest, Sha256};
use x509_parser::prelude::SubjectPublicKeyInfo;
use x509_parser::public_key::PublicKey;

/// A key that verifies signatures.
#[derive(Clone, Eq, PartialEq)]
pub(in crate::auth) enum Key {
    /// Modulus and exponent, big-endian without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// Both coordinates, each with the length of the curve's field.
    Ec { curve: Curve, x: Vec<u8>, y: Vec<u8> },
    /// An Ed25519 key.
    Ed25519(Vec<u8>),
    /// A secret shared with the token server.
    Secret(Vec<u8>),
}

/// The curves of RFC 7518.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::auth) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::P256, Self::P384, Self::P521].into_iter().find(|curve| curve.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    pub(super) fn field_bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    fn of_oid(oid: &str) -> Option<Self> {
        match oid {
            "1.2.840.10045.3.1.7" => Some(Self::P256),
            "1.3.132.0.34" => Some(Self::P384),
            "1.3.132.0.35" => Some(Self::P521),
            _ => None,
        }
    }
}

impl Key {
    /// Creates an RSA key; `Err` names the problem.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Result<Self, &'static str> {
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        match n.len() * 8 {
            ..2040 => Err("it is an RSA key of fewer than 2048 bits, which is too weak"),
            8193.. => Err("it is an RSA key of more than 8192 bits"),
            _ if e.is_empty() || e.len() > 8 => Err("its RSA exponent is not valid"),
            _ => Ok(Self::Rsa { n: n.to_vec(), e: e.to_vec() }),
        }
    }

    /// Extracts a certificate's key; `Err` names the problem.
    pub(super) fn of_certificate(info: &SubjectPublicKeyInfo<'_>) -> Result<Self, &'static str> {
        const ED25519_OID: &str = "1.3.101.112";
        if info.algorithm.algorithm.to_id_string() == ED25519_OID {
            return Ok(Self::Ed25519(info.subject_public_key.data.to_vec()));
        }
        match info.parsed() {
            Ok(PublicKey::RSA(rsa)) => Self::rsa(rsa.modulus, rsa.exponent),
            Ok(PublicKey::EC(point)) => {
                let named = info.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
                let curve = named.and_then(|oid| Curve::of_oid(&oid.to_id_string()));
                let curve = curve.ok_or("its curve is not P-256, P-384 or P-521")?;
                match point.data() {
                    [4, coordinates @ ..] if coordinates.len() == 2 * curve.field_bytes() => {
                        let (x, y) = coordinates.split_at(curve.field_bytes());
                        Ok(Self::Ec { curve, x: x.to_vec(), y: y.to_vec() })
                    }
                    _ => Err("its point on the curve is compressed"),
                }
            }
            _ => Err("it is not RSA, ECDSA or Ed25519"),
        }
    }

    /// Whether `signature` is valid for `message`. False if `algorithm` is not one for this kind of key.
    pub(in crate::auth) fn verifies(
        &self,
        algorithm: SigningAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        match self {
            Self::Rsa { n, e } => rsa_parameters(algorithm).is_some_and(|parameters| {
                PublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }),
            Self::Ec { curve, x, y } => {
                let ecdsa: &'static dyn VerificationAlgorithm = match (curve, algorithm) {
                    (Curve::P256, SigningAlgorithm::Es256) => &ECDSA_P256_SHA256_FIXED,
                    (Curve::P384, SigningAlgorithm::Es384) => &ECDSA_P384_SHA384_FIXED,
                    (Curve::P521, SigningAlgorithm::Es512) => &ECDSA_P521_SHA512_FIXED,
                    _ => return false,
                };
                let point = [&[4], x.as_slice(), y].concat();
                UnparsedPublicKey::new(ecdsa, point).verify(message, signature).is_ok()
            }
            Self::Ed25519(key) => {
                algorithm == SigningAlgorithm::EdDsa
                    && UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
            }
            Self::Secret(secret) => hmac_algorithm(algorithm).is_some_and(|hmac_algorithm| {
                hmac::verify(&hmac::Key::new(hmac_algorithm, secret), message, signature).is_ok()
            }),
        }
    }

    /// The default ids of the key: its thumbprint (RFC 7638), and Distribution's variant where that differs.
    /// A secret has none.
    pub(in crate::auth) fn thumbprints(&self) -> Vec<String> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let print = |json: String| encode(&Sha256::digest(json));
        match self {
            Self::Rsa { n, e } => {
                vec![print(format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, encode(e), encode(n)))]
            }
            Self::Ec { curve, x, y } => {
                let of = |x: &[u8], y: &[u8]| {
                    let (curve, x, y) = (curve.name(), encode(x), encode(y));
                    print(format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#))
                };
                // Distribution omits leading zeros of a coordinate, which one key in 128 has.
                let mut prints = vec![of(x, y), of(without_leading_zeros(x), without_leading_zeros(y))];
                prints.dedup();
                prints
            }
            Self::Ed25519(x) => {
                vec![print(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(x)))]
            }
            Self::Secret(_) => Vec::new(),
        }
    }

    /// Whether the key is a shared secret.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_))
    }
}

/// The key id in tokens of Docker's first registries (libtrust), some of whose servers still run.
pub(super) fn libtrust_id(public_key_info: &[u8]) -> String {
    let hash = Sha256::digest(public_key_info);
    let text = data_encoding::BASE32.encode(&hash[..30]);
    text.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(":")
}

fn rsa_parameters(algorithm: SigningAlgorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        SigningAlgorithm::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        SigningAlgorithm::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
        SigningAlgorithm::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
        SigningAlgorithm::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
        SigningAlgorithm::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
        SigningAlgorithm::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

fn hmac_algorithm(algorithm: SigningAlgorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        SigningAlgorithm::Hs256 => Some(hmac::HMAC_SHA256),
        SigningAlgorithm::Hs384 => Some(hmac::HMAC_SHA384),
        SigningAlgorithm::Hs512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    &bytes[first..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_matches_the_rfc() {
        // RFC 7638, 3.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRX\
                 jBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSq\
                 zs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHa\
                 Q-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let key = Key::rsa(&URL_SAFE_NO_PAD.decode(n).unwrap(), &[0, 1, 0, 1]).unwrap();
        assert_eq!(key.thumbprints(), ["NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"]);
    }

    #[test]
    fn a_coordinate_with_a_leading_zero_has_distributions_thumbprint_too() {
        let key =
            |first| Key::Ec { curve: Curve::P256, x: [vec![first], vec![7; 31]].concat(), y: vec![9; 32] };
        assert_eq!(key(7).thumbprints().len(), 1);
        assert_eq!(key(0).thumbprints().len(), 2);
    }

    #[test]
    fn weak_rsa_keys_are_refused() {
        assert!(Key::rsa(&[0xff; 128], &[1, 0, 1]).is_err());
        assert!(Key::rsa(&[0xff; 256], &[1, 0, 1]).is_ok());
        assert!(Key::rsa(&[0xff; 256], &[0]).is_err());
    }

    #[test]
    fn a_public_key_does_not_verify_an_hmac() {
        let key = Key::rsa(&[0xff; 256], &[1, 0, 1]).unwrap();
        for algorithm in SigningAlgorithm::ALL.iter().filter(|algorithm| algorithm.is_symmetric()) {
            assert!(!key.verifies(*algorithm, b"message", b"signature"));
        }
    }
}
