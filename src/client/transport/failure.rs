//! Names the problem of a failed exchange.

use rustls::AlertDescription;

use super::guard::{InternalAddress, REASON};
use crate::error::{Problem, shown, shown_url};
use crate::http_client::{explain, find, trust_remedy};

/// The problem of an exchange that ended without an answer, or within one.
pub(super) fn problem(error: reqwest::Error) -> Problem {
    if find::<InternalAddress>(&error).is_some() {
        let target = error.url().map(|url| shown_url(url.as_str())).unwrap_or_default();
        return Problem::Redirect { target, reason: REASON };
    }
    match find::<rustls::Error>(&error) {
        Some(rustls::Error::InvalidCertificate(problem)) => {
            // It may list all names of the certificate.
            let shown = shown(&problem.to_string());
            return Problem::Certificate(match trust_remedy(problem) {
                Some(remedy) => {
                    format!("{shown}; name its authority (`--cacert`, or `ca` of an upstream), or {remedy}")
                }
                None => shown,
            });
        }
        Some(rustls::Error::AlertReceived(alert)) if is_about_certificate(*alert) => {
            return Problem::ClientCertificate(format!("{alert:?}"));
        }
        Some(rustls::Error::InvalidMessage(_)) if error.is_connect() => {
            let reason = "it does not speak TLS; write http:// before its address if that is right";
            return Problem::Connect(reason.to_owned());
        }
        _ => {}
    }
    match error.is_connect() {
        true => Problem::Connect(explain(error)),
        false => Problem::Broken(explain(error)),
    }
}

/// Whether the server sent an answer that is not HTTP/1.
pub(super) fn is_unreadable_answer(error: &reqwest::Error) -> bool {
    find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse)
}

/// Whether the server complains about the client's certificate, or about its absence.
fn is_about_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::NoCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate
    )
}
