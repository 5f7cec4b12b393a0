//! Headers common to all responses, and the removal of the body from a response to `HEAD`.

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue};
use http_body::Body as _;
use sampan_cache::Served;

use crate::http::headers::{CACHE_STATUS, DOCKER_API_VERSION, REGISTRY_2_0};

/// Adds `Docker-Distribution-Api-Version`, the headers of `http.headers` that the answer does not have, and how a cache
/// answered.
pub(in crate::http) fn add(configured: &HeaderMap, served: Option<Served>, answer: &mut HeaderMap) {
    // An error says it itself, also after a part of its answer was served.
    if let Some(served) = served {
        let value = || HeaderValue::from_static(served.as_header());
        answer.entry(CACHE_STATUS).or_insert_with(value);
    }
    answer.insert(DOCKER_API_VERSION, REGISTRY_2_0);
    // As in Distribution, whose handlers replace them.
    for name in configured.keys() {
        if !answer.contains_key(name) {
            configured.get_all(name).iter().for_each(|value| _ = answer.append(name, value.clone()));
        }
    }
}

/// Sets `Content-Length` if the size is known, and removes the body of a response to `HEAD`.
pub(in crate::http) fn settle_body(response: &mut Response, is_head: bool) {
    if let Some(len) = response.body().size_hint().exact() {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert(HeaderValue::from(len));
    }
    if is_head {
        *response.body_mut() = Body::empty();
    }
}
