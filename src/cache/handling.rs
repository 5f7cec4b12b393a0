//! `Handling`: how far a request went that a cache answers with an error, as `Cache-Status` (RFC 9211) says it.
//!
//! The RFC advises caches against the header on answers of their own making (section 2). These errors have it nevertheless: they
//! stand for what the upstream said or did, and an operator has no other way to tell its 404 from a remembered one.
//!
//! All words are from this file, so none is an upstream's.

use std::fmt;

use sampan_client::{ClientError, Problem};

/// How far a failed request got: to an upstream or not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Handling {
    /// The upstream was asked, by this request or by one that it joined.
    Forwarded {
        /// The HTTP status of the upstream's answer; `None` if no answer came, or if its status is not at fault.
        status: Option<u16>,
        /// The fault, if the status does not say it.
        detail: Option<&'static str>,
        /// Whether something was stored that may not be served.
        is_stale: bool,
    },
    /// The upstream was asked a short while ago; this is what it said.
    Remembered(&'static str),
    /// The upstream was not asked, for this reason.
    NotForwarded(&'static str),
}

impl Handling {
    /// The upstream said 404 a short while ago.
    pub(crate) const REMEMBERED_MISSING: Self = Self::Remembered("not-found");
    /// The upstream refused the account a short while ago.
    pub(crate) const REMEMBERED_REFUSED: Self = Self::Remembered("account-refused");
    /// The upstream sent content of another digest a short while ago.
    pub(crate) const REMEMBERED_WRONG: Self = Self::Remembered("wrong-digest");
    /// The store lacks what it had a moment ago.
    pub(crate) const NOT_STORED: Self = Self::NotForwarded("not-stored");
    /// The store failed.
    pub(crate) const STORE_FAILED: Self = Self::NotForwarded("store-failed");
    pub(crate) const OFFLINE: Self = Self::NotForwarded("offline");
    /// The configuration does not allow the repository.
    pub(crate) const NOT_ALLOWED: Self = Self::NotForwarded("not-allowed");
    /// The upstream counts as away, so it was not asked.
    pub(crate) const AWAY: Self = Self::NotForwarded("away");
    /// Too many requests wait for the upstream.
    pub(crate) const QUEUE_FULL: Self = Self::NotForwarded("queue-full");
    /// It waited too long behind other requests.
    pub(crate) const QUEUE_TIMEOUT: Self = Self::NotForwarded("queue-timeout");
    /// The upstream was asked, and its answer was not whole in time.
    pub(crate) const TIMEOUT: Self =
        Self::Forwarded { status: None, detail: Some("timeout"), is_stale: false };
    /// The transfer was given up: the registry shuts down.
    pub(crate) const STOPPED: Self = Self::NotForwarded("stopped");

    /// The upstream answered with this status.
    pub(crate) const fn answered(status: u16) -> Self {
        Self::Forwarded { status: Some(status), detail: None, is_stale: false }
    }

    /// The upstream answered with content that has this fault.
    pub(crate) const fn wrong(detail: &'static str) -> Self {
        Self::Forwarded { status: Some(200), detail: Some(detail), is_stale: false }
    }

    /// A request to an upstream failed.
    pub(crate) fn of(error: &ClientError) -> Self {
        let status = match error.problem() {
            Problem::Digest { .. } | Problem::Length { .. } | Problem::Schema1 => Some(200),
            Problem::Realm { .. } => Some(401),
            _ => error.status(),
        };
        Self::Forwarded { status, detail: fault(error), is_stale: false }
    }

    /// The same where something is stored that may not be served.
    pub(crate) fn with_stored(self, is_stored: bool) -> Self {
        match self {
            Self::Forwarded { status, detail, .. } => Self::Forwarded { status, detail, is_stale: is_stored },
            other => other,
        }
    }
}

/// The fault of an answer, if its status does not say it.
fn fault(error: &ClientError) -> Option<&'static str> {
    Some(match error.problem() {
        Problem::NotFound(_) | Problem::TooManyRequests { .. } | Problem::Status { .. } => return None,
        Problem::LoginRequired | Problem::LoginRefused { .. } | Problem::Denied(_) => {
            match error.is_refused_without_account() {
                true => return None,
                false => "account-refused",
            }
        }
        Problem::Connect(_) => "unreachable",
        Problem::Certificate(_) => "untrusted-certificate",
        Problem::ClientCertificate(_) => "client-certificate",
        Problem::Timeout(_) | Problem::TooSlow(_) | Problem::SlowToken(_) => "timeout",
        Problem::Broken(_) => "broken-connection",
        Problem::TokenServer { .. } => "no-token",
        Problem::Credentials(_) => "unreadable-credentials",
        Problem::Digest { .. } => "wrong-digest",
        Problem::Length { .. } => "wrong-length",
        Problem::TooLarge { .. } => "too-large",
        Problem::Schema1 => "schema1",
        Problem::Realm { .. } => "refused-realm",
        Problem::Redirect { .. } => "refused-redirect",
        Problem::Protocol(_) | Problem::Source(_) | Problem::UploadLost => "invalid-answer",
    })
}

/// The value of `Cache-Status`.
impl fmt::Display for Handling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forwarded { status, detail, is_stale } => {
                f.write_str(if *is_stale { "sampan; fwd=stale" } else { "sampan; fwd=uri-miss" })?;
                if let Some(status) = status {
                    write!(f, "; fwd-status={status}")?;
                }
                detail.map_or(Ok(()), |detail| write!(f, "; detail={detail}"))
            }
            Self::Remembered(detail) => write!(f, "sampan; hit; detail={detail}"),
            Self::NotForwarded(detail) => write!(f, "sampan; detail={detail}"),
        }
    }
}
