//! `LimitUploads`: how many uploads one address may have under way, so that one client cannot take all there is.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::Request;
use axum::response::IntoResponse;
use futures::FutureExt;
use futures::future::{BoxFuture, Either};
use http::header::RETRY_AFTER;
use http::{HeaderValue, Method};

use super::around::{Answering, Outcome, Wrap};
use crate::http::context::RequestContext;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::state::AppState;

/// Refuses requests that send a blob or a manifest while their address has too many of them under way.
#[derive(Clone, Debug)]
pub(in crate::http) struct LimitUploads(Option<Arc<Slots>>);

impl LimitUploads {
    pub(in crate::http) fn new(state: &AppState) -> Self {
        let limit = state.options().uploads_per_address;
        Self(limit.map(|limit| Arc::new(Slots { limit, taken: Mutex::default() })))
    }
}

/// The uploads under way, by address, or by network of IPv6. An entry lives no longer than a request.
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

impl Wrap for LimitUploads {
    type Answer<F: Answering> = Either<F, BoxFuture<'static, Outcome>>;

    fn wrap<F: Answering>(&self, request: Request, inner: impl FnOnce(Request) -> F) -> Self::Answer<F> {
        let address =
            request.extensions().get::<Arc<RequestContext>>().and_then(|context| context.client()?.network());
        let (Some(slots), Some(address), true) = (&self.0, address, is_an_upload(&request)) else {
            return Either::Left(inner(request));
        };
        let Some(slot) = slots.take(address) else {
            let detail = format!(
                "{address} has {} uploads under way, which is all that http.limits.uploadsperaddress allows",
                slots.limit
            );
            let refusal = ApiError::new(ErrorCode::TooManyRequests)
                .with_reason(detail)
                .with_header(RETRY_AFTER, HeaderValue::from_static("1"));
            return Either::Right(async move { Ok(refusal.into_response()) }.boxed());
        };
        let answer = inner(request);
        let answer = async move {
            let answer = answer.await;
            drop(slot);
            answer
        };
        Either::Right(answer.boxed())
    }
}

/// Names come folded, so the third segment is always the room.
fn is_an_upload(request: &Request) -> bool {
    let mut segments = request.uri().path().split('/').skip(3);
    match (request.method(), segments.next()) {
        (&Method::PATCH | &Method::POST | &Method::PUT, Some("blobs")) => segments.next() == Some("uploads"),
        (&Method::PUT, Some("manifests")) => true,
        _ => false,
    }
}
