//! Limits concurrent uploads per address, so that one client cannot use up the capacity.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::RETRY_AFTER;
use http::{HeaderValue, Method};
use parking_lot::Mutex;

use crate::http::context::RequestContext;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::route::Endpoint;

/// Concurrent uploads by address, or by network for IPv6. An entry lives as long as its requests.
#[derive(Debug)]
pub(in crate::http) struct UploadSlots {
    limit: usize,
    /// A plain mutex: held to change a count, never across an await.
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// A running upload; dropping it frees the slot.
#[derive(Debug)]
pub(in crate::http) struct Slot {
    slots: Arc<UploadSlots>,
    address: IpAddr,
}

impl UploadSlots {
    /// Allows `limit` uploads per address.
    pub(in crate::http) fn new(limit: usize) -> Self {
        Self { limit, taken: Mutex::default() }
    }

    fn take(self: &Arc<Self>, address: IpAddr) -> Option<Slot> {
        let mut taken = self.taken.lock();
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
        let mut taken = self.slots.taken.lock();
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

/// Takes a slot for a request that sends a blob or a manifest; `None` for any other, and without a limit.
///
/// # Errors
///
/// The address already has as many uploads as the limit allows.
pub(in crate::http) fn limit_uploads(
    slots: Option<&Arc<UploadSlots>>,
    context: &RequestContext,
    endpoint: Endpoint,
    method: &Method,
) -> Result<Option<Slot>, ApiError> {
    let address = context.client().and_then(|client| client.network());
    let (Some(slots), Some(address), true) = (slots, address, is_upload(endpoint, method)) else {
        return Ok(None);
    };
    slots.take(address).map(Some).ok_or_else(|| {
        let reason = format!(
            "{address} has {} uploads in progress, the most that http.limits.uploadsperaddress allows",
            slots.limit
        );
        ApiError::new(ErrorCode::TooManyRequests)
            .with_reason(reason)
            .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
    })
}

fn is_upload(endpoint: Endpoint, method: &Method) -> bool {
    match endpoint {
        Endpoint::BlobUpload | Endpoint::BlobUploadChunk => {
            matches!(method, &Method::PATCH | &Method::POST | &Method::PUT)
        }
        Endpoint::Manifest => method == Method::PUT,
        _ => false,
    }
}
