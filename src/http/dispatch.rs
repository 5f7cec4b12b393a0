//! Picks the handler of an endpoint and method.

use axum::extract::Request;
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, StatusCode};

use super::error::{ApiError, ErrorCode};
use super::handlers::{base, blobs, catalog, manifests, probes, referrers, tags, token, uploads};
use super::page;
use super::route::{Endpoint, Unroutable};
use super::state::AppState;

impl Endpoint {
    /// The endpoint's methods, as the `Allow` header lists them.
    fn allow(self) -> &'static str {
        match self {
            Self::Base | Self::Catalog | Self::Referrers | Self::Tags => "GET, HEAD",
            Self::Blob => "DELETE, GET, HEAD",
            Self::BlobUpload => "POST",
            Self::BlobUploadChunk => "DELETE, GET, HEAD, PATCH, PUT",
            Self::Manifest => "DELETE, GET, HEAD, PUT",
            Self::Token => "GET, POST",
            Self::Root | Self::Livez | Self::Readyz | Self::Page => "*",
        }
    }
}

/// Calls the handler for the endpoint and method. `end-N` is the number in the OCI distribution-spec.
pub(super) async fn dispatch(state: AppState, endpoint: Endpoint, request: Request) -> Response {
    use {Endpoint as E, Method as M};
    match (endpoint, request.method()) {
        (E::Root, _) => page::offered(&state, &request).unwrap_or_else(probes::root),
        (E::Livez, _) => probes::livez(),
        (E::Readyz, _) => probes::readyz(&state),
        (E::Page, _) => page::answer(&state, request).await,
        // Needs no authorization, so that browsers can send preflights.
        (_, &M::OPTIONS) => (StatusCode::OK, [(ALLOW, endpoint.allow())]).into_response(),
        // end-1
        (E::Base, &M::GET | &M::HEAD) => base::check.call(request, state).await,
        // end-2
        (E::Blob, &M::GET) => blobs::get.call(request, state).await,
        (E::Blob, &M::HEAD) => blobs::head.call(request, state).await,
        // end-10
        (E::Blob, &M::DELETE) => blobs::delete.call(request, state).await,
        // end-3
        (E::Manifest, &M::GET) => manifests::get.call(request, state).await,
        (E::Manifest, &M::HEAD) => manifests::head.call(request, state).await,
        // end-7
        (E::Manifest, &M::PUT) => manifests::put.call(request, state).await,
        // end-9
        (E::Manifest, &M::DELETE) => manifests::delete.call(request, state).await,
        // end-4, end-11
        (E::BlobUpload, &M::POST) => uploads::start.call(request, state).await,
        // end-5
        (E::BlobUploadChunk, &M::PATCH) => uploads::append.call(request, state).await,
        // end-6
        (E::BlobUploadChunk, &M::PUT) => uploads::finish.call(request, state).await,
        // end-13
        (E::BlobUploadChunk, &M::GET | &M::HEAD) => uploads::status.call(request, state).await,
        // end-14
        (E::BlobUploadChunk, &M::DELETE) => uploads::cancel.call(request, state).await,
        // end-8
        (E::Tags, &M::GET | &M::HEAD) => tags::list.call(request, state).await,
        // end-12
        (E::Referrers, &M::GET | &M::HEAD) => referrers::list.call(request, state).await,
        // Docker only.
        (E::Catalog, &M::GET | &M::HEAD) => catalog::list.call(request, state).await,
        // Distribution's token specification, and the OAuth2 one.
        (E::Token, &M::GET) => token::get.call(request, state).await,
        (E::Token, &M::POST) => token::post.call(request, state).await,
        (_, _) => method_not_allowed(endpoint.allow()),
    }
}

fn method_not_allowed(allow: &'static str) -> Response {
    ApiError::new(ErrorCode::Unsupported)
        .with_reason("this endpoint does not support the method; see the Allow header")
        .with_header(ALLOW, HeaderValue::from_static(allow))
        .into_response()
}

impl IntoResponse for Unroutable {
    fn into_response(self) -> Response {
        if let Self::MovedTo(path) = self
            && let Ok(location) = HeaderValue::try_from(path)
        {
            return (StatusCode::MOVED_PERMANENTLY, [(LOCATION, location)]).into_response();
        }
        // Plain text, so that clients do not mistake it for an unknown image.
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        (StatusCode::NOT_FOUND, [(CONTENT_TYPE, plain)], "404 page not found\n").into_response()
    }
}
