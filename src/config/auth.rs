//! The section `auth`: at most one way to authenticate clients.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use url::{Host, Url};

use super::values::{deserialize_from_text, duration, words};
use sampan_shown_url::ShownUrl;

/// How clients authenticate.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum AuthConfig {
    /// They do not; every client may do everything.
    #[default]
    None,
    /// Any `Authorization` header is accepted; for tests.
    Silly(SillyConfig),
    /// With a file of user names and bcrypt hashes.
    Htpasswd(HtpasswdConfig),
    /// With tokens that another server signs.
    Token(Box<TokenConfig>),
}

/// `auth.silly`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SillyConfig {
    /// The realm that the challenge names.
    pub realm: String,
    /// The service that the challenge names.
    pub service: String,
}

/// `auth.htpasswd`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct HtpasswdConfig {
    /// The realm that the challenge names.
    pub realm: String,
    /// The file.
    pub path: PathBuf,
}

/// `auth.token`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// The URL of the token server, which the challenge names.
    pub realm: String,
    /// The name of this registry, which a token must have as its audience.
    pub service: String,
    /// The issuer that a token must name.
    pub issuer: String,
    /// A PEM file of certificates that may sign.
    pub rootcertbundle: Option<PathBuf>,
    /// The keys that may sign.
    pub jwks: Option<KeySetPlace>,
    /// The authorities to trust when fetching the keys, instead of the system's. Not in Distribution.
    pub jwksca: Option<PathBuf>,
    /// The interval at which the keys are fetched. Not in Distribution.
    #[serde(deserialize_with = "duration")]
    pub jwksrefresh: Duration,
    /// Whether the realm is on the host that the client used.
    pub autoredirect: bool,
    /// The path of the realm if `autoredirect` is set.
    pub autoredirectpath: String,
    /// The algorithms that are accepted; empty means all but the symmetric ones.
    #[serde(default)]
    pub signingalgorithms: Vec<SigningAlgorithm>,
}

/// Where a set of keys is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeySetPlace {
    /// In a JSON file.
    File(PathBuf),
    /// Behind an `https` URL, or an `http` one of this machine.
    Url(Url),
}

impl FromStr for KeySetPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains("://") {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let found = ShownUrl::new(text);
        let expected = || format!("expected a path or an `https` URL, found `{found}`");
        let url = Url::parse(text).map_err(|_| expected())?;
        match url.scheme() {
            "https" => Ok(Self::Url(url)),
            // An attacker who can change the keys in transit can sign tokens.
            "http" if is_this_machine(&url) => Ok(Self::Url(url)),
            "http" => Err(format!("keys cannot be fetched safely over `http`: use `https`, found `{found}`")),
            _ => Err(expected()),
        }
    }
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

deserialize_from_text!(KeySetPlace);

words! {
    /// An algorithm that tokens may be signed with.
    pub enum SigningAlgorithm {
        /// Ed25519.
        EdDsa = "EdDSA",
        /// HMAC with SHA-256.
        Hs256 = "HS256",
        /// HMAC with SHA-384.
        Hs384 = "HS384",
        /// HMAC with SHA-512.
        Hs512 = "HS512",
        /// RSA PKCS #1 v1.5 with SHA-256.
        Rs256 = "RS256",
        /// RSA PKCS #1 v1.5 with SHA-384.
        Rs384 = "RS384",
        /// RSA PKCS #1 v1.5 with SHA-512.
        Rs512 = "RS512",
        /// ECDSA over P-256 with SHA-256.
        Es256 = "ES256",
        /// ECDSA over P-384 with SHA-384.
        Es384 = "ES384",
        /// ECDSA over P-521 with SHA-512.
        Es512 = "ES512",
        /// RSA PSS with SHA-256.
        Ps256 = "PS256",
        /// RSA PSS with SHA-384.
        Ps384 = "PS384",
        /// RSA PSS with SHA-512.
        Ps512 = "PS512",
    }
}

impl SigningAlgorithm {
    /// Whether a key that verifies a signature can also create one.
    pub fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_a_file_or_over_a_safe_connection() {
        assert_eq!("/etc/keys.json".parse(), Ok(KeySetPlace::File("/etc/keys.json".into())));
        for safe in [
            "https://auth.example.com/jwks",
            "http://127.0.0.1:8080/jwks",
            "http://[::1]/",
            "http://localhost/",
        ] {
            assert!(matches!(safe.parse(), Ok(KeySetPlace::Url(_))), "{safe}");
        }
        for unsafe_or_wrong in
            ["http://auth.example.com/jwks", "http://127.0.0.1.example.com/", "file:///etc/keys", "https://"]
        {
            assert!(unsafe_or_wrong.parse::<KeySetPlace>().is_err(), "{unsafe_or_wrong}");
        }
    }
}
