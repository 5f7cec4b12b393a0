//! What the log says about clients that do not get as far as a request, with what helps.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use super::peer::PeerAddress;

/// What helps against the handshakes that fail most.
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
            "; the client may speak nothing newer than TLS 1.1, which is not served (http.tls.minimumtls)"
        }
        _ => "",
    }
}

/// Says once for each address that a client speaks TLS where there is none: clients that may do without try it first, each time.
pub(super) fn tls_to_a_plain_port(address: PeerAddress) {
    static TOLD: Mutex<BTreeSet<IpAddr>> = Mutex::new(BTreeSet::new());
    /// There is no need to tell a scanner's addresses apart.
    const MOST: usize = 1024;
    if let Some(ip) = address.ip() {
        let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() == MOST || !told.insert(ip) {
            return;
        }
    }
    tracing::info!(
        %address,
        "a client speaks TLS to this plain port: if it does not go on without (as docker and skopeo do where that is allowed), \
         set http.tls, or list the registry among the client's insecure-registries"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_log::TestLog;

    #[test]
    fn a_client_that_does_not_know_the_authority_is_told_of_with_the_remedy() {
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::UnknownCA);
        let told = remedy(&io::Error::new(io::ErrorKind::InvalidData, alert));
        assert!(
            told.contains("does not know the authority") && told.contains("/etc/docker/certs.d"),
            "{told}"
        );
        assert_eq!(remedy(&io::ErrorKind::TimedOut.into()), "");
    }

    #[test]
    fn a_client_that_tries_tls_again_and_again_is_told_of_once() {
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
