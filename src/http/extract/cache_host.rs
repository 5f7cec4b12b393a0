//! Requests to a host that is a cache of one upstream alone (`proxy.upstreams.hosts`).
//!
//! Docker sends the login of Docker Hub to its mirrors. Where clients need no login, such a host therefore reads none, so that
//! a foreign login is neither refused nor counted as a failed one.

use http::header::HOST;
use http::request::Parts;
use sampan_cache::Upstream;

use crate::auth::{Access, Credentials, Grant};
use crate::http::state::AppState;

/// The upstream that alone is served under the host of the request.
fn upstream<'a>(parts: &Parts, state: &'a AppState) -> Option<&'a Upstream> {
    state.services().caches.as_ref()?.of_host(host(parts)?)
}

/// The host, with its port, to which the client sent the request: that of the URI, which HTTP/2 has and HTTP/1.1 may have, comes
/// before the header (RFC 9112, 3.2.2).
pub(super) fn host(parts: &Parts) -> Option<&str> {
    let in_uri = parts.uri.authority().and_then(|authority| authority.as_str().rsplit('@').next());
    in_uri.or_else(|| parts.headers.get(HOST)?.to_str().ok())
}

/// Whether clients may pull all that the host has without a login. Docker logs in only if `GET /v2/` asks for it.
pub(super) async fn is_open(parts: &Parts, state: &AppState) -> bool {
    let (Some(guard), Some(upstream)) = (&state.services().guard, upstream(parts, state)) else {
        return false;
    };
    match upstream.prefix() {
        Some(prefix) => guard.anonymous_may_pull_below(prefix).await,
        None => false,
    }
}

/// What clients without a login get, if that is enough; `None` if the credentials of the request have to be read.
pub(super) async fn grant_without_login(
    parts: &Parts,
    state: &AppState,
    credentials: &Credentials<'_>,
    wanted: &[Access],
) -> Option<Grant> {
    credentials.authorization?;
    upstream(parts, state)?;
    let without = Credentials { authorization: None, is_ambiguous: false, ..*credentials };
    state.access().authorize(&without, wanted).await.ok()
}
