//! The user whom a client certificate names.

use sampan_config::CertificateName;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The first of the names in `order` that the certificate has: the user. The certificate was verified at the
/// handshake, and may expire before its connection ends. `None` if it is not valid now, has no such name, or one that no user
/// can have, which the log says. DNS names are in lower case, since they have no case (RFC 4343).
pub(super) fn user_of(der: &[u8], order: &[CertificateName]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    if !certificate.validity().is_valid() {
        tracing::info!(
            subject = %certificate.subject(),
            not_after = %certificate.validity().not_after,
            "a client certificate has expired and identifies no user: renew it"
        );
        return None;
    }
    let name = order.iter().find_map(|kind| name(&certificate, *kind))?;
    let is_plain = !name.is_empty()
        && name.len() <= MAX_BYTES
        && name.trim() == name
        && !name.chars().any(char::is_control);
    if !is_plain {
        let shown: String = name.chars().take(MAX_BYTES).collect();
        tracing::info!(
            "the name {shown:?} of a client certificate is no user: it is empty, begins or ends with a blank, has control \
             characters, or more than {MAX_BYTES} bytes"
        );
    }
    is_plain.then_some(name)
}

/// The longest name of a user, in bytes.
const MAX_BYTES: usize = 255;

fn name(certificate: &X509Certificate<'_>, kind: CertificateName) -> Option<String> {
    let alternative = |wanted: fn(&GeneralName<'_>) -> Option<String>| {
        let names = certificate.subject_alternative_name().ok()??;
        names.value.general_names.iter().find_map(wanted)
    };
    match kind {
        CertificateName::Dns => alternative(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        }),
        CertificateName::Uri => alternative(|name| match name {
            GeneralName::URI(name) => Some((*name).to_owned()),
            _ => None,
        }),
        CertificateName::Cn => {
            // Several common names would let the reader choose.
            let mut names = certificate.subject().iter_common_name();
            match (names.next(), names.next()) {
                (Some(name), None) => name.as_str().ok().map(str::to_owned),
                _ => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};
    use time::{Duration, OffsetDateTime};

    use super::*;

    fn certificate(common_names: &[&str], others: Vec<SanType>) -> Vec<u8> {
        certificate_with(CertificateParams::default(), common_names, others)
    }

    fn certificate_with(
        mut params: CertificateParams,
        common_names: &[&str],
        others: Vec<SanType>,
    ) -> Vec<u8> {
        params.distinguished_name = rcgen::DistinguishedName::new();
        for name in common_names {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        params.subject_alt_names = others;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_first_kind_that_is_there_names_the_user() {
        use CertificateName::{Cn, Dns, Uri};
        let all = certificate(
            &["carol"],
            vec![
                SanType::DnsName("node1.example".try_into().unwrap()),
                SanType::URI("spiffe://cluster/ci".try_into().unwrap()),
            ],
        );
        for (order, expected) in [
            (&[Dns, Uri, Cn][..], Some("node1.example")),
            (&[Uri, Dns], Some("spiffe://cluster/ci")),
            (&[Cn], Some("carol")),
            (&[], None),
        ] {
            assert_eq!(user_of(&all, order).as_deref(), expected, "{order:?}");
        }
        let plain = certificate(&["carol"], Vec::new());
        assert_eq!(user_of(&plain, &[Dns, Uri, Cn]).as_deref(), Some("carol"));
        assert_eq!(user_of(&plain, &[Dns, Uri]), None);
    }

    #[test]
    fn the_name_of_a_host_has_no_case() {
        let names = [SanType::DnsName("NODE1.Example.com".try_into().unwrap())];
        let host = certificate(&["NODE1"], names.to_vec());
        assert_eq!(user_of(&host, &[CertificateName::Dns]).as_deref(), Some("node1.example.com"));
        assert_eq!(user_of(&host, &[CertificateName::Cn]).as_deref(), Some("NODE1"));
    }

    #[test]
    fn a_certificate_names_a_user_only_while_it_is_valid() {
        let now = OffsetDateTime::now_utc();
        for (begin, end, expected) in [(-2, -1, None), (-1, 1, Some("carol")), (1, 2, None)] {
            let mut params = CertificateParams::default();
            params.not_before = now + Duration::hours(begin);
            params.not_after = now + Duration::hours(end);
            let der = certificate_with(params, &["carol"], Vec::new());
            let user = user_of(&der, &[CertificateName::Cn]);
            assert_eq!(user.as_deref(), expected, "from {begin} to {end} hours");
        }
    }

    #[test]
    fn odd_names_are_no_users() {
        let long = "x".repeat(300);
        for names in
            [&[][..], &[""], &[" "], &["alice "], &[" alice"], &["alice\u{a0}"], &["a\nb"], &[long.as_str()]]
        {
            assert_eq!(user_of(&certificate(names, Vec::new()), &[CertificateName::Cn]), None, "{names:?}");
        }
        assert_eq!(user_of(b"no certificate", &[CertificateName::Cn]), None);
    }
}
