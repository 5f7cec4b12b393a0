//! `/v2/_catalog`.

use axum::extract::State;
use axum::response::IntoResponse;
use http::header::{CONTENT_TYPE, LINK};
use serde_json::json;

use super::{Reply, link};
use crate::http::extract::{AuthorizedCatalog, PageQuery};
use crate::http::headers::JSON;
use crate::http::state::AppState;

/// The page size when the request has no `n`.
const DEFAULT_ENTRIES: usize = 100;

/// Lists the repositories that the client may see, always in pages.
pub(in crate::http) async fn list(
    State(state): State<AppState>,
    AuthorizedCatalog(view): AuthorizedCatalog,
    query: PageQuery,
) -> Reply {
    let most = state.options().catalog_max_entries;
    let n = query.n.unwrap_or(DEFAULT_ENTRIES.min(most));
    if n > most {
        return Err(PageQuery::invalid(&n.to_string()));
    }
    let page = state.registry().catalog_of(query.last.as_deref(), n, |name| view.shows(name)).await?;
    // With a line end as in Distribution, for users of curl.
    let body = format!("{}\n", json!({ "repositories": &page.items }));
    let mut response = ([(CONTENT_TYPE, JSON)], body).into_response();
    if let (true, Some(last)) = (page.has_more, page.items.last()) {
        let link = link::next(&state.options().prefix, "/v2/_catalog", last, Some(n), &[]);
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}
