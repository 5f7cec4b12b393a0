//! `TokenSecret`: the secret of an access token, which a client sends as its password.
//!
//! `spn_`, the id of the token, `_`, and 32 random bytes in base64url. The prefix lets scanners of leaked secrets
//! find it; the id finds the token with one look into the store. Such a secret cannot be guessed, so its hash needs
//! no bcrypt.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sampan_engine::AccessTokenId;
use sha2::{Digest, Sha256};

/// How each secret begins.
pub(super) const PREFIX: &str = "spn_";

/// The secret of an access token. `Debug` omits its random part.
pub struct TokenSecret {
    id: AccessTokenId,
    random: [u8; 32],
}

impl TokenSecret {
    /// The length of each secret, in bytes: its prefix, its id, `_`, and 43 characters of base64url.
    pub(super) const LEN: usize = PREFIX.len() + AccessTokenId::LEN + 1 + 43;

    /// Makes the secret of a new token.
    pub fn random() -> Self {
        Self { id: AccessTokenId::random(), random: rand::random() }
    }

    /// Parses a password; `None` if it is no such secret.
    pub fn parse(password: &[u8]) -> Option<Self> {
        let rest = std::str::from_utf8(password).ok()?.strip_prefix(PREFIX)?;
        let (id, random) = rest.split_once('_')?;
        let random = URL_SAFE_NO_PAD.decode(random).ok()?;
        Some(Self { id: id.parse().ok()?, random: random.try_into().ok()? })
    }

    /// The secret as the client sends it.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}_{}", self.id, URL_SAFE_NO_PAD.encode(self.random))
    }

    /// The id of the token.
    pub fn id(&self) -> AccessTokenId {
        self.id
    }

    /// The hash of the secret that the store keeps, in hexadecimal.
    pub fn hash(&self) -> String {
        data_encoding::HEXLOWER.encode(&Sha256::digest(self.random))
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSecret").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_again_and_each_other_text_is_none() {
        let secret = TokenSecret::random();
        let text = secret.reveal();
        assert_eq!(text.len(), TokenSecret::LEN);
        let again = TokenSecret::parse(text.as_bytes()).unwrap();
        assert_eq!((again.id(), again.hash()), (secret.id(), secret.hash()));
        for cut in 0..text.len() {
            assert!(TokenSecret::parse(&text.as_bytes()[..cut]).is_none(), "cut at {cut}");
        }
        for other in [
            format!("{text}A"),
            format!(" {text}"),
            text.replace("spn_", "SPN_"),
            "spn_../../x_AAAA".to_owned(),
        ] {
            assert!(TokenSecret::parse(other.as_bytes()).is_none(), "{other}");
        }
        assert!(!format!("{secret:?}").contains(&text[22..]));
    }
}
