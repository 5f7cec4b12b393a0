//! The parameters of the path, parsed into the engine's nouns. The name is not among them: see `authorized`.

use std::borrow::Cow;

use axum::extract::FromRequestParts;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use sampan_engine::UploadId;
use sampan_engine::oci::{Digest, InvalidReference, Reference};

use crate::http::error::{ApiError, ErrorCode};

/// `{name}`, unfolded: the segment after `/v2/`.
///
/// The parameters are taken from the path itself. axum's own extractors refuse the whole path when any part of it does
/// not decode to UTF-8, and then nobody can tell which parameter was wrong.
pub(super) fn name(parts: &Parts) -> String {
    parts.uri.path().split('/').nth(2).unwrap_or_default().replace("%2F", "/")
}

/// The parameter that ends the path, decoded. What is no UTF-8 becomes something that no grammar allows.
fn last(parts: &Parts) -> Cow<'_, str> {
    percent_decode_str(parts.uri.path().rsplit('/').next().unwrap_or_default()).decode_utf8_lossy()
}

/// Something of the engine's that stands in the path.
#[derive(Clone, Debug)]
pub(in crate::http) struct FromPath<T>(pub(in crate::http) T);

/// `{digest}` of a blob or of a subject.
pub(in crate::http) type BlobDigest = FromPath<Digest>;

/// `{reference}` of a manifest that should be there.
///
/// A tag outside the grammar cannot exist, so it is unknown rather than invalid.
pub(in crate::http) type ManifestReference = FromPath<Reference>;

/// `{reference}` of a manifest to be stored.
#[derive(Clone, Debug)]
pub(in crate::http) struct NewReference(pub(in crate::http) Reference);

impl<S: Sync> FromRequestParts<S> for FromPath<Digest> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let digest: Result<Digest, _> = last(parts).parse();
        digest
            .map(Self)
            .map_err(|error| ApiError::new(ErrorCode::DigestInvalid).with_reason(error.to_string()))
    }
}

impl<S: Sync> FromRequestParts<S> for FromPath<Reference> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        reference(parts).map(Self).map_err(|error| match &error {
            InvalidReference::Digest(_) => {
                ApiError::new(ErrorCode::DigestInvalid).with_reason(error.to_string())
            }
            InvalidReference::Tag(_) => {
                ApiError::new(ErrorCode::ManifestUnknown).with_reason(error.to_string())
            }
        })
    }
}

impl<S: Sync> FromRequestParts<S> for NewReference {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        reference(parts).map(Self).map_err(|error| match &error {
            InvalidReference::Digest(_) => {
                ApiError::new(ErrorCode::DigestInvalid).with_reason(error.to_string())
            }
            InvalidReference::Tag(_) => ApiError::new(ErrorCode::TagInvalid).with_reason(error.to_string()),
        })
    }
}

impl<S: Sync> FromRequestParts<S> for FromPath<UploadId> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        last(parts).parse().map(Self).map_err(|_| ApiError::new(ErrorCode::BlobUploadUnknown))
    }
}

fn reference(parts: &Parts) -> Result<Reference, InvalidReference> {
    last(parts).parse()
}
