//! A whole registry in memory, for targets that speak HTTP to it.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use sampan::auth::{AccessController, Anonymous};
use sampan::http::{Api, AppState, HttpOptions, HttpServices};
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::{Limits, Registry};
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// A registry in memory.
pub(super) struct Service {
    api: Api,
    runtime: Runtime,
}

/// An answer, with its whole body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// The value of a header, if it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A runtime on this thread.
pub(super) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

impl Service {
    /// One that allows everything, deletion included.
    pub(super) fn new() -> Self {
        let limits = Limits { delete: true, ..Limits::default() };
        let registry = Registry::builder(Arc::new(InMemoryDriver::new())).limits(limits).build();
        Self::with(runtime(), registry, Arc::new(Anonymous), HttpServices::default())
    }

    /// One with this access control.
    pub(super) fn with(
        runtime: Runtime,
        registry: Registry,
        access: Arc<dyn AccessController>,
        services: HttpServices,
    ) -> Self {
        let options = HttpOptions { access_log: false, ..HttpOptions::default() };
        Self { api: Api::new(AppState::new(registry, access, options, services)), runtime }
    }

    /// Sends a request, and checks the rules for every answer: no failure of the server, and errors as JSON.
    pub(super) fn send(&self, request: Request<Body>) -> Answer {
        let answer = self.runtime.block_on(async {
            let response = self.api.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
            let (parts, body) = response.into_parts();
            let body = body.collect().await.expect("a whole body").to_bytes();
            Answer { status: parts.status, headers: parts.headers, body }
        });
        assert!(!answer.status.is_server_error(), "{answer:?}");
        if answer.header("content-type") == Some("application/json") && !answer.body.is_empty() {
            assert!(serde_json::from_slice::<serde_json::Value>(&answer.body).is_ok(), "{answer:?}");
        }
        answer
    }

    /// Sends a request with these headers and this body.
    pub(super) fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &[u8])],
        body: &[u8],
    ) -> Option<Answer> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Some(self.send(request.body(Body::from(body.to_vec())).ok()?))
    }
}
