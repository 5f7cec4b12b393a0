//! A key set as JSON (RFC 7517): the file or response that `auth.token.jwks` names.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use sampan_config::SigningAlgorithm;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::key::{Curve, Key};
use super::keyring::TrustedKey;

/// Accepts padding, which some servers add although they should not.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The usable keys of a set, each with its ids.
#[derive(Default)]
pub(super) struct KeySet {
    pub(super) keys: Vec<(Vec<String>, TrustedKey)>,
    /// Problems that the administrator should know.
    pub(super) remarks: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
    d: Option<IgnoredAny>,
}

impl KeySet {
    /// Parses a set. An unusable key is left out with a remark, as the RFC asks; `Err` if the text is not a
    /// set.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let document: Document = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let mut set = Self::default();
        for (index, value) in document.keys.into_iter().enumerate() {
            let jwk: Jwk = match serde_json::from_value(value) {
                Ok(jwk) => jwk,
                Err(error) => {
                    set.remarks.push(format!("key {} is left out: {error}", index + 1));
                    continue;
                }
            };
            let shown = match &jwk.kid {
                Some(kid) => format!("key {} (`{}`)", index + 1, kid.escape_debug()),
                None => format!("key {}", index + 1),
            };
            if jwk.d.is_some() {
                set.remarks.push(format!(
                    "{shown} includes its private part, which the registry does not need: remove it"
                ));
            }
            match jwk.read() {
                Ok(Some(entry)) => set.keys.push(entry),
                Ok(None) => {} // Not for signatures.
                Err(problem) => set.remarks.push(format!("{shown} is left out: {problem}")),
            }
        }
        Ok(set)
    }
}

impl Jwk {
    fn read(self) -> Result<Option<(Vec<String>, TrustedKey)>, String> {
        let other_use = self.usage.as_deref().is_some_and(|usage| usage != "sig");
        let other_work = self
            .key_ops
            .as_ref()
            .is_some_and(|work| !work.iter().any(|work| matches!(work.as_str(), "verify" | "sign")));
        if other_use || other_work {
            return Ok(None);
        }
        let key = match self.kty.as_str() {
            "RSA" => Key::rsa(&bytes(self.n.as_ref(), "n")?, &bytes(self.e.as_ref(), "e")?)?,
            "EC" => {
                let name = self.crv.as_deref().unwrap_or_default();
                let curve = Curve::named(name)
                    .ok_or_else(|| format!("its curve `{}` is not supported", name.escape_debug()))?;
                let (x, y) = (bytes(self.x.as_ref(), "x")?, bytes(self.y.as_ref(), "y")?);
                if x.len() != curve.field_bytes() || y.len() != curve.field_bytes() {
                    return Err("its `x` or `y` has the wrong length for its curve".to_owned());
                }
                Key::Ec { curve, x, y }
            }
            "OKP" if self.crv.as_deref() == Some("Ed25519") => match bytes(self.x.as_ref(), "x")? {
                x if x.len() == 32 => Key::Ed25519(x),
                _ => return Err("its `x` is not 32 bytes".to_owned()),
            },
            "oct" => match bytes(self.k.as_ref(), "k")? {
                k if k.len() >= 32 => Key::Secret(k),
                _ => return Err("its secret has fewer than 32 bytes and is too easy to guess".to_owned()),
            },
            other => return Err(format!("its type `{}` is not supported", other.escape_debug())),
        };
        let algorithm = match self.alg.as_deref() {
            None => None,
            Some(name) => Some(
                SigningAlgorithm::named(name)
                    .ok_or_else(|| format!("its algorithm `{}` is not supported", name.escape_debug()))?,
            ),
        };
        let ids = match self.kid {
            Some(kid) => vec![kid],
            None => key.thumbprints(),
        };
        if ids.is_empty() {
            return Err("a secret needs a `kid`".to_owned());
        }
        Ok(Some((ids, TrustedKey { key, algorithm })))
    }
}

fn bytes(member: Option<&String>, name: &str) -> Result<Vec<u8>, String> {
    let text = member.ok_or_else(|| format!("its `{name}` is missing"))?;
    BASE64URL.decode(text).map_err(|_| format!("its `{name}` is not base64url"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &str, ids: &[&str], remarks: &[&str]) {
        let set = KeySet::parse(format!(r#"{{"keys":[{keys}]}}"#).as_bytes()).unwrap();
        let found: Vec<&str> = set.keys.iter().flat_map(|(ids, _)| ids).map(String::as_str).collect();
        assert_eq!(found, ids, "{keys}");
        assert_eq!(set.remarks.len(), remarks.len(), "{:?}", set.remarks);
        for (remark, part) in set.remarks.iter().zip(remarks) {
            assert!(remark.contains(part), "{remark}");
        }
    }

    #[test]
    fn unusable_keys_are_left_out_with_a_remark() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        check(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":"a"}}"#), &["a"], &[]);
        // RFC 8037, A.3.
        let thumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        check(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#), &[thumbprint], &[]);
        check(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","use":"enc"}}"#), &[], &[]);
        check(
            &format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":"a","d":"{x}"}}"#),
            &["a"],
            &["private"],
        );
        check(r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#, &[], &["type `OKP`"]);
        check(r#"{"kty":"EC","crv":"secp256k1"}"#, &[], &["curve `secp256k1`"]);
        check(r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#, &[], &["2048"]);
        check(r#"{"kty":"oct","k":"c2VjcmV0","kid":"s"}"#, &[], &["easy to guess"]);
        check(r#"{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#, &[], &["needs a `kid`"]);
        check(r#"{"kid":"a"}, 7"#, &[], &["missing field", "invalid type"]);
    }

    #[test]
    fn other_documents_are_not_a_set() {
        for text in ["", "[]", "{}", "<html>", r#"{"keys":{}}"#] {
            assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
