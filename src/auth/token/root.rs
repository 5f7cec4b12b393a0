//! `Root`: a certificate in `auth.token.rootcertbundle`. Its key may sign tokens, and certificates whose keys
//! may.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::key::{Key, libtrust_id};
use super::keyring::TrustedKey;

/// A certificate that is trusted because it is in the bundle.
pub(super) struct Root {
    der: CertificateDer<'static>,
    anchor: TrustAnchor<'static>,
    validity: Validity,
}

/// The validity period, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Validity {
    not_before: i64,
    not_after: i64,
}

/// The contents of a bundle.
#[derive(Default)]
pub(super) struct Bundle {
    pub(super) roots: Vec<Root>,
    pub(super) keys: Vec<(Vec<String>, TrustedKey)>,
    /// Problems that the administrator should know.
    pub(super) remarks: Vec<String>,
}

impl Root {
    pub(super) fn anchor(&self) -> &TrustAnchor<'static> {
        &self.anchor
    }

    pub(super) fn is(&self, certificate: &CertificateDer<'_>) -> bool {
        self.der.as_ref() == certificate.as_ref()
    }

    pub(super) fn is_valid_at(&self, time: UnixTime) -> bool {
        let now = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        (self.validity.not_before..=self.validity.not_after).contains(&now)
    }
}

impl Bundle {
    /// Parses a PEM file; `Err` names the damaged certificate.
    pub(super) fn parse(pem: &[u8], now: UnixTime) -> Result<Self, String> {
        let mut bundle = Self::default();
        for (index, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
            let damaged = |problem: String| format!("certificate {} is damaged: {problem}", index + 1);
            let der = certificate.map_err(|error| damaged(error.to_string()))?;
            bundle.add(index + 1, der, now).map_err(damaged)?;
        }
        Ok(bundle)
    }

    fn add(&mut self, number: usize, der: CertificateDer<'static>, now: UnixTime) -> Result<(), String> {
        let (_, certificate) = X509Certificate::from_der(&der).map_err(|error| error.to_string())?;
        let info = certificate.public_key();
        let subject = certificate.subject().to_string();
        match Key::of_certificate(info) {
            Ok(key) => {
                let mut ids = key.thumbprints();
                ids.push(libtrust_id(info.raw));
                self.keys.push((ids, TrustedKey { key, algorithm: None }));
            }
            Err(problem) => self.remarks.push(format!(
                "the key of certificate {number} ({subject}) cannot sign tokens, only other certificates: {problem}"
            )),
        }
        let validity = Validity {
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
        };
        let anchor = webpki::anchor_from_trusted_cert(&der).map_err(|error| error.to_string())?.to_owned();
        let root = Self::root(der.clone(), anchor, validity);
        if !root.is_valid_at(now) {
            self.remarks.push(format!(
                "certificate {number} ({subject}) is not valid now: chains (`x5c`) that lead to it are refused, \
                 tokens that name its key (`kid`) are not"
            ));
        }
        self.roots.push(root);
        Ok(())
    }

    fn root(der: CertificateDer<'static>, anchor: TrustAnchor<'static>, validity: Validity) -> Root {
        Root { der, anchor, validity }
    }
}
