//! Limits concurrent uploads and forms per address, so that one client cannot use up the capacity.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::RETRY_AFTER;
use http::{HeaderValue, Method};
use parking_lot::Mutex;

use crate::http::context::RequestContext;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::route::Endpoint;

/// Concurrent uploads and forms by address, or by network for IPv6. An entry lives as long as its requests.
#[derive(Debug)]
pub(in crate::http) struct UploadSlots {
    limit: usize,
    /// A plain mutex: held to change a count, never across an await.
    taken: Mutex<HashMap<(IpAddr, Kind), usize>>,
}

/// What a request sends. The kinds count apart: a client needs tokens while it has as many uploads as it may.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Kind {
    /// A blob or a manifest.
    Upload,
    /// A form, to the web page or to the token endpoint.
    Form,
}

/// A running request; dropping it frees the slot.
#[derive(Debug)]
pub(in crate::http) struct UploadSlot {
    slots: Arc<UploadSlots>,
    key: (IpAddr, Kind),
}

impl UploadSlots {
    /// Allows `limit` uploads, and as many forms, per address.
    pub(in crate::http) fn new(limit: usize) -> Self {
        Self { limit, taken: Mutex::default() }
    }

    fn take(self: &Arc<Self>, key: (IpAddr, Kind)) -> Option<UploadSlot> {
        let mut taken = self.taken.lock();
        let count = taken.entry(key).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(UploadSlot { slots: self.clone(), key })
    }
}

impl Drop for UploadSlot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock();
        if let Some(count) = taken.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

/// Takes a slot for a request that sends a blob, a manifest or a form; `None` for any other, and without a limit.
///
/// # Errors
///
/// The address already has as many of its kind as the limit allows.
pub(in crate::http) fn limit_uploads(
    slots: Option<&Arc<UploadSlots>>,
    context: &RequestContext,
    endpoint: Endpoint,
    method: &Method,
) -> Result<Option<UploadSlot>, ApiError> {
    let address = context.client().and_then(|client| client.network());
    let (Some(slots), Some(address), Some(kind)) = (slots, address, kind(endpoint, method)) else {
        return Ok(None);
    };
    slots.take((address, kind)).map(Some).ok_or_else(|| {
        let what = match kind {
            Kind::Upload => "uploads",
            Kind::Form => "forms",
        };
        let reason = format!(
            "{address} has {} {what} in progress, the most that http.limits.uploadsperaddress allows",
            slots.limit
        );
        ApiError::new(ErrorCode::TooManyRequests)
            .with_reason(reason)
            .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
    })
}

fn kind(endpoint: Endpoint, method: &Method) -> Option<Kind> {
    match (endpoint, method) {
        (Endpoint::BlobUpload | Endpoint::BlobUploadChunk, &Method::PATCH | &Method::POST | &Method::PUT)
        | (Endpoint::Manifest, &Method::PUT) => Some(Kind::Upload),
        (Endpoint::Page | Endpoint::Token, &Method::POST) => Some(Kind::Form),
        _ => None,
    }
}
