//! Which token servers may get a registry's credentials.
//!
//! The registry chooses the token server, so a hostile one could name any server to get the password, or an internal one to
//! have it asked (CVE-2026-33540, CVE-2026-48978).

use url::Url;

use crate::address::is_loopback;
use crate::error::{Problem, shown_url};

/// Registries whose token server has another registrable domain, by suffix of the host.
const PAIRS: &[(&str, &str)] = &[("registry.freedesktop.org", "gitlab.freedesktop.org")];

/// Checks that `realm` may be asked for a token of `registry`, with credentials or without.
///
/// With credentials it must use TLS and be on the registry's host, on a host of the same registrable domain, or in
/// `trusted`. Without TLS the registry must do without it too, and the realm be on its host or in `trusted`.
pub(crate) fn check(
    registry: &Url,
    realm: &Url,
    trusted: &[String],
    has_credentials: bool,
) -> Result<(), Problem> {
    let refused = |reason| Problem::Realm { realm: shown_url(realm.as_str()), reason };
    let host = |url: &Url| url.host_str().map(str::to_owned).unwrap_or_default();
    let (ours, theirs) = (host(registry), host(realm));
    let is_near = ours == theirs
        || is_loopback(registry) && is_loopback(realm)
        || trusted.iter().any(|name| name.eq_ignore_ascii_case(&theirs));
    match realm.scheme() {
        "https" => {}
        "http" if registry.scheme() != "http" => {
            return Err(refused("they would travel without TLS, and the registry itself uses TLS"));
        }
        "http" if !is_near => {
            return Err(refused(
                "it uses no TLS and is on another host; name that host if it is right (`--realm-host`, or `realms` of an upstream)",
            ));
        }
        "http" => {}
        _ => return Err(refused("its scheme must be https")),
    }
    let is_pair = PAIRS.contains(&(ours.as_str(), theirs.as_str()));
    if !has_credentials || is_near || is_pair || is_same_domain(registry, realm) {
        return Ok(());
    }
    Err(refused(
        "it is in another domain than the registry; name its host if it is right (`--realm-host`, or `realms` of an upstream)",
    ))
}

/// Whether both hosts are names below the same registrable domain of the Public Suffix List.
fn is_same_domain(one: &Url, other: &Url) -> bool {
    let domain = |url: &Url| psl::domain_str(url.domain()?).map(str::to_owned);
    domain(one).is_some_and(|name| Some(name) == domain(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(registry: &str, realm: &str, trusted: &[&str], has_credentials: bool) -> bool {
        let trusted: Vec<_> = trusted.iter().map(|name| (*name).to_owned()).collect();
        check(&registry.parse().unwrap(), &realm.parse().unwrap(), &trusted, has_credentials).is_ok()
    }

    #[test]
    fn credentials_stay_in_the_domain_of_the_registry() {
        for (registry, realm, expected) in [
            ("https://registry-1.docker.io/", "https://auth.docker.io/token", true),
            ("https://registry.gitlab.com/", "https://gitlab.com/jwt/auth", true),
            ("https://registry.freedesktop.org/", "https://gitlab.freedesktop.org/jwt/auth", true),
            ("https://ghcr.io/", "https://ghcr.io/token", true),
            ("https://host.example:5000/", "https://host.example:5001/token", true),
            ("https://registry.example.co.uk/", "https://auth.example.co.uk/token", true),
            ("https://10.0.0.1:5000/", "https://10.0.0.1/token", true),
            ("http://localhost:5000/", "http://127.0.0.1:5001/token", true),
            ("http://host:5000/", "http://host:5001/token", true),
            ("http://host:5000/", "https://host:5001/token", true),
            // Others.
            ("https://registry.co.uk/", "https://evil.co.uk/token", false),
            ("https://a.github.io/", "https://b.github.io/token", false),
            ("https://registry.example/", "https://evil.test/token", false),
            ("https://registry.example/", "http://registry.example/token", false),
            ("https://registry/", "https://auth/token", false),
            ("https://10.0.0.1/", "https://10.0.0.2/token", false),
            ("http://host:5000/", "http://other:5001/token", false),
            ("https://registry.example/", "ftp://registry.example/token", false),
            ("https://registry.example/", "https://registry.example.evil.test/token", false),
        ] {
            assert_eq!(accepts(registry, realm, &[], true), expected, "{registry} {realm}");
        }
    }

    #[test]
    fn a_trusted_realm_gets_them_but_never_without_tls_from_a_registry_with_it() {
        assert!(accepts("https://registry/", "https://auth:5001/token", &["AUTH"], true));
        assert!(!accepts("https://registry/", "http://auth/token", &["auth"], true));
        assert!(accepts("http://registry/", "http://auth/token", &["auth"], true));
    }

    #[test]
    fn an_anonymous_token_comes_from_any_server_with_tls() {
        assert!(accepts("https://registry.example/", "https://evil.test/token", &[], false));
        assert!(!accepts("https://registry.example/", "http://evil.test/token", &[], false));
        assert!(!accepts("http://registry.example/", "http://evil.test/token", &[], false));
    }
}
