//! `LimitUploads`: how many uploads one address may have under way, so that one client cannot take all there is.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Method};
use tower::{Layer, Service};

use crate::http::context::RequestContext;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::state::AppState;

/// Refuses requests that send bytes of a blob while their address has too many of them under way.
#[derive(Clone, Debug)]
pub(in crate::http) struct LimitUploads(Option<Arc<Slots>>);

impl LimitUploads {
    pub(in crate::http) fn new(state: &AppState) -> Self {
        let limit = state.options().uploads_per_address;
        Self(limit.map(|limit| Arc::new(Slots { limit, taken: Mutex::default() })))
    }
}

/// The uploads under way, by address.
#[derive(Debug)]
struct Slots {
    limit: usize,
    /// A plain mutex: held for a count, never across an await.
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One upload under way; over when it is dropped, however it ended.
struct Slot {
    slots: Arc<Slots>,
    address: IpAddr,
}

impl Slots {
    fn take(self: &Arc<Self>, address: IpAddr) -> Option<Slot> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(address).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Slot { slots: self.clone(), address })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

/// [`LimitUploads`] around a service.
#[derive(Clone, Debug)]
pub(in crate::http) struct LimitingUploads<S> {
    slots: Option<Arc<Slots>>,
    inner: S,
}

impl<S> Layer<S> for LimitUploads {
    type Service = LimitingUploads<S>;

    fn layer(&self, inner: S) -> LimitingUploads<S> {
        LimitingUploads { slots: self.0.clone(), inner }
    }
}

impl<S> Service<Request> for LimitingUploads<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let address =
            request.extensions().get::<Arc<RequestContext>>().and_then(|context| context.client()?.ip());
        let (Some(slots), Some(address), true) = (&self.slots, address, sends_a_blob(&request)) else {
            return self.inner.call(request).boxed();
        };
        let Some(slot) = slots.take(address) else {
            let detail = format!(
                "{address} has {} uploads under way, which is all that http.limits.uploadsperaddress allows",
                slots.limit
            );
            let refusal = ApiError::new(ErrorCode::TooManyRequests)
                .with_detail(detail)
                .with_header(RETRY_AFTER, HeaderValue::from_static("1"));
            return async move { Ok(refusal.into_response()) }.boxed();
        };
        let answer = self.inner.call(request);
        async move {
            let answer = answer.await;
            drop(slot);
            answer
        }
        .boxed()
    }
}

/// Names come folded, so the third segment is always the room.
fn sends_a_blob(request: &Request) -> bool {
    let mut segments = request.uri().path().split('/').skip(3);
    matches!(*request.method(), Method::PATCH | Method::POST | Method::PUT)
        && segments.next() == Some("blobs")
        && segments.next() == Some("uploads")
}
