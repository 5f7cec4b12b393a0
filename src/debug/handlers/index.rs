//! What there is, for those who came without knowing.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

/// The list of pages.
pub(in crate::debug) fn text(pages: &[&str]) -> String {
    pages.iter().map(|page| format!("{page}\n")).collect()
}

/// The list, at `/`.
pub(in crate::debug) async fn show(State(index): State<String>) -> String {
    index
}

/// The list, at every path that is on none.
pub(in crate::debug) async fn not_found(State(index): State<String>) -> Response {
    (StatusCode::NOT_FOUND, format!("there is no such page; there are\n{index}")).into_response()
}
