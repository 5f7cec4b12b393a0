//! Protocols and suites that `openssl s_client` can and cannot negotiate.

use std::fs;
use std::process::Command;

use super::support::{Fixture, RegistryProcess, run, tool};

/// The suites that are generally considered secure, for a certificate with an elliptic curve and for one with RSA.
const ECDSA: [&str; 3] =
    ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"];
const RSA: [&str; 3] =
    ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"];
const TLS13: [&str; 3] = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

fn serve(site: &Fixture, tls: &str) -> RegistryProcess {
    site.serve(&format!("addr: '127.0.0.1:0', tls: {{{}{tls}}}", site.tls()), "")
}

fn s_client(site: &Fixture, registry: &RegistryProcess, flags: &[&str]) -> Command {
    let mut command = tool("openssl");
    command.args(["s_client", "-connect", &registry.host(), "-CAfile", &site.text("certs/ca.crt")]);
    command.args(["-verify_return_error"]).args(flags);
    command
}

/// The negotiated version and suite, if any.
fn negotiate(site: &Fixture, registry: &RegistryProcess, flags: &[&str]) -> Option<String> {
    let output = s_client(site, registry, flags).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = printed.lines().find(|line| line.starts_with("New, ") && !line.contains("(NONE)"))?;
    let suite = line.rsplit(' ').next().unwrap().to_owned();
    output.status.success().then_some(suite)
}

/// All suites of TLS 1.2 that this openssl has, weak or not, one by one.
fn accepted_of_tls12(site: &Fixture, registry: &RegistryProcess) -> Vec<String> {
    let all = run(tool("openssl").args(["ciphers", "-s", "-tls1_2", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]));
    let all: Vec<&str> = all.trim().split(':').collect();
    assert!(all.len() > 50 && all.contains(&"AES128-SHA"), "{all:?}");
    let mut accepted: Vec<String> = all
        .into_iter()
        .filter(|suite| {
            let only = format!("{suite}:@SECLEVEL=0");
            let negotiated = negotiate(site, registry, &["-tls1_2", "-cipher", &only]);
            assert!(negotiated.as_deref().is_none_or(|negotiated| negotiated == *suite), "{negotiated:?}");
            negotiated.is_some()
        })
        .map(str::to_owned)
        .collect();
    accepted.sort();
    accepted
}

fn accepted_of_tls13(site: &Fixture, registry: &RegistryProcess) -> Vec<String> {
    const ALL: [&str; 5] =
        ["TLS_AES_128_CCM_8_SHA256", "TLS_AES_128_CCM_SHA256", TLS13[0], TLS13[1], TLS13[2]];
    let accepts = |suite: &&str| negotiate(site, registry, &["-tls1_3", "-ciphersuites", suite]).is_some();
    ALL.into_iter().filter(accepts).map(str::to_owned).collect()
}

#[test]
#[ignore = "needs openssl"]
fn old_versions_and_weak_suites_are_refused() {
    let site = Fixture::new("127.0.0.1");
    let registry = serve(&site, "");
    for old in ["-tls1", "-tls1_1"] {
        assert_eq!(negotiate(&site, &registry, &[old, "-cipher", "ALL:@SECLEVEL=0"]), None, "{old}");
    }
    assert_eq!(accepted_of_tls12(&site, &registry), ECDSA);
    assert_eq!(accepted_of_tls13(&site, &registry), TLS13);
    // The refused connections have not stopped the registry.
    assert!(negotiate(&site, &registry, &[]).is_some());

    let printed = run(&mut s_client(&site, &registry, &["-tls1_2"]));
    for expected in ["Secure Renegotiation IS supported", "Compression: NONE", "Verify return code: 0 (ok)"] {
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
}

#[test]
#[ignore = "needs openssl"]
fn a_certificate_with_an_rsa_key_has_suites_of_its_own() {
    let site = Fixture::new("127.0.0.1");
    run(tool("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=registry"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout", &site.text("certs/domain.key"), "-out", &site.text("certs/domain.crt")]));
    fs::copy(site.path("certs/domain.crt"), site.path("certs/ca.crt")).unwrap();
    let registry = serve(&site, "");
    assert_eq!(accepted_of_tls12(&site, &registry), RSA);
}

#[test]
#[ignore = "needs openssl"]
fn what_the_configuration_chooses_is_all_there_is() {
    let site = Fixture::new("127.0.0.1");
    let registry = serve(&site, ", minimumtls: tls1.3");
    assert_eq!(negotiate(&site, &registry, &["-tls1_2"]), None);
    assert_eq!(accepted_of_tls13(&site, &registry), TLS13);

    let registry = serve(&site, ", ciphersuites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]");
    assert_eq!(negotiate(&site, &registry, &["-tls1_2"]).as_deref(), Some(ECDSA[1]));
    assert_eq!(negotiate(&site, &registry, &["-tls1_2", "-cipher", ECDSA[0]]), None);
    // As in Go, a list of TLS 1.2 suites has no effect on TLS 1.3.
    assert_eq!(accepted_of_tls13(&site, &registry), TLS13);
}

#[test]
#[ignore = "needs openssl"]
fn http_2_is_offered_unless_it_is_disabled() {
    let site = Fixture::new("127.0.0.1");
    let alpn = |registry: &RegistryProcess| {
        let printed = run(&mut s_client(&site, registry, &["-alpn", "h2,http/1.1"]));
        printed.lines().find(|line| line.starts_with("ALPN")).unwrap_or_default().to_owned()
    };
    assert_eq!(alpn(&serve(&site, "")), "ALPN protocol: h2");
    let without =
        site.serve(&format!("addr: '127.0.0.1:0', http2: {{disabled: true}}, tls: {{{}}}", site.tls()), "");
    assert_eq!(alpn(&without), "ALPN protocol: http/1.1");
}
