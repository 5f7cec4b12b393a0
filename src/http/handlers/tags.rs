//! `/v2/<name>/tags/list`.

use axum::extract::State;
use axum::response::IntoResponse;
use http::header::{CONTENT_TYPE, LINK};
use serde_json::json;

use super::{Reply, link};
use crate::http::extract::{Authorized, PageQuery, Pull};
use crate::http::headers::JSON;
use crate::http::state::AppState;

/// The tags of a repository: all of them, unless a page is asked for.
pub(in crate::http) async fn list(
    State(state): State<AppState>,
    at: Authorized<Pull>,
    query: PageQuery,
) -> Reply {
    let limit = query.n.map(|n| n.min(state.options().tags_max));
    let page = at.repository().tags().list(query.last.as_deref(), limit).await?;
    let body = json!({ "name": at.name().as_str(), "tags": &page.items }).to_string();
    let mut response = ([(CONTENT_TYPE, JSON)], body).into_response();
    if let (true, Some(last)) = (page.more, page.items.last()) {
        let path = format!("/v2/{}/tags/list", at.name());
        response.headers_mut().insert(LINK, link::next(&state.options().prefix, &path, last, limit, &[]));
    }
    Ok(response)
}
