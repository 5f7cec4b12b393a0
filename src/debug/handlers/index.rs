//! The index of pages.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

/// The list of pages.
pub(in crate::debug) fn text(pages: &[&str]) -> String {
    pages.iter().map(|page| format!("{page}\n")).collect()
}

/// `/`: the index.
pub(in crate::debug) async fn show(State(index): State<String>) -> String {
    index
}

/// The 404 for any other path, with the index.
pub(in crate::debug) async fn not_found(State(index): State<String>) -> Response {
    (StatusCode::NOT_FOUND, format!("no such page; the pages are\n{index}")).into_response()
}
