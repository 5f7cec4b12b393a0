//! Reads certificates and keys from PEM files.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use sampan_config::{TlsConfig, read_regular_file};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::error::TlsError;

pub(super) const CERTIFICATE: &str = "http.tls.certificate";
pub(super) const KEY: &str = "http.tls.key";
pub(super) const CLIENT_CAS: &str = "http.tls.clientcas";

/// A certificate, its chain to the root and its key, checked to belong together.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) certified_key: Arc<CertifiedKey>,
    pub(super) validity: Validity,
}

/// The largest file of certificates or keys, in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// How long before a certificate expires warnings begin.
pub(super) const EXPIRY_WARNING: Duration = Duration::days(14);

/// Formats a time for the log.
pub(super) fn date(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_else(|_| time.to_string())
}

/// A certificate's validity period.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Validity {
    pub(super) not_before: OffsetDateTime,
    pub(super) not_after: OffsetDateTime,
}

/// The contents of a section's files.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) client_cas: Vec<Vec<u8>>,
}

impl Files {
    pub(super) fn read(settings: &TlsConfig) -> Result<Self, TlsError> {
        let mut client_cas = Vec::new();
        for path in &settings.clientcas {
            client_cas.push(read(CLIENT_CAS, path)?);
        }
        Ok(Self {
            certificate: read(CERTIFICATE, &settings.certificate)?,
            key: read(KEY, &settings.key)?,
            client_cas,
        })
    }
}

impl Identity {
    pub(super) fn from_pem(
        settings: &TlsConfig,
        files: &Files,
        provider: &CryptoProvider,
    ) -> Result<Self, TlsError> {
        let chain = certificates(CERTIFICATE, &settings.certificate, &files.certificate)?;
        let key = private_key(&settings.key, &files.key)?;
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(|source| TlsError::UnusableKey { path: settings.key.clone(), source })?;
        let damaged = |problem: String| TlsError::BadCertificate {
            key: CERTIFICATE,
            path: settings.certificate.clone(),
            number: 1,
            problem,
        };
        let (_, leaf) = X509Certificate::from_der(&chain[0]).map_err(|error| damaged(error.to_string()))?;
        // rustls could compare too, but it refuses X.509 version 1 certificates, which `openssl x509 -req`
        // created for years and which clients that pin them accept.
        if key.public_key().is_some_and(|public| public.as_ref() != leaf.public_key().raw) {
            let (certificate, key) = (settings.certificate.clone(), settings.key.clone());
            return Err(TlsError::NotAPair { certificate, key });
        }
        let validity = Validity::of(&leaf);
        Ok(Self { certified_key: Arc::new(CertifiedKey::new(chain, key)), validity })
    }
}

impl Validity {
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let period = certificate.validity();
        Self { not_before: period.not_before.to_datetime(), not_after: period.not_after.to_datetime() }
    }

    pub(super) fn contains(&self, time: UnixTime) -> bool {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        (self.not_before.unix_timestamp()..=self.not_after.unix_timestamp()).contains(&seconds)
    }

    /// Logs a warning if the certificate is not valid now. The server uses it nevertheless: clients may be
    /// configured to ignore validity, and a registry that does not start is worse.
    pub(super) fn warn(&self, path: &Path, now: OffsetDateTime) {
        let Self { not_before, not_after } = *self;
        let path = path.display();
        let (begins, ends) = (date(not_before), date(not_after));
        if now > not_after {
            tracing::warn!(
                not_after = ends,
                "the certificate in {path} has expired, clients refuse it: renew it"
            );
        } else if now < not_before {
            tracing::warn!(
                not_before = begins,
                "the certificate in {path} is not valid yet, clients refuse it: check the clock of this machine"
            );
        } else if not_after - now < EXPIRY_WARNING {
            tracing::warn!(
                not_after = ends,
                "the certificate in {path} expires in {} days, and clients refuse it then: renew it; the registry picks up \
                 the new file without a restart",
                (not_after - now).whole_days()
            );
        }
    }
}

/// Reads all certificates of a file; at least one is required.
pub(super) fn certificates(
    key: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        found.push(certificate.map_err(|error| TlsError::BadCertificate {
            key,
            path: path.to_owned(),
            number: found.len() + 1,
            problem: error.to_string(),
        })?);
    }
    if found.is_empty() {
        let hint = if pem.trim_ascii().is_empty() {
            ": it is empty"
        } else if contains(pem, b"PRIVATE KEY-----") {
            ": it has a private key, perhaps the two files are swapped"
        } else if is_der(pem) {
            ": it seems to be in DER format, convert it with `openssl x509 -inform der`"
        } else {
            ""
        };
        return Err(TlsError::NoCertificate { key, path: path.to_owned(), hint });
    }
    Ok(found)
}

fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    let path_owned = || path.to_owned();
    if contains(pem, b"BEGIN ENCRYPTED PRIVATE KEY") || contains(pem, b"Proc-Type: 4,ENCRYPTED") {
        return Err(TlsError::EncryptedKey { path: path_owned() });
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        let hint = if pem.trim_ascii().is_empty() {
            ": it is empty"
        } else if contains(pem, b"PRIVATE KEY-----") {
            ": it contains a damaged key"
        } else if contains(pem, b"BEGIN CERTIFICATE-----") {
            ": it has a certificate, perhaps the two files are swapped"
        } else if is_der(pem) {
            ": it seems to be in DER format, convert it with `openssl pkey -inform der`"
        } else {
            ""
        };
        TlsError::NoKey { path: path_owned(), hint }
    })
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    read_regular_file(path, MAX_FILE_BYTES).map_err(|error| TlsError::Read {
        key,
        path: path.to_owned(),
        source: error.into(),
    })
}

/// Every certificate and key is a SEQUENCE there.
fn is_der(file: &[u8]) -> bool {
    file.starts_with(&[0x30])
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
