//! Client certificates: the four modes of Distribution, which are Go's.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use sampan_config::{ClientAuth, TlsConfig};

use super::authorities::Authorities;

/// The verifier for `settings`; without `authorities` it requests no certificate.
pub(super) fn verifier(
    settings: &TlsConfig,
    authorities: &Arc<Authorities>,
    provider: &Arc<CryptoProvider>,
) -> Arc<dyn ClientCertVerifier> {
    if authorities.is_empty() {
        return WebPkiClientVerifier::no_client_auth();
    }
    let demand = match settings.clientauth {
        ClientAuth::RequireAndVerifyClientCert | ClientAuth::RequireAnyClientCert => CertificateDemand::Must,
        ClientAuth::VerifyClientCertIfGiven | ClientAuth::RequestClientCert => CertificateDemand::May,
    };
    Arc::new(Verifier {
        demand,
        authorities: settings.verifies_clients().then(|| Arc::clone(authorities)),
        hints: authorities.subjects(),
        provider: Arc::clone(provider),
    })
}

/// Whether a client must present a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum CertificateDemand {
    May,
    Must,
}

/// Accepts certificates whose key the client has.
#[derive(Debug)]
struct Verifier {
    demand: CertificateDemand,
    /// Where a certificate must lead; `None` accepts any, whatever its subject.
    authorities: Option<Arc<Authorities>>,
    /// Sent to clients that must choose among several certificates.
    hints: Vec<DistinguishedName>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.demand == CertificateDemand::Must
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let Some(authorities) = &self.authorities else { return Ok(ClientCertVerified::assertion()) };
        let roots = Arc::new(authorities.valid_at(now));
        // Its only error is that no authority is valid.
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&self.provider))
            .build()
            .map_err(|_| CertificateError::UnknownIssuer)?;
        verifier.verify_client_cert(certificate, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
