//! `Dress`: the headers that every answer of the API carries, and the body that no answer to `HEAD` has.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Method};
use http_body::Body as _;

use super::around::{Answering, Outcome, Wrap};
use crate::http::headers::{DOCKER_API_VERSION, REGISTRY_2_0};
use crate::http::state::AppState;

/// Adds `Docker-Distribution-Api-Version` and the configured headers to everything but `/`, which is for probes.
#[derive(Clone, Debug)]
pub(in crate::http) struct Dress {
    headers: Arc<HeaderMap>,
}

impl Dress {
    pub(in crate::http) fn new(state: &AppState) -> Self {
        Self { headers: Arc::new(state.options().headers.clone()) }
    }

    fn dress(&self, answer: &mut HeaderMap) {
        answer.insert(DOCKER_API_VERSION, REGISTRY_2_0);
        for (name, value) in &*self.headers {
            answer.append(name, value.clone());
        }
    }
}

impl Wrap for Dress {
    type Answer<F: Answering> = BoxFuture<'static, Outcome>;

    fn wrap<F: Answering>(&self, request: Request, inner: impl FnOnce(Request) -> F) -> Self::Answer<F> {
        let is_api = request.uri().path() != "/";
        let is_head = request.method() == Method::HEAD;
        let dress = self.clone();
        let answer = inner(request);
        async move {
            let mut response = answer.await?;
            if is_api {
                dress.dress(response.headers_mut());
            }
            // The router does this for its handlers, but not all answers come from there.
            if is_head && !response.body().is_end_stream() {
                if let Some(len) = response.body().size_hint().exact() {
                    response.headers_mut().entry(CONTENT_LENGTH).or_insert(HeaderValue::from(len));
                }
                *response.body_mut() = Body::empty();
            }
            Ok(response)
        }
        .boxed()
    }
}
