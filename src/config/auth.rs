//! The section `auth`: exactly one way to know clients.

use std::path::PathBuf;

use serde::Deserialize;

/// How clients are known.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum AuthConfig {
    /// They are not; everybody may do everything.
    #[default]
    None,
    /// Any `Authorization` header will do; for tests.
    Silly(SillyConfig),
    /// By a file of user names and bcrypt hashes.
    Htpasswd(HtpasswdConfig),
    /// By tokens that another server signs; not served.
    Token(TokenConfig),
}

/// `auth.silly`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SillyConfig {
    /// What the challenge names.
    pub realm: String,
    /// What the challenge names as the service.
    pub service: String,
}

/// `auth.htpasswd`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct HtpasswdConfig {
    /// What the challenge names.
    pub realm: String,
    /// The file.
    pub path: PathBuf,
}

/// `auth.token`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// The token server's address, which the challenge names.
    pub realm: String,
    /// The name of this registry in tokens.
    pub service: String,
    /// Who must have issued a token.
    pub issuer: String,
    /// A PEM file of certificates that may sign.
    pub rootcertbundle: Option<PathBuf>,
    /// A JSON file of keys that may sign.
    pub jwks: Option<PathBuf>,
    /// Whether the realm is this very host.
    pub autoredirect: bool,
    /// The path of the realm then.
    pub autoredirectpath: String,
    /// The algorithms that are accepted; empty means every one that is sound.
    #[serde(default)]
    pub signingalgorithms: Vec<String>,
}
