//! Tests of valid, invalid and half-replaced files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use sampan_config::{Config, Environment, Http2Config, Source, TlsConfig};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::authorities::Authorities;
use super::certificates::{Files, Validity};
use super::*;
use crate::certificate::{CertificateRequest, create};
use crate::test_log::TestLog;
use sampan_host::atomic_write::Existing;

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tls/testdata").join(name)
}

/// The section of a certificate and its key.
pub(super) fn section(certificate: &Path, key: &Path) -> TlsConfig {
    let tls = format!("{{ certificate: '{}', key: '{}' }}", certificate.display(), key.display());
    let text = format!("version: 0.1\nstorage: inmemory\nhttp: {{ tls: {tls} }}\n");
    let source = Source::Text { name: "config.yml".to_owned(), text };
    Config::load(source, &Environment::default()).unwrap().config.http.tls.unwrap()
}

async fn load(certificate: PathBuf, key: PathBuf) -> Result<Arc<TlsReloader>, TlsError> {
    load_section(section(&certificate, &key)).await
}

async fn load_section(section: TlsConfig) -> Result<Arc<TlsReloader>, TlsError> {
    TlsReloader::load(section, Http2Config { disabled: false }).await
}

async fn check_refused(certificate: PathBuf, key: PathBuf, expected: &[&str]) {
    let error = load(certificate, key).await.unwrap_err().to_string();
    for part in expected {
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn keys_in_every_format_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let pkcs8 = certificate_in(dir.path());
    load(testdata("rsa.crt"), testdata("rsa-pkcs1.key")).await.unwrap();
    load(testdata("ec-v1.crt"), testdata("ec-sec1.key")).await.unwrap();
    load(pkcs8.certificate, pkcs8.key).await.unwrap();
}

#[tokio::test]
async fn unusable_files_are_named_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let (rsa, rsa_key) = (testdata("rsa.crt"), testdata("rsa-pkcs1.key"));
    check_refused(rsa.clone(), testdata("ec-sec1.key"), &["ec-sec1.key does not match", "rsa.crt"]).await;
    check_refused(
        rsa_key.clone(),
        rsa_key.clone(),
        &["http.tls.certificate", "perhaps the two files are swapped"],
    )
    .await;
    check_refused(rsa.clone(), rsa.clone(), &["http.tls.key", "perhaps the two files are swapped"]).await;
    for encrypted in ["encrypted-pkcs8.key", "encrypted-sec1.key"] {
        check_refused(rsa.clone(), testdata(encrypted), &[encrypted, "is encrypted", "openssl pkey"]).await;
    }
    let der = |name: &str| {
        let file = dir.path().join(name);
        fs::write(&file, [0x30, 0x82, 0x04, 0xa4]).unwrap();
        file
    };
    check_refused(rsa.clone(), der("der.key"), &["der.key", "DER", "openssl pkey -inform der"]).await;
    check_refused(der("der.crt"), rsa_key.clone(), &["der.crt", "DER", "openssl x509 -inform der"]).await;
    let missing = testdata("missing.crt");
    check_refused(missing, rsa_key.clone(), &["cannot read http.tls.certificate", "missing.crt"]).await;
    let damaged = dir.path().join("damaged.crt");
    let pem = fs::read_to_string(&rsa).unwrap();
    fs::write(&damaged, pem.replace("MII", "MIJ")).unwrap();
    check_refused(damaged, rsa_key, &["certificate number 1 of http.tls.certificate", "damaged"]).await;
}

#[tokio::test]
async fn client_authorities_must_be_certificates() {
    let mut section = section(&testdata("rsa.crt"), &testdata("rsa-pkcs1.key"));
    section.clientcas = vec![testdata("rsa-pkcs1.key")];
    let error = load_section(section).await.unwrap_err().to_string();
    assert!(error.contains("http.tls.clientcas") && error.contains("has no certificate"), "{error}");
}

#[test]
fn a_certificate_outside_its_validity_is_logged() {
    let validity =
        Validity { not_before: datetime!(2020-01-01 0:00 UTC), not_after: datetime!(2021-01-01 0:00 UTC) };
    let check = |now, expected: &str| {
        let log = TestLog::default();
        let _guard = log.capture();
        validity.warn(Path::new("/certs/domain.crt"), now);
        let text = log.text();
        assert_eq!(text.is_empty(), expected.is_empty(), "{text}");
        assert!(text.contains(expected), "{text}");
    };
    check(datetime!(2019-12-31 0:00 UTC), "/certs/domain.crt is not valid yet");
    check(datetime!(2020-06-01 0:00 UTC), "");
    check(datetime!(2020-12-17 0:00 UTC), "");
    check(datetime!(2020-12-29 0:00 UTC), "/certs/domain.crt expires in 3 days");
    check(datetime!(2020-12-29 0:00 UTC), "2021-01-01T00:00:00Z");
    check(datetime!(2021-01-02 0:00 UTC), "/certs/domain.crt has expired");
}

#[test]
fn an_authority_outside_its_validity_is_logged() {
    let dir = tempfile::tempdir().unwrap();
    let now = OffsetDateTime::now_utc();
    let mut pem = String::new();
    for (name, begin, end) in [("old", -9, -2), ("soon", -1, 3), ("good", -1, 30), ("early", 2, 30)] {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) = (now + Duration::days(begin), now + Duration::days(end));
        pem += &params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    }
    let authorities = dir.path().join("clients.crt");
    fs::write(&authorities, pem).unwrap();
    let mut section = section(&testdata("rsa.crt"), &testdata("rsa-pkcs1.key"));
    section.clientcas = vec![authorities];
    let log = TestLog::default();
    let guard = log.capture();
    Authorities::from_pem(&section, &Files::read(&section).unwrap()).unwrap().warn(now);
    drop(guard);
    let text = log.text();
    let expected = [("old", "has expired"), ("soon", "expires in 2 days"), ("early", "is not valid yet")];
    assert_eq!(text.lines().count(), expected.len(), "{text}");
    for (line, (name, state)) in text.lines().zip(expected) {
        assert!(line.contains(&format!("CN={name}\" in http.tls.clientcas")), "{line}");
        assert!(line.contains("clients.crt") && line.contains(state), "{line}");
    }
}

fn certificate_in(folder: &Path) -> crate::certificate::CertificateFiles {
    let request = CertificateRequest {
        names: vec!["localhost".to_owned()],
        folder: folder.to_owned(),
        days: 30,
        existing: Existing::Replace,
    };
    create(&request).unwrap().files
}
