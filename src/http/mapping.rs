//! Maps the engine's errors to the API's: one exhaustive match, and the only place that does.

use std::error::Error as StdError;

use http::header::{ALLOW, RANGE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use sampan_driver::{BoxError, DriverError, ErrorKind};
use sampan_engine::Error;
use sampan_engine::oci::{Digest, Reference, RepositoryName};
use serde_json::json;

use super::body::LengthMismatch;
use super::error::{ApiError, ErrorCode};
use super::headers::visible;
use crate::serve::BodyStalled;

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::BlobUnknown(digest, _) => {
                Self::new(ErrorCode::BlobUnknown).with_detail(digest.to_string())
            }
            Error::BodyBroken(cause) => body_broken(cause),
            Error::Collecting(_) | Error::TagBeingRemoved(..) => Self::new(ErrorCode::Unavailable)
                .with_reason(error.to_string())
                .with_header(RETRY_AFTER, HeaderValue::from_static("2")),
            Error::Corrupt(..) => Self::new(ErrorCode::Unknown).caused_by(error),
            Error::Denied(reason) => Self::new(ErrorCode::Denied).with_reason(reason),
            Error::DigestMismatch { expected, actual } => digest_mismatch(&expected, &actual),
            Error::Disabled(what) => Self::new(ErrorCode::Unsupported)
                .with_reason(format!("{what} is not enabled in this registry's configuration"))
                .with_header(ALLOW, HeaderValue::from_static("GET, HEAD")),
            Error::Driver(error) => driver(error),
            Error::ManifestInvalid(problem) => {
                Self::new(ErrorCode::ManifestInvalid).with_reason(problem.to_string())
            }
            Error::ManifestReferencesUnknown(missing) => Self::new(ErrorCode::ManifestBlobUnknown)
                .with_each_reason(missing.iter().map(ToString::to_string)),
            Error::ManifestUnknown(reference, name) => manifest_unknown(&reference, &name),
            Error::ReadOnly => Self::new(ErrorCode::Unsupported)
                .with_reason("the registry is read-only at the moment (maintenance); pulls still work")
                .with_header(ALLOW, HeaderValue::from_static("GET, HEAD")),
            Error::ReadOnlyStore(_) => Self::new(ErrorCode::Unsupported)
                .with_reason(error.to_string())
                .with_header(ALLOW, HeaderValue::from_static("GET, HEAD")),
            Error::RepositoryUnknown(name) => {
                Self::new(ErrorCode::NameUnknown).with_detail(json!({ "name": name.as_str() }))
            }
            Error::SizeMismatch { .. } => Self::new(ErrorCode::SizeInvalid).with_reason(error.to_string()),
            Error::TagExists(..) => {
                Self::new(ErrorCode::Denied).with_status(StatusCode::CONFLICT).with_reason(error.to_string())
            }
            Error::TagNotRemoved(..) => Self::new(ErrorCode::ManifestUnknown).with_reason(error.to_string()),
            Error::TooLarge { .. } => Self::new(ErrorCode::SizeInvalid)
                .with_status(StatusCode::PAYLOAD_TOO_LARGE)
                .with_reason(error.to_string()),
            Error::UploadBusy(_) => Self::new(ErrorCode::BlobUploadInvalid)
                .with_status(StatusCode::CONFLICT)
                .with_reason(error.to_string()),
            Error::UploadOutOfOrder { expected, .. } => Self::new(ErrorCode::RangeInvalid)
                .with_reason(error.to_string())
                .with_header(RANGE, received(expected)),
            Error::UploadUnknown(id) => Self::new(ErrorCode::BlobUploadUnknown).with_detail(id.to_string()),
        }
    }
}

/// The `Range` of an upload with `size_bytes`: inclusive, without a unit; `0-0` also for an empty upload.
pub(super) fn received(size_bytes: u64) -> HeaderValue {
    visible(format!("0-{}", size_bytes.saturating_sub(1)))
}

fn body_broken(cause: BoxError) -> ApiError {
    if let Some(mismatch) = cause.downcast_ref::<LengthMismatch>() {
        return ApiError::new(ErrorCode::SizeInvalid).with_reason(mismatch.to_string());
    }
    let error = ApiError::new(ErrorCode::BlobUploadInvalid);
    match find::<BodyStalled>(&*cause) {
        Some(stalled) => error.with_status(StatusCode::REQUEST_TIMEOUT).with_reason(stalled.to_string()),
        None => error.with_reason("the request's body ended early").unread(),
    }
}

/// Finds an error of this type in the chain of `error`.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn digest_mismatch(expected: &Digest, actual: &Digest) -> ApiError {
    let detail = json!({ "expected": expected.to_string(), "actual": actual.to_string() });
    ApiError::new(ErrorCode::DigestInvalid).with_detail(detail)
}

fn manifest_unknown(reference: &Reference, name: &RepositoryName) -> ApiError {
    let detail = match reference {
        Reference::Tag(tag) => json!({ "Name": name.as_str(), "Tag": tag.as_str() }),
        Reference::Digest(digest) => json!({ "Name": name.as_str(), "Revision": digest.to_string() }),
    };
    ApiError::new(ErrorCode::ManifestUnknown).with_detail(detail)
}

fn driver(error: DriverError) -> ApiError {
    let api_error = match error.kind() {
        ErrorKind::TooLate | ErrorKind::Unavailable => ApiError::new(ErrorCode::Unavailable)
            .with_reason("the registry's storage is unreachable at the moment")
            .with_header(RETRY_AFTER, HeaderValue::from_static("5")),
        ErrorKind::Busy => ApiError::new(ErrorCode::Unavailable)
            .with_reason("another request is writing this at the moment")
            .with_header(RETRY_AFTER, HeaderValue::from_static("5")),
        ErrorKind::StorageFull => {
            ApiError::new(ErrorCode::Unavailable).with_reason("the registry's storage is full")
        }
        ErrorKind::PermissionDenied => ApiError::new(ErrorCode::Unknown)
            .with_reason("the registry has no permission to its storage, and its log says where"),
        _ => ApiError::new(ErrorCode::Unknown),
    };
    api_error.caused_by(error)
}

#[cfg(test)]
mod tests {
    use sampan_driver::Operation;
    use sampan_engine::oci::{Manifest, ManifestProblem};

    use super::*;

    fn driver_error(kind: ErrorKind) -> Error {
        DriverError::new(kind, "filesystem", Operation::Stat, &"/a".parse().unwrap()).into()
    }

    fn problem() -> ManifestProblem {
        Manifest::parse(b"{", None).unwrap_err()
    }

    /// Covers every variant of the engine's error, in its order.
    #[test]
    fn every_error_of_the_engine_has_its_status_and_code() {
        let digest = Digest::sha256_of(b"");
        let name: RepositoryName = "a/b".parse().unwrap();
        let id: sampan_engine::UploadId = "x".parse().unwrap();
        let tag: Reference = "latest".parse().unwrap();
        let mismatch = LengthMismatch { announced: 2, received: 1 };
        let table: Vec<(Error, u16, &str)> = vec![
            (Error::BlobUnknown(digest.clone(), name.clone()), 404, "BLOB_UNKNOWN"),
            (Error::BodyBroken("reset".into()), 400, "BLOB_UPLOAD_INVALID"),
            (Error::BodyBroken(mismatch.into()), 400, "SIZE_INVALID"),
            (Error::Collecting(digest.clone()), 503, "UNAVAILABLE"),
            (Error::Corrupt("/a".parse().unwrap(), "torn".into()), 500, "UNKNOWN"),
            (Error::Denied("class".to_owned()), 403, "DENIED"),
            (
                Error::DigestMismatch { expected: digest.clone(), actual: digest.clone() },
                400,
                "DIGEST_INVALID",
            ),
            (Error::Disabled("deletion"), 405, "UNSUPPORTED"),
            (driver_error(ErrorKind::NotFound), 500, "UNKNOWN"),
            (driver_error(ErrorKind::PermissionDenied), 500, "UNKNOWN"),
            (driver_error(ErrorKind::StorageFull), 503, "UNAVAILABLE"),
            (driver_error(ErrorKind::Busy), 503, "UNAVAILABLE"),
            (driver_error(ErrorKind::Unavailable), 503, "UNAVAILABLE"),
            (Error::ManifestInvalid(problem()), 400, "MANIFEST_INVALID"),
            (Error::ManifestReferencesUnknown(vec![digest]), 400, "MANIFEST_BLOB_UNKNOWN"),
            (Error::ManifestUnknown(tag, name.clone()), 404, "MANIFEST_UNKNOWN"),
            (Error::ReadOnly, 405, "UNSUPPORTED"),
            (Error::ReadOnlyStore("it serves bundles"), 405, "UNSUPPORTED"),
            (Error::RepositoryUnknown(name.clone()), 404, "NAME_UNKNOWN"),
            (Error::SizeMismatch { expected: 2, actual: 1 }, 400, "SIZE_INVALID"),
            (Error::TooLarge { what: "manifest", limit: 4 }, 413, "SIZE_INVALID"),
            (Error::TagExists(name.clone(), "v1".parse().unwrap(), Digest::sha256_of(b"")), 409, "DENIED"),
            (Error::TagNotRemoved(name.clone(), "v1".parse().unwrap()), 404, "MANIFEST_UNKNOWN"),
            (Error::TagBeingRemoved(name, "v1".parse().unwrap()), 503, "UNAVAILABLE"),
            (Error::UploadBusy(id.clone()), 409, "BLOB_UPLOAD_INVALID"),
            (Error::UploadOutOfOrder { expected: 5, got: 7 }, 416, "RANGE_INVALID"),
            (Error::UploadUnknown(id), 404, "BLOB_UPLOAD_UNKNOWN"),
        ];
        for (error, status, code) in table {
            let shown = format!("{error:?}");
            let api_error = ApiError::from(error);
            assert_eq!((api_error.status().as_u16(), api_error.code().as_str()), (status, code), "{shown}");
        }
    }

    #[test]
    fn a_cause_is_found_anywhere_in_the_chain() {
        let mismatch = LengthMismatch { announced: 2, received: 1 };
        let wrapped = axum::Error::new(axum::Error::new(mismatch.clone()));
        assert_eq!(find::<LengthMismatch>(&wrapped), Some(&mismatch));
        assert_eq!(find::<BodyStalled>(&wrapped), None);
    }

    #[test]
    fn a_chunk_out_of_order_learns_where_the_upload_ends() {
        let error = ApiError::from(Error::UploadOutOfOrder { expected: 5, got: 7 });
        assert_eq!(error.headers()[RANGE], "0-4");
        assert_eq!(received(0), "0-0");
        assert_eq!(received(1), "0-0");
    }
}
