//! Answers 404 of an intermediary, such as the page of an ingress that has lost its route to the store.
//!
//! Taken for the store's, they would report stored blobs as unknown. Stores answer in XML with a `Code`, or without a body;
//! so do Ceph, Garage, Azurite and moto, and the protocols of S3, Azure and Google prescribe it. An answer to `HEAD` has no
//! body: it is an intermediary's only if it announces a page and has none of the headers that stores identify requests by.

use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::response::Parts;
use http::{Method, StatusCode};
use object_store::client::HttpRequest;

/// The part of a request that decides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RequestClass {
    /// A store, for the headers of an object.
    Head,
    /// A store, for anything else.
    Other,
    /// No store: services that give out credentials get no signature of one.
    Unsigned,
}

impl RequestClass {
    pub(crate) fn of(request: &HttpRequest) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let is_signed = request.headers().contains_key(AUTHORIZATION)
            || query.split('&').any(|pair| pair.starts_with("sig=") || pair.starts_with("X-Amz-Signature="));
        match *request.method() {
            _ if !is_signed => Self::Unsigned,
            Method::HEAD => Self::Head,
            _ => Self::Other,
        }
    }
}

/// The text of an answer that is an intermediary's; `None` if it is the store's.
pub(crate) fn foreign_404(asked: RequestClass, head: &Parts, body: &[u8]) -> Option<String> {
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_foreign = head.status == StatusCode::NOT_FOUND
        && match asked {
            RequestClass::Unsigned => false,
            RequestClass::Head => {
                let is_page =
                    ["text/html", "text/plain"].iter().any(|kind| header(CONTENT_TYPE).starts_with(kind));
                is_page && !["", "0"].contains(&header(CONTENT_LENGTH)) && !is_identified(head)
            }
            RequestClass::Other => {
                !body.trim_ascii().is_empty() && !body.windows(6).any(|window| window == b"<Code>")
            }
        };
    is_foreign.then(|| {
        let shown = String::from_utf8_lossy(&body[..body.len().min(EXCERPT_BYTES)]);
        format!("404 Not Found is no answer of a store, but of an intermediary: {shown}")
    })
}

/// Whether the answer has a header by which a store identifies the request.
fn is_identified(head: &Parts) -> bool {
    let prefixes = ["x-amz", "x-ms-", "x-goog-", "x-guploader", "x-rgw-", "x-trans-id"];
    head.headers.keys().any(|name| prefixes.iter().any(|prefix| name.as_str().starts_with(prefix)))
}

/// The number of bytes of a page to show in errors.
const EXCERPT_BYTES: usize = 300;
