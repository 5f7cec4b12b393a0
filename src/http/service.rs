//! `Api`: the steps of a request, in order.
//!
//! The steps are plain functions called one after the other: one function shows the order, only the whole
//! future is boxed, and each step sees the route parsed before the first.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::Method;
use sampan_ui::Declined;
use tower::Service;

use super::context::RequestContext;
use super::dispatch::dispatch;
use super::error::{ApiError, ErrorCode};
use super::layers::{self, Exchange, UploadSlots};
use super::page;
use super::route::{Endpoint, Route, Unroutable};
use super::state::AppState;
use crate::serve::Peer;

/// The HTTP API as a service. Cloning is a few reference counts.
#[derive(Clone, Debug)]
pub struct Api {
    state: AppState,
    upload_slots: Option<Arc<UploadSlots>>,
}

impl Api {
    /// Builds the service.
    pub fn new(state: AppState) -> Self {
        let upload_slots = state.options().uploads_per_address.map(UploadSlots::new).map(Arc::new);
        Self { state, upload_slots }
    }

    /// Parses the path, opens a span if traces are enabled, and continues.
    async fn answer(self, request: Request) -> Response {
        let has_page = self.state.services().page.has(request.uri().path());
        let page = has_page.then(|| Route::to_page(request.uri())).flatten();
        let route = page.map_or_else(|| Route::parse(&self.state.options().prefix, request.uri()), Ok);
        let has_tokens = self.state.services().guard.is_some();
        let route = match route {
            Ok(route) if route.endpoint() == Endpoint::Token && !has_tokens => Err(Unroutable::NotFound),
            route => route,
        };
        match layers::trace::span(&self.state, route.as_ref().ok(), &request) {
            Some(span) => layers::trace::traced(span, self.observed(route, request)).await,
            None => self.observed(route, request).await,
        }
    }

    /// Gives the request its id, and counts and logs it whether it ends with a response, a panic or a
    /// disconnect.
    async fn observed(self, route: Result<Route, Unroutable>, mut request: Request) -> Response {
        let options = self.state.options();
        let peer = request.extensions().get::<Peer>();
        let client = peer.map(|peer| options.trusted_proxies.client(peer.address, request.headers()));
        let context = Arc::new(RequestContext::new(request.headers(), client, route.as_ref().ok().cloned()));
        request.extensions_mut().insert(Arc::clone(&context));
        let (exchange, request) = Exchange::begin(&self.state, Arc::clone(&context), request);
        let (is_root, is_head) = (context.is_at(Endpoint::Root), request.method() == Method::HEAD);

        let mut response = layers::catch_panic(self.handle(&context, route, request)).await;

        if !is_root {
            layers::response_headers::add(&options.headers, context.served(), response.headers_mut());
        }
        layers::response_headers::settle_body(&mut response, is_head);
        exchange.answered(response)
    }

    /// Refuses the request while the registry is unhealthy or its client uploads too much, else calls its handler.
    async fn handle(
        &self,
        context: &RequestContext,
        route: Result<Route, Unroutable>,
        request: Request,
    ) -> Response {
        let is_probe = route.as_ref().is_ok_and(|route| route.endpoint().is_probe());
        if !is_probe && !self.state.services().health.is_healthy() {
            // Distribution's response.
            let refusal = ApiError::new(ErrorCode::Unavailable)
                .with_detail("health check failed: please see /debug/health");
            return self.refuse(request, refusal, Declined::Unhealthy).await;
        }
        let endpoint = match route {
            Ok(route) => route.endpoint(),
            Err(unroutable) => return unroutable.into_response(),
        };
        let _slot =
            match layers::limit_uploads(self.upload_slots.as_ref(), context, endpoint, request.method()) {
                Ok(slot) => slot,
                Err(refusal) => return self.refuse(request, refusal, Declined::TooMany).await,
            };
        dispatch(self.state.clone(), endpoint, request).await
    }

    /// The refusal, or a page that says the same, for a browser at the web page.
    async fn refuse(&self, request: Request, refusal: ApiError, why: Declined) -> Response {
        match page::declined_browser(&self.state, request, why).await {
            Some(page) => page,
            None => refusal.into_response(),
        }
    }
}

impl Service<Request> for Api {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.clone().answer(request).map(Ok).boxed()
    }
}
