//! `Authorities`: the certificates in `http.tls.clientcas`, of which only those that are valid now vouch for clients.

use std::path::PathBuf;

use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use rustls::{DistinguishedName, RootCertStore};
use sampan_config::TlsConfig;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificates::{CLIENT_CAS, EXPIRY_WARNING, Files, Validity, certificates, date};
use super::error::TlsError;

/// The authorities of a section; there are none without `clientcas`.
#[derive(Debug)]
pub(super) struct Authorities(Vec<Authority>);

#[derive(Debug)]
struct Authority {
    path: PathBuf,
    subject: String,
    anchor: TrustAnchor<'static>,
    validity: Validity,
}

impl Authorities {
    /// Parses the files of `http.tls.clientcas`.
    pub(super) fn from_pem(settings: &TlsConfig, files: &Files) -> Result<Self, TlsError> {
        let mut authorities = Vec::new();
        for (path, pem) in settings.clientcas.iter().zip(&files.client_cas) {
            for (index, der) in certificates(CLIENT_CAS, path, pem)?.into_iter().enumerate() {
                authorities.push(Authority::from_der(path.clone(), &der).map_err(|problem| {
                    let (path, number) = (path.clone(), index + 1);
                    TlsError::BadCertificate { key: CLIENT_CAS, path, number, problem }
                })?);
            }
        }
        Ok(Self(authorities))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The anchors that are valid at `now`: webpki itself ignores the validity of an anchor.
    pub(super) fn valid_at(&self, now: UnixTime) -> RootCertStore {
        let valid = self.0.iter().filter(|authority| authority.validity.contains(now));
        RootCertStore { roots: valid.map(|authority| authority.anchor.clone()).collect() }
    }

    /// The names of all authorities.
    pub(super) fn subjects(&self) -> Vec<DistinguishedName> {
        RootCertStore { roots: self.0.iter().map(|authority| authority.anchor.clone()).collect() }.subjects()
    }

    /// Logs a warning of each authority that does not vouch now, or will soon not.
    pub(super) fn warn(&self, now: OffsetDateTime) {
        for Authority { path, subject, validity, .. } in &self.0 {
            let path = path.display();
            let (begins, ends) = (date(validity.not_before), date(validity.not_after));
            if now > validity.not_after {
                tracing::warn!(
                    not_after = ends,
                    "the authority {subject:?} in {CLIENT_CAS} {path} has expired, and no certificate that it signed counts: \
                     renew it and those certificates, or remove it"
                );
            } else if now < validity.not_before {
                tracing::warn!(
                    not_before = begins,
                    "the authority {subject:?} in {CLIENT_CAS} {path} is not valid yet, and no certificate that it signed \
                     counts: check the clock of this machine"
                );
            } else if validity.not_after - now < EXPIRY_WARNING {
                tracing::warn!(
                    not_after = ends,
                    "the authority {subject:?} in {CLIENT_CAS} {path} expires in {} days, and no certificate that it signed \
                     counts then: renew it",
                    (validity.not_after - now).whole_days()
                );
            }
        }
    }
}

impl Authority {
    fn from_der(path: PathBuf, der: &CertificateDer<'_>) -> Result<Self, String> {
        let anchor = webpki::anchor_from_trusted_cert(der).map_err(|error| error.to_string())?.to_owned();
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        let subject = certificate.subject().to_string();
        Ok(Self { path, subject, anchor, validity: Validity::of(&certificate) })
    }
}
