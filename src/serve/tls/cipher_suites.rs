//! Cipher suites by Go's names, which are those of the IANA registry.

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{CipherSuite, SupportedProtocolVersion, version};
use sampan_config::{TlsConfig, TlsVersion};

use super::error::TlsError;

/// Go's names of suites that Distribution accepts or its documentation lists, and that rustls does not
/// implement.
const WEAK: [&str; 14] = [
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
];

/// The cryptography for `settings`, and the TLS versions it supports.
///
/// As in Go, naming suites of TLS 1.2 does not affect TLS 1.3. Naming some suites of TLS 1.3 excludes its
/// others, where Go would ignore them.
pub(super) fn choose(
    settings: &TlsConfig,
) -> Result<(CryptoProvider, Vec<&'static SupportedProtocolVersion>), TlsError> {
    let mut provider = aws_lc_rs::default_provider();
    let mut versions: Vec<&'static SupportedProtocolVersion> = match settings.minimumtls {
        TlsVersion::Tls12 => vec![&version::TLS13, &version::TLS12],
        TlsVersion::Tls13 => vec![&version::TLS13],
    };
    // Without TLS 1.2 the list has no effect; the configuration check warns of it.
    if settings.ciphersuites.is_empty() || settings.minimumtls == TlsVersion::Tls13 {
        return Ok((provider, versions));
    }
    let mut named = Vec::new();
    for name in &settings.ciphersuites {
        let found = provider.cipher_suites.iter().find(|suite| go_name(suite.suite()) == Some(name));
        named.push(*found.ok_or_else(|| unavailable(name, &provider))?);
    }
    let any_tls13 = named.iter().any(|suite| suite.tls13().is_some());
    provider.cipher_suites.retain(|suite| named.contains(suite) || (suite.tls13().is_some() && !any_tls13));
    let has_tls12 = provider.cipher_suites.iter().any(|suite| suite.tls13().is_none());
    versions.retain(|version| has_tls12 || **version == version::TLS13);
    Ok((provider, versions))
}

fn unavailable(name: &str, provider: &CryptoProvider) -> TlsError {
    let problem =
        if WEAK.contains(&name) { "weak and not offered" } else { "not the name of a cipher suite" };
    let available: Vec<&str> =
        provider.cipher_suites.iter().filter_map(|suite| go_name(suite.suite())).collect();
    TlsError::CipherSuite { name: name.to_owned(), problem, available: available.join(", ") }
}

fn go_name(suite: CipherSuite) -> Option<&'static str> {
    Some(match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => {
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
        }
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => {
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::tests::section;

    fn chosen(minimumtls: TlsVersion, names: &[&str]) -> Result<(Vec<&'static str>, usize), TlsError> {
        let ciphersuites = names.iter().map(|name| (*name).to_owned()).collect();
        let settings = TlsConfig { minimumtls, ciphersuites, ..section("c".as_ref(), "k".as_ref()) };
        let (provider, versions) = choose(&settings)?;
        let names = provider.cipher_suites.iter().filter_map(|suite| go_name(suite.suite())).collect();
        Ok((names, versions.len()))
    }

    #[test]
    fn every_supported_suite_has_a_go_name() {
        let (names, versions) = chosen(TlsVersion::Tls12, &[]).unwrap();
        assert_eq!(names.len(), aws_lc_rs::default_provider().cipher_suites.len());
        assert_eq!(versions, 2);
    }

    #[test]
    fn naming_suites_of_tls12_leaves_tls13_alone() {
        let (names, versions) =
            chosen(TlsVersion::Tls12, &["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]).unwrap();
        assert_eq!(names.len(), 4, "{names:?}");
        assert!(names.contains(&"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"));
        assert_eq!(versions, 2);
    }

    #[test]
    fn naming_only_suites_of_tls13_excludes_tls12() {
        let chosen = chosen(TlsVersion::Tls12, &["TLS_AES_256_GCM_SHA384"]).unwrap();
        assert_eq!(chosen, (vec!["TLS_AES_256_GCM_SHA384"], 1));
    }

    #[test]
    fn names_are_ignored_if_the_minimum_is_tls13() {
        let (names, versions) = chosen(TlsVersion::Tls13, &["TLS_RSA_WITH_RC4_128_SHA"]).unwrap();
        assert!(names.len() > 3);
        assert_eq!(versions, 1);
    }

    #[test]
    fn other_suites_are_refused_with_a_list_of_supported_ones() {
        let check = |name: &str, problem: &str| {
            let error = chosen(TlsVersion::Tls12, &[name]).unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}` is {problem}")), "{error}");
            assert!(error.contains("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"), "{error}");
        };
        for name in WEAK {
            check(name, "weak and not offered");
        }
        check("AES128-SHA", "not the name of a cipher suite");
    }
}
