//! Certificate chains in tokens (`x5c`): verifies them and returns the leaf's key.
//!
//! As in Distribution, extended key usage, subject and revocation are not checked. Unlike Distribution, a
//! leaf with a key usage extension must allow signatures.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::key::Key;
use super::root::Root;

/// Accepts any usage, as Go's `ExtKeyUsageAny`.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, usages: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        // A malformed usage is still an error.
        for usage in usages {
            usage?;
        }
        Ok(())
    }
}

/// The key of the first certificate, if the chain is valid at `now` and leads to one of `roots`.
pub(super) fn key_of(certificates: &[Vec<u8>], roots: &[Arc<Root>], now: UnixTime) -> Result<Key, String> {
    let chain: Vec<CertificateDer<'_>> =
        certificates.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let [leaf, intermediates @ ..] = chain.as_slice() else { return Err("it is empty".to_owned()) };
    let (rest, certificate) = X509Certificate::from_der(leaf).map_err(|error| error.to_string())?;
    if !rest.is_empty() {
        return Err("data follows the first certificate".to_owned());
    }
    if let Some(root) = roots.iter().find(|root| root.is(leaf)) {
        // Usually a self-signed certificate, a chain of one.
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
