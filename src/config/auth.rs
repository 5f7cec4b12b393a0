//! The section `auth`: at most one way to authenticate clients.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sampan_shown_url::ShownUrl;
use url::Url;

use super::findings::{Findings, is_http_url, is_this_machine};
use super::key::{Choice, Disclosure, Key, Kind};
use super::section::{Value, section};
use super::values::{value_from_text, words};
use super::{Node, NodeError, selection};

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

const AUTH: Choice = Choice {
    helpers: &[],
    known: &[
        Key::new("none", Kind::Any).meaning("Every client may do everything; also written `auth: none`."),
        Key::of::<Option<SillyConfig>>("silly"),
        Key::of::<Option<HtpasswdConfig>>("htpasswd"),
        Key::of::<Option<TokenConfig>>("token"),
    ],
    open: false,
};

impl Value for AuthConfig {
    const KIND: Kind = Kind::Choice(&AUTH);
    const SHOWING: Disclosure = Disclosure::Usual;
    const IS_REQUIRED: bool = false;

    fn read(node: &Node) -> Result<Self, NodeError> {
        let chosen = selection::auth(node)?;
        let mut params = chosen.value.clone();
        params.origin = chosen.key_origin.clone();
        let read = match chosen.key.as_str() {
            "silly" => Value::read(&params).map(Self::Silly),
            "htpasswd" => Value::read(&params).map(Self::Htpasswd),
            "token" => Value::read(&params).map(|token| Self::Token(Box::new(token))),
            _ => Ok(Self::None),
        };
        read.map_err(|error| error.under_key(&chosen.key))
    }

    fn absent() -> Option<Self> {
        None
    }
}

section! {
    /// `auth.silly`.
    pub struct SillyConfig {
        /// For tests: any `Authorization` header will do. The realm that the challenge names.
        pub realm: String,
        /// The service that the challenge names.
        pub service: String,
    }
}

section! {
    /// `auth.htpasswd`.
    pub struct HtpasswdConfig {
        /// The text that a client shows when it asks for the password.
        pub realm: String,
        /// The file, with lines `USER:BCRYPT_HASH`.
        pub path: PathBuf,
    }
}

section! {
    /// `auth.token`.
    pub struct TokenConfig {
        /// The URL of the token server, see [token-auth.md](token-auth.md).
        pub realm: String,
        /// The name of this registry; tokens must be for it.
        pub service: String,
        /// The required issuer of tokens.
        pub issuer: String,
        /// PEM file of certificates whose keys, or those they vouch for, sign tokens; this or `jwks` is needed.
        pub rootcertbundle: Option<PathBuf>,
        /// JSON file of keys that sign tokens, or an `https` URL of one (ours).
        pub jwks: Option<KeySetPlace>,
        /// Authorities for that URL, a PEM file, in place of the system's.
        pub jwksca: Option<PathBuf>; ours,
        /// How often the registry fetches that URL; at least `10s`.
        pub jwksrefresh: Duration = "5m"; ours,
        /// Makes the realm a path of the host that the client calls.
        pub autoredirect: bool = "false",
        /// That path.
        pub autoredirectpath: String = "/auth/token",
        /// The algorithms that are accepted; none means all of EdDSA, ES256, ES384, ES512, RS256, RS384, RS512, PS256, PS384,
        /// PS512, and never HS256, HS384, HS512, which must be named.
        pub signingalgorithms: Vec<SigningAlgorithm>,
    }
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

value_from_text!(KeySetPlace);

words! {
    /// An algorithm of RFC 7518 or RFC 8037 that tokens may be signed with; `none` is not one of them.
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
    /// The default: all but the symmetric ones.
    pub fn asymmetric() -> Vec<Self> {
        Self::ALL.iter().copied().filter(|algorithm| !algorithm.is_symmetric()).collect()
    }

    /// The algorithm by its name in tokens, which is case-sensitive.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|algorithm| algorithm.as_str() == name)
    }

    /// Whether a key that verifies a signature can also create one.
    pub fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }
}

impl AuthConfig {
    /// Checks what no single key can say.
    pub(crate) fn check(&self, found: &mut Findings<'_>) {
        if let Self::Token(token) = self {
            token.check(found);
        }
    }
}

impl TokenConfig {
    fn check(&self, found: &mut Findings<'_>) {
        if !is_http_url(&self.realm) && !self.autoredirect {
            let realm = ShownUrl::new(&self.realm);
            let message = format!(
                "expected the URL of the token server, such as `https://auth.example.com/token`, found `{realm}`"
            );
            found.mistake("auth.token.realm", message);
        }
        if self.autoredirect && !self.autoredirectpath.starts_with('/') {
            let message = format!("expected a path such as `/auth/token`, found `{}`", self.autoredirectpath);
            found.mistake("auth.token.autoredirectpath", message);
        }
        if self.rootcertbundle.is_none() && self.jwks.is_none() {
            found.mistake("auth.token", "has no key to check tokens with: give `rootcertbundle` or `jwks`");
        }
        let is_remote = matches!(self.jwks, Some(KeySetPlace::Url(_)));
        if is_remote && self.jwksrefresh < Duration::from_secs(10) {
            found.mistake("auth.token.jwksrefresh", "must be `10s` at least");
        }
        if self.jwksca.is_some() && !is_remote {
            found.warning("auth.token.jwksca", "has no effect, since `jwks` is not a URL");
        }
        let is_symmetric = self.signingalgorithms.iter().any(|algorithm| algorithm.is_symmetric());
        if is_symmetric && !matches!(self.jwks, Some(KeySetPlace::File(_))) {
            found.warning(
                "auth.token.signingalgorithms",
                "has an HMAC algorithm (HS256, HS384, HS512), whose secret must be in a `jwks` file, and `jwks` names no \
                 file",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_tokens_are_exact_and_none_is_not_an_algorithm() {
        for algorithm in SigningAlgorithm::ALL {
            assert_eq!(SigningAlgorithm::named(algorithm.as_str()), Some(*algorithm));
        }
        for name in ["none", "None", "NONE", "", "rs256", "RS256 ", "ES256K", "RSA-OAEP"] {
            assert_eq!(SigningAlgorithm::named(name), None, "{name}");
        }
        assert!(!SigningAlgorithm::asymmetric().iter().any(|algorithm| algorithm.is_symmetric()));
    }

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
