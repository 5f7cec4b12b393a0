//! Signatures of plans: Ed25519, or ECDSA with P-256 and SHA-256, with keys in PEM.
//!
//! A signature is base64, as `cosign verify-blob --key` takes it; an ECDSA one is DER. `openssl` verifies both.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

/// Why a key or a signature is not accepted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// The text has no private key.
    #[error(
        "this is not an unencrypted private key in PEM (PKCS#8, `-----BEGIN PRIVATE KEY-----`); \
         `openssl genpkey -algorithm ed25519` makes one"
    )]
    NoPrivateKey,
    /// The text has no public key.
    #[error(
        "this is not a public key in PEM (`-----BEGIN PUBLIC KEY-----`); `openssl pkey -in KEY.pem -pubout` makes one"
    )]
    NoPublicKey,
    /// The key is of another kind.
    #[error("the key must be of Ed25519 or ECDSA with P-256")]
    UnknownKind,
    /// The key failed to sign.
    #[error("the key cannot sign")]
    Failed,
    /// The signature does not belong to the plan and the key.
    #[error("the signature is wrong: the bundle was changed, or signed with another key")]
    Wrong,
    /// There is no signature.
    #[error("the bundle is not signed")]
    Missing,
}

/// A private key.
pub struct SigningKey(Private);

enum Private {
    Ed25519(Ed25519KeyPair),
    EcdsaP256(EcdsaKeyPair),
}

/// A public key.
#[derive(Clone)]
pub struct VerifyingKey {
    spki: Vec<u8>,
    algorithm: &'static dyn VerificationAlgorithm,
}

impl SigningKey {
    /// Reads a key in the form of PKCS#8.
    ///
    /// # Errors
    ///
    /// `NoPrivateKey`, `UnknownKind`.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| KeyError::NoPrivateKey)?;
        let der = key.secret_pkcs8_der();
        if let Ok(key) = Ed25519KeyPair::from_pkcs8(der) {
            return Ok(Self(Private::Ed25519(key)));
        }
        match EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der) {
            Ok(key) => Ok(Self(Private::EcdsaP256(key))),
            Err(_) => Err(KeyError::UnknownKind),
        }
    }

    /// The signature of `content`: the same each time with Ed25519, another one each time with ECDSA.
    ///
    /// # Errors
    ///
    /// `Failed`.
    pub fn sign(&self, content: &[u8]) -> Result<Bytes, KeyError> {
        let signature = match &self.0 {
            Private::Ed25519(key) => key.sign(content),
            Private::EcdsaP256(key) => {
                key.sign(&SystemRandom::new(), content).map_err(|_| KeyError::Failed)?
            }
        };
        Ok(STANDARD.encode(signature.as_ref()).into())
    }
}

impl VerifyingKey {
    /// Reads a key in the form of a SubjectPublicKeyInfo.
    ///
    /// # Errors
    ///
    /// `NoPublicKey`, `UnknownKind`.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let key = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| KeyError::NoPublicKey)?;
        let spki = key.as_ref().to_vec();
        let has =
            |identifier: &[u8]| spki.windows(identifier.len()).take(32).any(|bytes| bytes == identifier);
        let algorithm: &'static dyn VerificationAlgorithm = match () {
            () if has(ED25519_OID) => &ED25519,
            () if has(P256_OID) => &ECDSA_P256_SHA256_ASN1,
            () => return Err(KeyError::UnknownKind),
        };
        Ok(Self { spki, algorithm })
    }

    /// Compares a signature.
    ///
    /// # Errors
    ///
    /// `Missing`, `Wrong`.
    pub fn verify(&self, content: &[u8], signature: Option<&[u8]>) -> Result<(), KeyError> {
        let signature = signature.ok_or(KeyError::Missing)?;
        let signature = STANDARD.decode(signature.trim_ascii()).map_err(|_| KeyError::Wrong)?;
        let key = UnparsedPublicKey::new(self.algorithm, &self.spki);
        key.verify(content, &signature).map_err(|_| KeyError::Wrong)
    }
}

/// 1.3.101.112, `id-Ed25519` (RFC 8410).
const ED25519_OID: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];

/// 1.2.840.10045.3.1.7, `prime256v1` (RFC 5480).
const P256_OID: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made by `openssl genpkey`.
    const ED25519_KEY: &[u8] = include_bytes!("tests/ed25519.pem");
    const ED25519_PUBLIC: &[u8] = include_bytes!("tests/ed25519.pub.pem");
    const P256_KEY: &[u8] = include_bytes!("tests/p256.pem");
    const P256_PUBLIC: &[u8] = include_bytes!("tests/p256.pub.pem");
    const P384_KEY: &[u8] = include_bytes!("tests/p384.pem");
    const P384_PUBLIC: &[u8] = include_bytes!("tests/p384.pub.pem");

    #[test]
    fn a_signature_belongs_to_its_content_and_key() {
        for (private, public, other) in
            [(ED25519_KEY, ED25519_PUBLIC, P256_PUBLIC), (P256_KEY, P256_PUBLIC, ED25519_PUBLIC)]
        {
            let signature = SigningKey::from_pem(private).unwrap().sign(b"plan").unwrap();
            let key = VerifyingKey::from_pem(public).unwrap();
            assert_eq!(key.verify(b"plan", Some(&signature)), Ok(()));
            assert_eq!(key.verify(b"plan ", Some(&signature)), Err(KeyError::Wrong));
            assert_eq!(key.verify(b"plan", Some(b"rubbish")), Err(KeyError::Wrong));
            assert_eq!(key.verify(b"plan", None), Err(KeyError::Missing));
            let other = VerifyingKey::from_pem(other).unwrap();
            assert_eq!(other.verify(b"plan", Some(&signature)), Err(KeyError::Wrong));
        }
    }

    #[test]
    fn other_keys_are_refused() {
        assert_eq!(SigningKey::from_pem(P384_KEY).unwrap_err(), KeyError::UnknownKind);
        assert_eq!(VerifyingKey::from_pem(P384_PUBLIC).unwrap_err(), KeyError::UnknownKind);
        assert_eq!(SigningKey::from_pem(P256_PUBLIC).unwrap_err(), KeyError::NoPrivateKey);
        assert_eq!(VerifyingKey::from_pem(P256_KEY).unwrap_err(), KeyError::NoPublicKey);
        assert_eq!(SigningKey::from_pem(b"rubbish").unwrap_err(), KeyError::NoPrivateKey);
    }
}
