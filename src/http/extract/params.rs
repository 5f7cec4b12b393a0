//! The parameters of the path, parsed into the engine's nouns. The name is not among them: see `authorized`.

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

/// The route of a request, parsed before everything else.
pub(super) fn route(parts: &Parts) -> Option<&Route> {
    parts.extensions.get::<Arc<RequestContext>>()?.route()
}

/// What follows the name, decoded. What is no UTF-8 becomes something that no grammar allows.
fn last(parts: &Parts) -> Cow<'_, str> {
    percent_decode_str(route(parts).map_or("", Route::rest)).decode_utf8_lossy()
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
