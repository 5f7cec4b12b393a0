//! `RequestContext`: facts about a request that its handlers, logs and events share.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderValue};
use sampan_cache::Served;
use sampan_engine::AccessTokenId;
use uuid::Uuid;

use super::headers::X_REQUEST_ID;
use super::route::{Endpoint, Route};
use crate::serve::PeerAddress;

/// Facts about a request; an extension of it, shared as `Arc<RequestContext>`.
#[derive(Debug)]
pub struct RequestContext {
    id: HeaderValue,
    client: Option<PeerAddress>,
    route: Option<Route>,
    user: OnceLock<String>,
    token: OnceLock<AccessTokenId>,
    served: OnceLock<Served>,
}

impl RequestContext {
    /// Builds the context of a request. Keeps the id in `X-Request-Id` if it is acceptable, else makes one.
    pub(super) fn new(headers: &HeaderMap, client: Option<PeerAddress>, route: Option<Route>) -> Self {
        let id = headers.get(X_REQUEST_ID).filter(|id| is_sane(id)).cloned().unwrap_or_else(next_id);
        let (user, token, served) = Default::default();
        Self { id, client, route, user, token, served }
    }

    /// The client's address, as far as trusted proxies tell it.
    pub fn client(&self) -> Option<PeerAddress> {
        self.client
    }

    /// The request's route; `None` for an unknown path.
    pub fn route(&self) -> Option<&Route> {
        self.route.as_ref()
    }

    /// Whether the request targets `endpoint`.
    pub(super) fn is_at(&self, endpoint: Endpoint) -> bool {
        self.route().is_some_and(|route| route.endpoint() == endpoint)
    }

    /// The request's id, as the log and `X-Request-Id` show it.
    pub fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    /// The request's id as a header value.
    pub(super) fn id_header(&self) -> HeaderValue {
        self.id.clone()
    }

    /// The authenticated user; `None` before authorization and for anonymous requests.
    pub fn user(&self) -> Option<&str> {
        self.user.get().map(String::as_str)
    }

    /// The access token that the request was authorized by, if it was one.
    pub(super) fn token(&self) -> Option<AccessTokenId> {
        self.token.get().copied()
    }

    /// How a cache answered; `None` for other repositories.
    pub(super) fn served(&self) -> Option<Served> {
        self.served.get().copied()
    }

    /// Records how a cache answered. The first call wins.
    pub(super) fn set_served(&self, served: Served) {
        let _ = self.served.set(served);
    }

    /// Records the access token. The first call wins.
    pub(super) fn set_token(&self, token: AccessTokenId) {
        let _ = self.token.set(token);
    }

    /// Records the authenticated user. The first call wins.
    pub(super) fn set_user(&self, user: String) {
        let _ = self.user.set(user);
    }
}

/// Whether a foreign id may go into our log: short and plain.
fn is_sane(id: &HeaderValue) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    (1..=128).contains(&id.len()) && id.as_bytes().iter().all(allowed)
}

/// Makes a unique id; it is not secret. Counting from a random start saves a system call per request.
fn next_id() -> HeaderValue {
    static START: OnceLock<u128> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let start = START.get_or_init(|| Uuid::new_v4().as_u128());
    let id = Uuid::from_u128(start.wrapping_add(u128::from(COUNT.fetch_add(1, Ordering::Relaxed))));
    let mut buffer = Uuid::encode_buffer();
    let text: &str = id.hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(incoming: &'static [u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(incoming).unwrap());
        RequestContext::new(&headers, None, None).id().to_owned()
    }

    #[test]
    fn an_acceptable_id_is_kept_and_any_other_replaced() {
        assert_eq!(id_for(b"4bf92f3577b34da6-x_y.z"), "4bf92f3577b34da6-x_y.z");
        for odd in [&b""[..], b"a b", b"a\"b", "ä".as_bytes(), &[b'a'; 129]] {
            assert_eq!(id_for(odd).len(), 36, "{odd:?}");
        }
    }

    #[test]
    fn ids_differ() {
        let headers = HeaderMap::new();
        assert_ne!(
            RequestContext::new(&headers, None, None).id(),
            RequestContext::new(&headers, None, None).id()
        );
    }
}
