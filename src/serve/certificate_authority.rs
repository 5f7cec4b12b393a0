//! `Authority`: the private certificate authority in the directory of `registry certificate`.
//!
//! It signs only while its certificate is valid and its key belongs to it: clients would refuse anything else. An
//! existing authority is never replaced, because clients trust it. All functions block.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificate::{CLOCK_TOLERANCE, CertificateError, CertificateFiles, exists, read, write};
use sampan_host::atomic_write::Existing;

/// The validity of an authority, in days.
const AUTHORITY_DAYS: i64 = 3650;

/// A certificate authority that can sign at the moment.
pub(super) struct Authority {
    pub(super) issuer: Issuer<'static, KeyPair>,
    /// The end of its validity: no certificate of it is valid for longer.
    pub(super) not_after: OffsetDateTime,
}

impl Authority {
    /// Loads the directory's authority, or creates it if the directory has neither authority nor certificate.
    pub(super) fn of(files: &CertificateFiles, now: OffsetDateTime) -> Result<Self, CertificateError> {
        let (certificate, key) = (&files.authority, &files.authority_key);
        let half = |present: &Path, missing: &Path| CertificateError::HalfAuthority {
            present: present.to_owned(),
            missing: missing.to_owned(),
        };
        match (exists(certificate)?, exists(key)?) {
            (true, true) => Self::load(certificate, key, now),
            (true, false) => Err(half(certificate, key)),
            (false, true) => Err(half(key, certificate)),
            (false, false) if exists(&files.certificate)? => Err(CertificateError::NoAuthority {
                certificate: files.certificate.clone(),
                missing: certificate.clone(),
            }),
            (false, false) => Self::create(certificate, key, now),
        }
    }

    fn load(certificate: &Path, key: &Path, now: OffsetDateTime) -> Result<Self, CertificateError> {
        let damaged = |path: &Path, problem: &dyn std::fmt::Display| CertificateError::DamagedAuthority {
            path: path.to_owned(),
            problem: problem.to_string(),
        };
        let pair = KeyPair::from_pem(&read(key)?).map_err(|error| damaged(key, &error))?;
        let der = CertificateDer::from_pem_slice(read(certificate)?.as_bytes())
            .map_err(|error| damaged(certificate, &error))?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| damaged(certificate, &error))?;
        if !parsed.is_ca() {
            return Err(damaged(certificate, &"it is not the certificate of an authority"));
        }
        if parsed.public_key().subject_public_key.data != pair.public_key_raw() {
            return Err(CertificateError::ForeignKey {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
            });
        }
        let validity = parsed.validity();
        let (not_before, not_after) = (validity.not_before.to_datetime(), validity.not_after.to_datetime());
        let outside = |when| CertificateError::InvalidAuthority { path: certificate.to_owned(), when };
        if not_after <= now {
            return Err(outside(format!("expired on {}", not_after.date())));
        }
        if not_before > now {
            return Err(outside(format!("is not valid before {}", not_before.date())));
        }
        let issuer = Issuer::from_ca_cert_der(&der, pair).map_err(|error| damaged(certificate, &error))?;
        Ok(Self { issuer, not_after })
    }

    fn create(certificate: &Path, key: &Path, now: OffsetDateTime) -> Result<Self, CertificateError> {
        let pair = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.not_before = now - CLOCK_TOLERANCE;
        params.not_after = now + Duration::days(AUTHORITY_DAYS);
        params.distinguished_name.push(DnType::CommonName, "Sampan registry authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let made = params.self_signed(&pair)?;
        write(key, &pair.serialize_pem(), 0o600, Existing::Keep)?;
        write(certificate, &made.pem(), 0o644, Existing::Keep)?;
        let not_after = params.not_after;
        Ok(Self { issuer: Issuer::new(params, pair), not_after })
    }
}
