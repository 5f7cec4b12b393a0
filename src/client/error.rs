//! `ClientError`: why a request to a registry failed, and where.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sampan_engine::oci::Digest;
use serde::Deserialize;

use crate::credentials::CredentialError;
use sampan_shown_url::ShownUrl;

/// A failed request: the URL without secrets, and the problem.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{url}: {problem}")]
pub struct ClientError {
    url: Box<str>,
    /// Shared: several requests may wait for the one that failed.
    problem: Arc<Problem>,
    is_after_answer: bool,
    is_anonymous: bool,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The server cannot be reached.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The server's certificate is not trusted: the reason, with a remedy if there is one.
    #[error("its certificate is not trusted: {0}")]
    Certificate(String),
    /// The server refuses the client's certificate, or wants one.
    #[error("wants another client certificate ({0}): give one that its authority signed")]
    ClientCertificate(String),
    /// The server did not answer, or stopped to send or to read, for so long.
    #[error("no progress for {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// The server sends less than 1 MiB in so long.
    #[error("too slow: less than 1 MiB in {} s", .0.as_secs_f64())]
    TooSlow(Duration),
    /// The token server's answer was not whole after so long.
    #[error("too slow: no token in {} s", .0.as_secs_f64())]
    SlowToken(Duration),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The registry wants a login, and there are no credentials for it.
    #[error("requires a login: give a user and a password, or log in with docker or podman")]
    LoginRequired,
    /// The registry refuses the credentials, or their user may not do this.
    #[error("refuses the credentials of {user}, or that user may not do this{answer}")]
    LoginRefused {
        /// The user, or the kind of credential.
        user: String,
        /// The server's words.
        answer: ServerAnswer,
    },
    /// The user may not do this (403).
    #[error("access denied{0}")]
    Denied(ServerAnswer),
    /// The repository, manifest, blob or upload does not exist (404).
    #[error("not found{0}")]
    NotFound(ServerAnswer),
    /// Too many requests (429).
    #[error("too many requests{}", retry_hint(.retry_after))]
    TooManyRequests {
        /// The wait that the server asks for.
        retry_after: Option<Duration>,
    },
    /// Any other status that is not a success.
    #[error("responded with status {status}{answer}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// The server's words.
        answer: ServerAnswer,
        /// The wait that the server asks for.
        retry_after: Option<Duration>,
    },
    /// The token server failed. Apart from [`Status`](Self::Status), since it says nothing about the registry's content.
    #[error("the token server responded with status {status}{answer}")]
    TokenServer {
        /// The HTTP status.
        status: u16,
        /// The server's words.
        answer: ServerAnswer,
        /// The wait that the server asks for.
        retry_after: Option<Duration>,
    },
    /// The content does not have its digest.
    #[error("the content has the digest {actual} instead of {expected}")]
    Digest {
        /// The digest that was asked for or announced.
        expected: Digest,
        /// The digest of the bytes.
        actual: Digest,
    },
    /// The content does not have its length.
    #[error("the content has {actual} bytes instead of {expected}")]
    Length {
        /// The expected length in bytes.
        expected: u64,
        /// The actual or announced length in bytes.
        actual: u64,
    },
    /// The server sends more than [`Limits`](crate::Limits) allow.
    #[error("{what} exceeds the limit of {limit}")]
    TooLarge {
        /// The thing that is too large, and its unit.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The manifest is of Docker's schema 1, which no digest of its bytes verifies.
    #[error("a manifest of Docker's schema 1, which is not supported")]
    Schema1,
    /// The answer is not as the OCI distribution-spec says.
    #[error("the answer is not understood: {0}")]
    Protocol(String),
    /// The registry names a token server that must not get the credentials.
    #[error("its token server {realm} must not get the credentials: {reason}")]
    Realm {
        /// The token server's URL, without secrets.
        realm: String,
        /// The rule that it breaks, with the remedy.
        reason: &'static str,
    },
    /// The registry refers to another server that must not be asked.
    #[error("refers to {target}: {reason}")]
    Redirect {
        /// The target's URL, without secrets.
        target: String,
        /// The rule that it breaks, with the remedy.
        reason: &'static str,
    },
    /// The credentials for the registry cannot be read.
    #[error("{0}")]
    Credentials(CredentialError),
    /// The local source of an upload failed.
    #[error("cannot read the content to upload: {0}")]
    Source(std::io::Error),
    /// The registry lost an upload whose first bytes are no longer at hand.
    #[error("the registry lost the upload; send the content again")]
    UploadLost,
}

/// The first error of a registry's answer (OCI distribution-spec, "Error Codes"), cut and without control characters.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServerAnswer {
    /// The code, such as `NAME_UNKNOWN`; empty without one.
    pub code: String,
    /// The message; empty without one.
    pub message: String,
}

/// The longest shown message of a server, in characters.
const MAX_SHOWN: usize = 200;
/// The longest shown URL, in characters: servers choose those of redirects, uploads and pages.
const MAX_SHOWN_URL: usize = 1000;

impl ClientError {
    pub(crate) fn at(url: &str, problem: Problem) -> Self {
        Self {
            url: shown_url(url).into(),
            problem: Arc::new(problem),
            is_after_answer: false,
            is_anonymous: false,
        }
    }

    /// The same after the headers of an answer.
    pub(crate) fn after_answer(self) -> Self {
        Self { is_after_answer: true, ..self }
    }

    /// Whether a server had answered when it failed: the fault is in that answer, or at a server that it refers to.
    pub fn is_after_answer(&self) -> bool {
        self.is_after_answer
    }

    /// The same for a request for which there was no account.
    pub(crate) fn anonymous(self, is_anonymous: bool) -> Self {
        Self { is_anonymous, ..self }
    }

    /// Whether the registry refuses the request, and there was no account for it: then that says nothing of an account.
    pub fn is_refused_without_account(&self) -> bool {
        match self.problem() {
            Problem::LoginRequired => true,
            Problem::Denied(_) => self.is_anonymous,
            _ => false,
        }
    }

    /// The URL of the request, without user, query and fragment.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The problem.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The HTTP status, if the registry answered with one that explains the failure.
    pub fn status(&self) -> Option<u16> {
        match self.problem() {
            Problem::Denied(_) => Some(403),
            Problem::LoginRequired | Problem::LoginRefused { .. } => Some(401),
            Problem::NotFound(_) => Some(404),
            Problem::TooManyRequests { .. } => Some(429),
            Problem::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The code of the registry's error, such as `DIGEST_INVALID`; empty without one.
    pub fn code(&self) -> &str {
        match self.problem() {
            Problem::Denied(answer)
            | Problem::NotFound(answer)
            | Problem::LoginRefused { answer, .. }
            | Problem::Status { answer, .. } => &answer.code,
            _ => "",
        }
    }

    /// The wait that the server asked for by `Retry-After`.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.problem() {
            Problem::TooManyRequests { retry_after }
            | Problem::Status { retry_after, .. }
            | Problem::TokenServer { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the same request may succeed later: 408, 425, 429, 5xx, and broken connections.
    pub fn is_transient(&self) -> bool {
        match self.problem() {
            Problem::Connect(_)
            | Problem::Timeout(_)
            | Problem::TooSlow(_)
            | Problem::SlowToken(_)
            | Problem::Broken(_)
            | Problem::TooManyRequests { .. } => true,
            Problem::Status { status, .. } | Problem::TokenServer { status, .. } => is_transient(*status),
            _ => false,
        }
    }
}

/// Whether a request with this status may succeed later. 501 and 505 are about the request, not about the moment.
pub(crate) fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 425 | 429) || (500..600).contains(&status) && !matches!(status, 501 | 505)
}

impl ServerAnswer {
    /// Reads the error document of an answer; empty if there is none.
    pub(crate) fn parse(body: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Document {
            errors: Vec<Entry>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Entry {
            code: Option<String>,
            message: Option<String>,
        }
        let document: Document = serde_json::from_slice(body).unwrap_or_default();
        let first = document.errors.into_iter().next().unwrap_or_default();
        Self {
            code: shown(&first.code.unwrap_or_default()),
            message: shown(&first.message.unwrap_or_default()),
        }
    }
}

impl fmt::Display for ServerAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.as_str(), self.message.as_str()) {
            ("", "") => Ok(()),
            (text, "") | ("", text) => write!(f, ": {text}"),
            (code, message) => write!(f, ": {code}: {message}"),
        }
    }
}

/// Text of a server for a log or a terminal: without control characters and cut.
pub(crate) fn shown(text: &str) -> String {
    cut(text, MAX_SHOWN)
}

/// A URL for a log or a terminal: without user, query and fragment, and as [`shown`].
pub(crate) fn shown_url(url: &str) -> String {
    cut(&ShownUrl::new(url).to_string(), MAX_SHOWN_URL)
}

fn cut(text: &str, length: usize) -> String {
    let is_plain = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut plain = text.chars().filter(is_plain);
    let mut shown: String = plain.by_ref().take(length).collect();
    if plain.next().is_some() {
        shown.push('…');
    }
    shown
}

fn retry_hint(retry_after: &Option<Duration>) -> String {
    retry_after.map(|wait| format!("; the server asks to wait {} s", wait.as_secs())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_words_cannot_control_a_terminal() {
        let body = format!(
            r#"{{"errors":[{{"code":"DENIED\u001b[2J","message":"a\nb\u202e{}"}},{{"code":"SECOND"}}]}}"#,
            "x".repeat(1000)
        );
        let answer = ServerAnswer::parse(body.as_bytes());
        assert_eq!(answer.code, "DENIED[2J");
        assert!(answer.message.starts_with("abxxx") && answer.message.ends_with("x…"));
        assert!(answer.message.chars().count() <= MAX_SHOWN + 1);
    }

    #[test]
    fn an_answer_without_an_error_document_is_empty() {
        for body in
            ["", "<html>", "[]", r#"{"errors":"x"}"#, r#"{"errors":[]}"#, r#"{"errors":[{"code":null}]}"#]
        {
            assert_eq!(ServerAnswer::parse(body.as_bytes()).to_string(), "", "{body}");
        }
    }

    #[test]
    fn an_error_shows_no_secrets_of_its_url() {
        let error = ClientError::at("https://u:p@host/v2/?token=t", Problem::LoginRequired);
        assert!(error.to_string().starts_with("https://host/v2/: requires a login"), "{error}");
        let error = ClientError::at(&format!("https://host/{}", "x".repeat(50_000)), Problem::LoginRequired);
        assert!(error.url().ends_with("x…") && error.url().chars().count() <= MAX_SHOWN_URL + 1);
    }

    #[test]
    fn transient_are_statuses_of_the_moment() {
        for status in [408, 425, 429, 500, 502, 503, 504, 522, 599] {
            assert!(is_transient(status), "{status}");
        }
        for status in [400, 401, 403, 404, 413, 416, 501, 505, 600] {
            assert!(!is_transient(status), "{status}");
        }
    }
}
