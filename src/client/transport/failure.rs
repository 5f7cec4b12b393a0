//! Names the problem of a failed exchange.

use std::error::Error;

use rustls::AlertDescription;

use super::guard::{InternalAddress, REASON};
use crate::error::{Problem, shown, shown_url};
use crate::http_client::explain;

/// The problem of an exchange that ended without an answer, or within one.
pub(super) fn problem(error: reqwest::Error) -> Problem {
    if find::<InternalAddress>(&error).is_some() {
        let target = error.url().map(|url| shown_url(url.as_str())).unwrap_or_default();
        return Problem::Redirect { target, reason: REASON };
    }
    match find::<rustls::Error>(&error) {
        Some(rustls::Error::InvalidCertificate(problem)) => {
            // It may list all names of the certificate.
            return Problem::Certificate(shown(&problem.to_string()));
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

/// A cause of a type, also within an I/O error.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // The source of an I/O error is that of its content.
        let content = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = match content {
            Some(content) => Some(content as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}
