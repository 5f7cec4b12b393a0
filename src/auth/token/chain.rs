//! Chains of certificates in tokens (`x5c`): whether they lead to a root, and the key at their end.
//!
//! As in Distribution, what a certificate is for (extended key usage) and whom it names are not looked at, and nothing is
//! asked about revocation. Ours: a certificate that says what its key may be used for must say signatures.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::key::Key;
use super::root::Root;

/// Any use, as Go's `ExtKeyUsageAny`.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, usages: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        // One that is malformed is an error all the same.
        for usage in usages {
            usage?;
        }
        Ok(())
    }
}

/// The key of the first certificate, if the chain is valid at `now` and leads to one of `roots`; else what is wrong.
pub(super) fn key_of(certificates: &[Vec<u8>], roots: &[Arc<Root>], now: UnixTime) -> Result<Key, String> {
    let chain: Vec<CertificateDer<'_>> =
        certificates.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let [leaf, intermediates @ ..] = chain.as_slice() else { return Err("it is empty".to_owned()) };
    let (rest, certificate) = X509Certificate::from_der(leaf).map_err(|error| error.to_string())?;
    if !rest.is_empty() {
        return Err("something follows the first certificate".to_owned());
    }
    if let Some(root) = roots.iter().find(|root| root.is(leaf)) {
        // Mostly a certificate that signed itself, which is a chain of one.
        if !root.is_valid_at(now) {
            return Err("the certificate is not valid now".to_owned());
        }
    } else {
        let anchors: Vec<_> =
            roots.iter().filter(|root| root.is_valid_at(now)).map(|root| root.anchor().clone()).collect();
        EndEntityCert::try_from(leaf)
            .and_then(|leaf| {
                leaf.verify_for_usage(
                    ALL_VERIFICATION_ALGS,
                    &anchors,
                    intermediates,
                    now,
                    AnyUsage,
                    None,
                    None,
                )
                .map(drop)
            })
            .map_err(|error| error.to_string())?;
        if !may_sign(&certificate) {
            return Err("the key usage of the first certificate does not allow signatures".to_owned());
        }
    }
    Key::of_certificate(certificate.public_key()).map_err(str::to_owned)
}

fn may_sign(certificate: &X509Certificate<'_>) -> bool {
    match certificate.key_usage() {
        Ok(None) => true,
        Ok(Some(usage)) => usage.value.digital_signature() || usage.value.non_repudiation(),
        Err(_) => false,
    }
}
