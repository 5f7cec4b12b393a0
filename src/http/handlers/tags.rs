//! `/v2/<name>/tags/list`.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures::future::ready;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use http::header::{CONTENT_TYPE, LINK};
use sampan_engine::oci::RepositoryName;
use serde_json::json;

use super::{Reply, link};
use crate::http::extract::{Authorized, PageQuery, Pull};
use crate::http::headers::JSON;
use crate::http::route::Endpoint;
use crate::http::state::AppState;

/// The size of a chunk of the response. A longer list streams while it is read.
const CHUNK_BYTES: usize = 64 * 1024;

/// Lists a repository's tags: all of them, or the requested page.
pub(in crate::http) async fn list(
    State(state): State<AppState>,
    repo: Authorized<Pull>,
    query: PageQuery,
) -> Reply {
    let content = repo.content();
    let last = query.last.as_deref();
    let Some(n) = query.n else {
        let tags = match content.own() {
            Some(own) => own.tags().stream(last).await?,
            None => stream::iter(content.tags(last, None).await?.items.into_iter().map(Ok)).boxed(),
        };
        return all(&repo.asked().name, tags).await;
    };
    let limit = n.min(state.options().tags_max);
    let page = content.tags(last, Some(limit)).await?;
    let asked = repo.asked();
    // With a line end as in Distribution, for users of curl.
    let body = format!("{}\n", json!({ "name": asked.name.as_str(), "tags": &page.items }));
    let mut response = ([(CONTENT_TYPE, JSON)], body).into_response();
    if let (true, Some(last)) = (page.has_more, page.items.last()) {
        let path = Endpoint::Tags.path(asked.name.as_str(), "");
        let ns = asked.ns.as_deref().map(|ns| ("ns", ns));
        let link = link::next(&state.options().prefix, &path, last, Some(limit), ns.as_slice());
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

/// Streams all tags. An error before the first chunk is full becomes an error response; a later one breaks
/// the body.
async fn all(name: &RepositoryName, tags: BoxStream<'static, sampan_engine::Result<String>>) -> Reply {
    let mut list = TagList::new(name, tags);
    let first = list.next_chunk().await?.unwrap_or_default();
    let body = match list.is_over {
        true => Body::from(first),
        false => {
            let rest = stream::try_unfold(list, |mut list| async move {
                Ok::<_, sampan_engine::Error>(list.next_chunk().await?.map(|chunk| (chunk, list)))
            });
            Body::from_stream(stream::once(ready(Ok(first))).chain(rest))
        }
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    Ok(response)
}

/// A list of tags, serialized while it is read.
struct TagList {
    tags: BoxStream<'static, sampan_engine::Result<String>>,
    /// Serialized but not sent yet.
    text: String,
    separator: &'static str,
    is_over: bool,
}

impl TagList {
    fn new(name: &RepositoryName, tags: BoxStream<'static, sampan_engine::Result<String>>) -> Self {
        let text = format!(r#"{{"name":"{name}","tags":["#);
        Self { tags, text, separator: "", is_over: false }
    }

    /// The next chunk; `None` after the last.
    async fn next_chunk(&mut self) -> sampan_engine::Result<Option<String>> {
        if self.is_over {
            return Ok(None);
        }
        while self.text.len() < CHUNK_BYTES {
            let Some(tag) = self.tags.try_next().await? else {
                self.is_over = true;
                self.text.push_str("]}\n");
                break;
            };
            // No tag contains a character that JSON escapes.
            self.text.extend([self.separator, "\"", &tag, "\""]);
            self.separator = ",";
        }
        Ok(Some(std::mem::take(&mut self.text)))
    }
}
