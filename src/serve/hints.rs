//! Log messages for clients that fail before their first request, with remedies.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use parking_lot::Mutex;

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
        _ => "",
    }
}

/// Logs, once per address, that a client speaks TLS to a plain port. Clients that may fall back try TLS first
/// every time.
pub(super) fn tls_to_a_plain_port(address: PeerAddress) {
    static TOLD: Mutex<BTreeSet<IpAddr>> = Mutex::new(BTreeSet::new());
    /// Bounds the memory that a scanner with many addresses can take.
    const MAX_ADDRESSES: usize = 1024;
    if let Some(ip) = address.ip() {
        let mut told = TOLD.lock();
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
