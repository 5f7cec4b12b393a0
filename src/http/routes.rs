//! The endpoint table, in the order of the OCI distribution-spec. Names arrive with their slashes folded.

use axum::Router;
use axum::response::Response;
use axum::routing::{MethodRouter, any, delete, get, post};
use http::HeaderValue;

use super::handlers::{
    base, blobs, catalog, manifests, method_not_allowed, not_found, options, referrers, tags, uploads,
};
use super::state::AppState;

/// Every endpoint.
pub(super) fn table() -> Router<AppState> {
    Router::new()
        .route("/", any(base::alive))
        // end-1
        .route("/v2/", endpoint("GET, HEAD", get(base::check)))
        // end-2, end-10
        .route(
            "/v2/{name}/blobs/{digest}",
            endpoint("DELETE, GET, HEAD", delete(blobs::delete).get(blobs::get).head(blobs::head)),
        )
        // end-3, end-7, end-9
        .route(
            "/v2/{name}/manifests/{reference}",
            endpoint(
                "DELETE, GET, HEAD, PUT",
                delete(manifests::delete).get(manifests::get).head(manifests::head).put(manifests::put),
            ),
        )
        // end-4, end-11
        .route("/v2/{name}/blobs/uploads/", endpoint("POST", post(uploads::start)))
        // end-5, end-6, end-13, end-14
        .route(
            "/v2/{name}/blobs/uploads/{session}",
            endpoint(
                "DELETE, GET, HEAD, PATCH, PUT",
                delete(uploads::cancel).get(uploads::status).patch(uploads::append).put(uploads::finish),
            ),
        )
        // end-8
        .route("/v2/{name}/tags/list", endpoint("GET, HEAD", get(tags::list)))
        // end-12
        .route("/v2/{name}/referrers/{digest}", endpoint("GET, HEAD", get(referrers::list)))
        // Docker's own
        .route("/v2/_catalog", endpoint("GET, HEAD", get(catalog::list)))
        .fallback(async || not_found())
}

/// An endpoint that tells which methods it has, to whoever asks and to whoever gets it wrong.
fn endpoint(allow: &'static str, methods: MethodRouter<AppState>) -> MethodRouter<AppState> {
    let allow = HeaderValue::from_static(allow);
    let told = allow.clone();
    methods
        .options(async move || -> Response { options(told) })
        .fallback(async move || -> Response { method_not_allowed(allow) })
}
