//! The section `access`: who may do what, tokens, and clients' certificates. At the top of the file, since Distribution refuses
//! a second key in `auth`.

use std::path::PathBuf;
use std::time::Duration;

use super::findings::Findings;
use super::section::section;
use super::values::words;
use super::{AccessRule, AccessRules, AuthConfig, ClientAuth, Groups, HttpConfig, OneOrMore};

section! {
    /// Who may do what.
    pub struct AccessConfig {
        /// A file with `groups` and `rules`, which the registry looks at every second, in place of the two keys below.
        pub file: Option<PathBuf>,
        /// A map of group names to lists of users.
        pub groups: Groups,
        /// The rules. Each allows something; what any rule allows is allowed, in whatever order they are.
        pub rules: Vec<AccessRule>,
        /// The tokens that the registry issues.
        pub tokens: AccessTokensConfig,
        /// Clients' certificates as logins.
        pub certificates: Option<CertificatesConfig>; never_blank(
            "give `identity: [dns, uri, cn]`, or remove the section"
        ),
    }
}

section! {
    /// `access.tokens`.
    pub struct AccessTokensConfig {
        /// The name of this registry in challenges and tokens.
        pub service: Option<String>; default_meaning("the host of `http.host`, else `sampan`"),
        /// How long a token is valid that a client gets for its password; `1m` to `1h`.
        pub lifetime: Duration = "5m",
        /// The longest time until a token of `registry token create` ends, `8760h` is a year; `0s` means no limit.
        pub longest: Duration = "8760h",
        /// The Ed25519 keys, PKCS #8 in PEM, that sign tokens; made if missing, and the same for all registries over a store.
        pub signingkey: Option<PathBuf>; default_meaning("beside the password file"),
    }
}

section! {
    /// `access.certificates`.
    pub struct CertificatesConfig {
        /// The names in a verified certificate, of which the first that it has is the name of the user: `dns`, `uri`, `cn`.
        pub identity: OneOrMore<CertificateName>,
    }
}

words! {
    /// A name in a certificate.
    pub enum CertificateName {
        /// The first DNS name of the subject's alternative names.
        Dns = "dns",
        /// The first URI of the subject's alternative names.
        Uri = "uri",
        /// The common name of the subject.
        Cn = "cn",
    }
}

impl AccessTokensConfig {
    /// The shortest lifetime of a token for a password: clients assume as much at least.
    pub const SHORTEST_LIFETIME: Duration = Duration::from_secs(60);

    /// The longest lifetime of a token for a password.
    pub const LONGEST_LIFETIME: Duration = Duration::from_secs(3600);
}

impl AccessConfig {
    /// The groups and rules of the section itself; there are none if they are in a file of their own.
    pub fn rules_here(&self) -> AccessRules {
        AccessRules { groups: self.groups.clone(), rules: self.rules.clone() }
    }

    /// Checks what no single key can say.
    pub(crate) fn check(&self, auth: &AuthConfig, http: &HttpConfig, found: &mut Findings<'_>) {
        let method = match auth {
            AuthConfig::Token(_) => Some("token"),
            AuthConfig::Silly(_) => Some("silly"),
            AuthConfig::Htpasswd(_) | AuthConfig::None => None,
        };
        if let Some(method) = method {
            let decides = match method {
                "token" => "the token server decides who may do what",
                _ => "any `Authorization` header may do everything",
            };
            let message = format!(
                "has no effect with `auth: {method}`, where {decides}; remove one of the two sections, or use `auth: htpasswd`"
            );
            found.mistake("access", message);
            return;
        }
        self.check_rules(found);
        self.check_certificates(http, found);
        if !(AccessTokensConfig::SHORTEST_LIFETIME..=AccessTokensConfig::LONGEST_LIFETIME)
            .contains(&self.tokens.lifetime)
        {
            found.mistake(
                "access.tokens.lifetime",
                "must be between `1m`, which clients assume at least, and `1h`",
            );
        }
        if self
            .tokens
            .service
            .as_deref()
            .is_some_and(|service| service.contains(['"', '\\']) || !is_visible(service))
        {
            found.mistake(
                "access.tokens.service",
                "is quoted in a header: give it visible ASCII characters without `\"` and `\\`",
            );
        }
    }

    /// Without verified certificates the section would let in no user, but keep the tokens of users who have no password any more.
    fn check_certificates(&self, http: &HttpConfig, found: &mut Findings<'_>) {
        if self.certificates.is_none() {
            return;
        }
        let message = match &http.tls {
            None => {
                "has no effect without `http.tls`: set `http.tls` with `clientcas`, or remove the section"
                    .to_owned()
            }
            Some(tls) if tls.clientcas.is_empty() => {
                "has no effect without `http.tls.clientcas`, as no client is asked for a \
                 certificate: name the authorities of the clients there, or remove the section"
                    .to_owned()
            }
            Some(tls) if !tls.verifies_clients() => format!(
                "has no effect with `http.tls.clientauth: {}`, which verifies no certificate: use `{}` or `{}`, or remove the section",
                tls.clientauth.as_str(),
                ClientAuth::VerifyClientCertIfGiven.as_str(),
                ClientAuth::RequireAndVerifyClientCert.as_str()
            ),
            Some(_) => return,
        };
        found.mistake("access.certificates", message);
    }

    fn check_rules(&self, found: &mut Findings<'_>) {
        let written = |key: &str| found.tree.at(&format!("access.{key}")).is_some();
        match &self.file {
            Some(file) => {
                let beside = ["groups", "rules"].into_iter().find(|key| written(key));
                if let Some(key) = beside {
                    let message = format!(
                        "is here, and `access.file` ({}) has rules too: move all groups and rules there, or remove `file`",
                        file.display()
                    );
                    found.mistake(&format!("access.{key}"), message);
                }
            }
            None if written("rules") => {
                self.rules_here().check("access.", found);
            }
            None => found.mistake(
                "access",
                "has no `rules`, so no client could do anything: write some, or a `file` with them, or `rules: []` to allow nothing",
            ),
        }
    }
}

/// Whether a text has visible ASCII characters alone.
fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}
