//! Responses: pages, redirects and JSON, with the headers that all of them have.

use askama::Template;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, SET_COOKIE, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::assets::Asset;

/// A response of the page.
pub(crate) type Reply = Response<Bytes>;

/// Everything is from this origin; nothing is inline.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'",
);

/// A page. `None` if it could not be written, which only memory can cause.
pub(crate) fn page(status: StatusCode, page: &impl Template) -> Reply {
    match page.render() {
        Ok(html) => with_type(status, "text/html; charset=utf-8", html.into()),
        Err(error) => {
            tracing::error!(%error, "cannot write a page");
            plain(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// The JSON twin of a page.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    let mut text = serde_json::to_vec(value).unwrap_or_else(|error| {
        tracing::error!(%error, "cannot write a list as JSON");
        b"null".to_vec()
    });
    text.push(b'\n');
    with_type(status, "application/json", text.into())
}

/// Sends the visitor elsewhere, with `GET`.
pub(crate) fn see_other(path: &str) -> Reply {
    let mut reply = plain(StatusCode::SEE_OTHER);
    if let Ok(location) = HeaderValue::from_str(path) {
        reply.headers_mut().insert(LOCATION, location);
    }
    reply
}

/// Adds a cookie that scripts cannot read. `Lax`, so that links from elsewhere find one logged in; a `GET` changes nothing.
pub(crate) fn set_cookie(reply: &mut Reply, name: &str, value: &str, max_age_seconds: u64, is_secure: bool) {
    let secure = if is_secure { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/; Max-Age={max_age_seconds}; HttpOnly; SameSite=Lax{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        reply.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// A file that never changes under its name.
pub(crate) fn asset(asset: &'static Asset) -> Reply {
    let mut reply = with_type(StatusCode::OK, asset.media_type, Bytes::from_static(asset.content.as_bytes()));
    reply
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    reply
}

fn with_type(status: StatusCode, media_type: &'static str, body: Bytes) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Language, Cookie"));
    reply
}

/// A response without a page, for what no person looks at.
pub(crate) fn plain(status: StatusCode) -> Reply {
    with_type(status, "text/plain; charset=utf-8", Bytes::new())
}
