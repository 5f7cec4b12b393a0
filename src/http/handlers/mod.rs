//! One handler per endpoint: it extracts, makes one engine call, and responds.

use axum::response::Response;
use http::HeaderValue;

use super::error::ApiError;

pub(super) mod base;
pub(super) mod blobs;
pub(super) mod catalog;
mod link;
pub(super) mod manifests;
pub(super) mod probes;
pub(super) mod referrers;
pub(super) mod tags;
pub(super) mod token;
pub(super) mod uploads;

/// The value of `Cache-Control` for what no cache may keep.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// A handler's result.
type Reply = Result<Response, ApiError>;
