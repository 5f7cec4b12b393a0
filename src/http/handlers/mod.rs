//! One handler an endpoint: it extracts, makes one call to the engine, and answers.

use axum::response::Response;

use super::error::ApiError;

pub(super) mod base;
pub(super) mod blobs;
pub(super) mod catalog;
mod link;
pub(super) mod manifests;
pub(super) mod probes;
pub(super) mod referrers;
pub(super) mod tags;
pub(super) mod uploads;

/// What a handler answers.
type Reply = Result<Response, ApiError>;
