//! Log messages for clients that fail before their first request, with remedies.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use parking_lot::Mutex;
use rustls::CertificateError;

use super::peer::PeerAddress;

/// The remedy for the most frequent handshake errors.
pub(super) fn remedy(error: &io::Error) -> &'static str {
    use rustls::AlertDescription as Alert;
    let error = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match error {
        // Go's clients send `BadCertificate` for each of these.
        Some(rustls::Error::AlertReceived(
            Alert::UnknownCA | Alert::BadCertificate | Alert::CertificateUnknown,
        )) => {
            "; the client does not accept the certificate: it does not know the authority that signed it (docker: \
             /etc/docker/certs.d/HOST:PORT/ca.crt), or calls the registry by a name that is not in it"
        }
        Some(rustls::Error::PeerIncompatible(_)) => {
            "; the client may support only TLS 1.1 or older, which is not served (http.tls.minimumtls)"
        }
        Some(rustls::Error::InvalidCertificate(problem)) => remedy_of_client_certificate(problem),
        _ => "",
    }
}

/// What to do about a certificate that a client showed.
fn remedy_of_client_certificate(problem: &CertificateError) -> &'static str {
    let CertificateError::Other(rustls::OtherError(other)) = problem else {
        return match problem {
            CertificateError::UnknownIssuer => {
                "; no authority of http.tls.clientcas that is valid now signed the client's certificate"
            }
            _ => "",
        };
    };
    match other.downcast_ref::<webpki::Error>() {
        Some(webpki::Error::UnsupportedCertVersion) => {
            "; the client's certificate is of version 1: issue one of version 3, which has extensions (openssl x509: -extfile)"
        }
        Some(webpki::Error::CaUsedAsEndEntity) => {
            "; the client's certificate is that of an authority, as a self-signed one often is: issue one with basicConstraints \
             CA:FALSE, signed by an authority of http.tls.clientcas"
        }
        _ => "",
    }
}

/// Logs, once per address, that a client speaks TLS to a plain port. Clients that may fall back try TLS first
/// every time.
pub(super) fn tls_to_a_plain_port(address: PeerAddress) {
    static HINTED: Mutex<BTreeSet<IpAddr>> = Mutex::new(BTreeSet::new());
    /// Bounds the memory that a scanner with many addresses can take.
    const MAX_ADDRESSES: usize = 1024;
    if let Some(ip) = address.ip() {
        let mut told = HINTED.lock();
        if told.len() == MAX_ADDRESSES || !told.insert(ip) {
            return;
        }
    }
    tracing::info!(
        %address,
        "a client speaks TLS to this plain port: if it does not fall back (as docker and skopeo do where that is allowed), \
         set http.tls, or list the registry among the client's insecure-registries"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_log::TestLog;

    #[test]
    fn an_unknown_authority_is_logged_with_the_remedy() {
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::UnknownCA);
        let told = remedy(&io::Error::new(io::ErrorKind::InvalidData, alert));
        assert!(
            told.contains("does not know the authority") && told.contains("/etc/docker/certs.d"),
            "{told}"
        );
        assert_eq!(remedy(&io::ErrorKind::TimedOut.into()), "");
    }

    #[test]
    fn a_client_certificate_that_cannot_be_used_is_logged_with_the_remedy() {
        for (problem, expected) in [
            (webpki::Error::UnsupportedCertVersion, "version 3"),
            (webpki::Error::CaUsedAsEndEntity, "CA:FALSE"),
        ] {
            let other = rustls::OtherError(std::sync::Arc::new(problem.clone()));
            let error = rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other));
            let told = remedy(&io::Error::new(io::ErrorKind::InvalidData, error));
            assert!(told.contains(expected) && told.contains("client"), "{problem:?}: {told}");
        }
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let told = remedy(&io::Error::new(io::ErrorKind::InvalidData, unknown));
        assert!(told.contains("http.tls.clientcas"), "{told}");
    }

    #[test]
    fn repeated_tls_attempts_are_logged_once() {
        let log = TestLog::default();
        let guard = log.capture();
        for address in ["198.51.100.7:1", "198.51.100.7:2"] {
            tls_to_a_plain_port(PeerAddress::Tcp(address.parse().unwrap()));
        }
        drop(guard);
        let text = log.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("198.51.100.7:1") && text.contains("insecure-registries"), "{text}");
    }
}
