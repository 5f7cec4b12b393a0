//! Client certificates: the four modes of Distribution, which are Go's.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use sampan_config::{ClientAuth, TlsConfig};

use super::certificates::{CLIENT_CAS, Files, certificates};
use super::error::TlsError;

/// The verifier for `settings`; without `clientcas` it requests no certificate.
pub(super) fn verifier(
    settings: &TlsConfig,
    files: &Files,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    if settings.clientcas.is_empty() {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    let roots = Arc::new(roots(settings, files)?);
    let verified = || {
        let roots = Arc::clone(&roots);
        WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
    };
    match settings.clientauth {
        ClientAuth::RequireAndVerifyClientCert => verified().build(),
        ClientAuth::VerifyClientCertIfGiven => verified().allow_unauthenticated().build(),
        ClientAuth::RequireAnyClientCert => {
            return Ok(Arc::new(AnyCertificate::new(&roots, provider, Demand::Must)));
        }
        ClientAuth::RequestClientCert => {
            return Ok(Arc::new(AnyCertificate::new(&roots, provider, Demand::May)));
        }
    }
    .map_err(TlsError::ClientAuthorities)
}

fn roots(settings: &TlsConfig, files: &Files) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for (path, pem) in settings.clientcas.iter().zip(&files.client_cas) {
        for (index, certificate) in certificates(CLIENT_CAS, path, pem)?.into_iter().enumerate() {
            roots.add(certificate).map_err(|error| TlsError::BadCertificate {
                key: CLIENT_CAS,
                path: path.clone(),
                number: index + 1,
                problem: error.to_string(),
            })?;
        }
    }
    Ok(roots)
}

/// Whether a client must present a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Demand {
    May,
    Must,
}

/// Accepts any certificate whose key the client has, whatever its subject.
#[derive(Debug)]
struct AnyCertificate {
    demand: Demand,
    /// Sent to clients that must choose among several certificates.
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyCertificate {
    fn new(roots: &RootCertStore, provider: &CryptoProvider, demand: Demand) -> Self {
        Self { demand, hints: roots.subjects(), algorithms: provider.signature_verification_algorithms }
    }
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        self.demand == Demand::Must
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
