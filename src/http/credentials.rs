//! The credentials that a request presents: its header, its certificate, and the address that it came from.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::request::Parts;

use super::context::RequestContext;
use crate::auth::Credentials;
use crate::serve::Peer;

/// The credentials of a request, without the URLs of this registry.
pub(super) fn presented(parts: &Parts) -> Credentials<'_> {
    let context = parts.extensions.get::<Arc<RequestContext>>();
    let certificate = parts.extensions.get::<Peer>().and_then(|peer| peer.client_certificate.as_ref());
    let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
    Credentials {
        authorization: headers.next(),
        client: context.and_then(|context| context.client()?.ip()),
        certificate: certificate.filter(|it| it.is_verified).map(|it| &*it.leaf),
        request_id: context.map(|context| context.id()),
        is_ambiguous: headers.next().is_some(),
        ..Credentials::default()
    }
}
