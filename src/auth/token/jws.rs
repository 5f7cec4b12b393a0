//! `Jws`: a parsed token (RFC 7515, compact form), not verified yet.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sampan_config::SigningAlgorithm;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::object::{self, Object};
use super::refusal::Refusal;
use crate::auth::logged_text::LoggedText;

/// The largest token, in bytes. A certificate chain and some hundred scopes fit.
pub(in crate::auth) const MAX_TOKEN_BYTES: usize = 128 << 10;

/// The longest certificate chain.
const MAX_CHAIN: usize = 10;

/// A parsed token.
pub(in crate::auth) struct Jws<'a> {
    pub(in crate::auth) algorithm: SigningAlgorithm,
    pub(in crate::auth) key: KeyHint,
    pub(in crate::auth) payload: Vec<u8>,
    /// The signed bytes: everything before the last dot.
    pub(in crate::auth) signed: &'a [u8],
    pub(in crate::auth) signature: Vec<u8>,
}

/// The key that a token names, by the most specific member as in Distribution.
pub(in crate::auth) enum KeyHint {
    /// Certificates in DER, the signer's first, and the key id beside them, which counts if no roots are
    /// configured.
    Chain { certificates: Vec<Vec<u8>>, id: Option<String> },
    /// A key id, plain or in an embedded key. An embedded key's other members are ignored.
    Id(String),
    /// No key.
    Nothing,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    x5c: Option<Vec<String>>,
    jwk: Option<Object<EmbeddedKey>>,
    /// Of any value: `null` is no list of extensions either (RFC 7515, 4.1.11).
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct EmbeddedKey {
    kid: Option<String>,
    x5c: Option<Vec<String>>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IgnoredAny>, D::Error> {
    IgnoredAny::deserialize(deserializer).map(Some)
}

impl<'a> Jws<'a> {
    /// Parses a token. Duplicate members of the header are refused.
    pub(in crate::auth) fn parse(token: &'a str) -> Result<Self, Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::TooLong { limit: MAX_TOKEN_BYTES });
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::NotCompact)?;
        let (header, payload) = signed.split_once('.').ok_or(Refusal::NotCompact)?;
        // A further dot is not a letter of base64url, so decoding fails.
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::NotCompact);
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        let header: Header = object::parse(&header).map_err(Refusal::Header)?;
        if header.crit.is_some() {
            return Err(Refusal::Critical);
        }
        let algorithm = SigningAlgorithm::named(&header.alg)
            .ok_or_else(|| Refusal::Algorithm(LoggedText::new(&header.alg)))?;
        let key = KeyHint::of(header)?;
        Ok(Self { algorithm, key, payload, signed: signed.as_bytes(), signature })
    }
}

impl KeyHint {
    fn of(header: Header) -> Result<Self, Refusal> {
        let Header { kid, x5c, jwk, .. } = header;
        if let Some(x5c) = x5c.filter(|x5c| !x5c.is_empty()) {
            return Self::chain(x5c, kid);
        }
        if let Some(Object(EmbeddedKey { kid, x5c })) = jwk {
            return match (x5c.filter(|x5c| !x5c.is_empty()), kid) {
                (Some(x5c), kid) => Self::chain(x5c, kid),
                (None, Some(kid)) => Ok(Self::Id(kid)),
                (None, None) => Ok(Self::Nothing),
            };
        }
        Ok(kid.map_or(Self::Nothing, Self::Id))
    }

    fn chain(x5c: Vec<String>, id: Option<String>) -> Result<Self, Refusal> {
        if x5c.len() > MAX_CHAIN {
            return Err(Refusal::Chain(format!("it has more than {MAX_CHAIN} certificates")));
        }
        let mut certificates = Vec::new();
        for certificate in x5c {
            let der = STANDARD.decode(certificate);
            certificates.push(der.map_err(|_| Refusal::Chain("a certificate is not base64".to_owned()))?);
        }
        Ok(Self::Chain { certificates, id })
    }
}
