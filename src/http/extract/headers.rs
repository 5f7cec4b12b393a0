//! The headers of a request, for handlers that look at more than one.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;

/// The headers, taken out of the request and not copied: whatever is extracted after them finds none.
#[derive(Clone, Debug)]
pub(in crate::http) struct Headers(pub(in crate::http) HeaderMap);

impl<S: Sync> FromRequestParts<S> for Headers {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(std::mem::take(&mut parts.headers)))
    }
}
