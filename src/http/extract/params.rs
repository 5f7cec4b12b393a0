//! The path's parameters, parsed into engine types. `authorized` parses the name.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use sampan_engine::UploadId;
use sampan_engine::oci::{Digest, InvalidReference, Reference};

use crate::http::context::RequestContext;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::route::Route;

/// The request's route, parsed before every other step.
pub(super) fn route(parts: &Parts) -> Option<&Route> {
    parts.extensions.get::<Arc<RequestContext>>()?.route()
}

/// The decoded part after the name. Invalid UTF-8 becomes a character that no grammar allows.
fn last(parts: &Parts) -> Cow<'_, str> {
    percent_decode_str(route(parts).map_or("", Route::rest)).decode_utf8_lossy()
}

/// An engine type parsed from the path.
#[derive(Clone, Debug)]
pub(in crate::http) struct FromPath<T>(pub(in crate::http) T);

/// The `{digest}` of a blob or subject.
pub(in crate::http) type BlobDigest = FromPath<Digest>;

/// The `{reference}` of a manifest to fetch or delete.
///
/// A tag outside the grammar cannot exist, so the error is "unknown", not "invalid".
pub(in crate::http) type ManifestReference = FromPath<Reference>;

/// The `{reference}` of a manifest to store.
#[derive(Clone, Debug)]
pub(in crate::http) struct NewReference(pub(in crate::http) Reference);

impl<S: Sync> FromRequestParts<S> for FromPath<Digest> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let digest: Result<Digest, _> = last(parts).parse();
        digest.map(Self).map_err(|error| ApiError::malformed_digest(&error))
    }
}

impl<S: Sync> FromRequestParts<S> for FromPath<Reference> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        reference(parts).map(Self).map_err(|error| match &error {
            InvalidReference::Digest(error) => ApiError::malformed_digest(error),
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
            InvalidReference::Digest(error) => ApiError::malformed_digest(error),
            InvalidReference::Tag(error) => ApiError::malformed_tag(error),
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
