//! The failures of an object store, and their only conversion to [`DriverError`].

use std::error::Error;
use std::time::Duration;

use object_store::Error as StoreError;
use object_store::client::{HttpError, HttpErrorKind};
use sampan_driver::{DriverError, DriverPath, ErrorKind, Operation, with_causes};

/// A failure, reported by the store or by this driver.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the file does not exist")]
    NotFound,
    #[error("the file already exists")]
    AlreadyExists,
    #[error("`/` is not a file")]
    Root,
    #[error("the file has {size_bytes} bytes")]
    RangeInvalid { size_bytes: u64 },
    #[error("the file was deleted or replaced while being read")]
    Replaced,
    #[error("another writer has continued this upload")]
    Overtaken,
    #[error(
        "the store no longer knows this upload; a lifecycle rule may have ended it; start the upload again"
    )]
    UploadLost,
    #[error("the upload was started for {begun_for} and cannot be published elsewhere; start it again")]
    WrongTarget { begun_for: String },
    #[error("the upload has ended and accepts no more bytes")]
    Ended,
    #[error(
        "more than {max_parts} parts of {part_size} bytes: raise the chunk size in the storage section, or let the client \
         tell the length beforehand"
    )]
    TooLong { part_size: u64, max_parts: u64 },
    #[error("the state of the upload cannot be read: {0}")]
    State(String),
    #[error("the deadline has passed")]
    TooLate,
    #[error("the store sent no byte for {0:?}")]
    Stalled(Duration),
    #[error("the store did not answer within {0:?}")]
    NoAnswer(Duration),
    #[error("the store answered {status} to {what}: {body}")]
    Answer { what: &'static str, status: u16, body: String },
    #[error("the answer of the store to {what} cannot be read: {error}")]
    Unreadable { what: &'static str, error: String },
    #[error("the copy inside the store ended as {0}")]
    Copy(String),
    #[error("{0}")]
    Shared(String, ErrorKind),
}

impl Failure {
    pub(crate) fn at(self, driver: &'static str, operation: Operation, path: &DriverPath) -> DriverError {
        DriverError::new(self.kind(), driver, operation, path).with_source(self)
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => kind_of(error),
            Self::NotFound | Self::UploadLost => ErrorKind::NotFound,
            Self::AlreadyExists => ErrorKind::AlreadyExists,
            Self::RangeInvalid { .. } => ErrorKind::RangeInvalid,
            // Of two writers of one staged file, the second should retry, as with a locked file.
            Self::Stalled(_) | Self::NoAnswer(_) | Self::Copy(_) | Self::Overtaken => ErrorKind::Unavailable,
            Self::TooLate => ErrorKind::TooLate,
            Self::WrongTarget { .. } | Self::Ended => ErrorKind::Unsupported,
            Self::Answer { status, body, .. } => kind_of_answer(*status, body),
            Self::Shared(_, kind) => *kind,
            Self::Root | Self::Replaced | Self::TooLong { .. } | Self::State(_) | Self::Unreadable { .. } => {
                ErrorKind::Other
            }
        }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.kind() == ErrorKind::NotFound
    }

    /// The same failure again, for another path of the same request.
    pub(crate) fn share(&self) -> Self {
        match self {
            Self::UploadLost => Self::UploadLost,
            other => Self::Shared(with_causes(other), other.kind()),
        }
    }
}

/// Whether the condition of a conditional request failed.
pub(crate) fn is_precondition(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Precondition { .. } | StoreError::AlreadyExists { .. } | StoreError::NotModified { .. }
    )
}

/// Whether a request was sent without a complete answer, so that it is unknown whether the store carried it out.
pub(crate) fn was_cut(error: &StoreError) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<HttpError>() {
            // The crate itself retries these.
            return !matches!(error.kind(), HttpErrorKind::Connect | HttpErrorKind::Request);
        }
        cause = error.source();
    }
    false
}

/// The kind of an error of the crate.
pub(crate) fn kind_of(error: &StoreError) -> ErrorKind {
    match error {
        // A missing bucket causes the same error, which must not look like a missing file.
        StoreError::NotFound { .. } if is_about_the_bucket(&with_causes(error)) => ErrorKind::Unavailable,
        StoreError::NotFound { .. } => ErrorKind::NotFound,
        StoreError::AlreadyExists { .. } => ErrorKind::AlreadyExists,
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            kind_of_answer(403, &with_causes(error))
        }
        StoreError::NotSupported { .. } | StoreError::NotImplemented { .. } => ErrorKind::Unsupported,
        StoreError::Generic { source, .. } => kind_of_generic(source.as_ref()),
        _ => ErrorKind::Other,
    }
}

/// `object_store` exposes the status of an answer only in its text.
fn kind_of_generic(error: &(dyn Error + 'static)) -> ErrorKind {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<HttpError>() {
            return ErrorKind::Unavailable;
        }
        cause = error.source();
    }
    let text = with_causes(error);
    // The second form is Azure's for one of many deletions.
    let status = ["status code: ", "(code: "]
        .into_iter()
        .find_map(|sign| text.split(sign).nth(1).and_then(|rest| rest.get(..3)?.parse().ok()));
    kind_of_answer(status.unwrap_or(0), &text)
}

fn kind_of_answer(status: u16, text: &str) -> ErrorKind {
    let says = |codes: &[&str]| codes.iter().any(|code| says(text, code));
    match status {
        _ if says(&["QuotaExceeded", "StorageFull", "InsufficientStorage", "AccountIsFull"]) => {
            ErrorKind::StorageFull
        }
        507 => ErrorKind::StorageFull,
        404 if is_about_the_bucket(text) => ErrorKind::Unavailable,
        404 => ErrorKind::NotFound,
        401 | 403 => ErrorKind::PermissionDenied,
        400 if says(&["ExpiredToken", "InvalidToken", "InvalidAccessKeyId"]) => ErrorKind::PermissionDenied,
        501 => ErrorKind::Unsupported,
        400 if says(&["NotImplemented"]) => ErrorKind::Unsupported,
        408 | 429 | 500..=599 => ErrorKind::Unavailable,
        _ if says(&["SlowDown", "InternalError", "RequestTimeout", "ServerBusy"]) => ErrorKind::Unavailable,
        _ => ErrorKind::Other,
    }
}

fn is_about_the_bucket(text: &str) -> bool {
    ["NoSuchBucket", "ContainerNotFound", "bucket does not exist"].iter().any(|code| says(text, code))
}

/// Whether `text` has `code` outside a key or URL, which show names of tags: clients choose those.
pub(crate) fn says(text: &str, code: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.match_indices(code).any(|(at, _)| !text[..at].trim_end_matches(is_of_name).ends_with(['/', '%']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> StoreError {
        StoreError::Generic { store: "S3", source: text.to_owned().into() }
    }

    #[test]
    fn answers_become_kinds() {
        for (text, kind) in [
            (
                "Server returned non-2xx status code: 503 Service Unavailable: SlowDown",
                ErrorKind::Unavailable,
            ),
            ("Server returned non-2xx status code: 429 Too Many Requests: ", ErrorKind::Unavailable),
            ("Server returned non-2xx status code: 507 Insufficient Storage: ", ErrorKind::StorageFull),
            (
                "Server returned non-2xx status code: 400 Bad Request: ExpiredToken",
                ErrorKind::PermissionDenied,
            ),
            ("Server returned non-2xx status code: 400 Bad Request: InvalidPart", ErrorKind::Other),
            ("Server returned error response: <Code>InternalError</Code>", ErrorKind::Unavailable),
            ("Bulk delete request failed for key a/b: Server Busy (code: 503)", ErrorKind::Unavailable),
            ("Bulk delete request failed for key a/b: Forbidden (code: 403)", ErrorKind::PermissionDenied),
            ("DeleteObjects request failed for key a/b: x (code: SlowDown)", ErrorKind::Unavailable),
        ] {
            assert_eq!(Failure::from(generic(text)).kind(), kind, "{text}");
        }
    }

    /// A client chooses the name of a tag.
    #[test]
    fn a_key_that_has_a_code_in_it_is_no_answer_of_the_store() {
        for tag in ["NoSuchBucket", "x.NoSuchBucket", "ContainerNotFound", "SlowDown", "QuotaExceeded"] {
            let key = format!("docker/registry/v2/repositories/a/_manifests/tags/{tag}/current/link");
            let (url, query) = (format!("http://store/reg/{key}"), key.replace('/', "%2F"));
            let source = format!(
                "Error performing GET {url}?prefix={query} in 1ms - Server returned non-2xx status code: 404 Not Found: \
                 <Error><Code>NoSuchKey</Code><Key>{key}</Key><Resource>/reg/{key}</Resource></Error>"
            );
            let missing = StoreError::NotFound { path: key, source: source.into() };
            assert_eq!(Failure::from(missing).kind(), ErrorKind::NotFound, "{tag}");
        }
        assert!(says("<Code>UserQuotaExceeded</Code>", "QuotaExceeded"));
    }

    #[test]
    fn a_vanished_bucket_is_not_a_missing_file() {
        let missing = |text: &str| StoreError::NotFound { path: "a".into(), source: text.to_owned().into() };
        assert_eq!(Failure::from(missing("<Code>NoSuchKey</Code>")).kind(), ErrorKind::NotFound);
        assert_eq!(Failure::from(missing("<Code>NoSuchBucket</Code>")).kind(), ErrorKind::Unavailable);
    }
}
