//! The web page beside the API: the bridge to `sampan-ui`, which knows no sockets.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CACHE_CONTROL, HOST, LOCATION, VARY};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use sampan_engine::Repository;
use sampan_engine::oci::RepositoryName;
use sampan_ui::{Change, Changes, Declined, DeniedAccess, UiRequest};

use super::context::RequestContext;
use super::credentials::presented;
use super::extract::{deleting, deletion, observed};
use super::page_gate::access;
use super::record::record;
use super::state::AppState;
use super::url_builder;
use crate::auth::AuditEvent;
use crate::serve::Peer;

/// Answers a request to the page.
pub(super) async fn answer(state: &AppState, request: Request) -> Response {
    let Some(ui) = state.services().page.current() else { return StatusCode::NOT_FOUND.into_response() };
    let (mut parts, body) = request.into_parts();
    let body = match parts.method {
        Method::POST => match to_bytes(body, ui.max_form_bytes(parts.uri.path())).await {
            Ok(form) => form,
            Err(_) => return declined(state, parts, Declined::TooLarge).await,
        },
        _ => Bytes::new(),
    };
    let context = parts.extensions.get::<Arc<RequestContext>>().cloned();
    if let Some(metrics) = &state.services().metrics {
        parts.extensions.insert(Arc::clone(metrics));
    }
    let (response, user) = ui.answer(to_ui(state, parts, body)).await;
    if let (Some(user), Some(context)) = (user, context) {
        context.set_user(user);
    }
    response.map(Body::from)
}

/// Answers a browser's request that is declined before it reaches the page; `None` for what is no browser's, or no page's.
pub(super) async fn declined_browser(state: &AppState, request: Request, why: Declined) -> Option<Response> {
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    match accept.contains("text/html") && state.services().page.has(request.uri().path()) {
        true => Some(declined(state, request.into_parts().0, why).await),
        false => None,
    }
}

async fn declined(state: &AppState, parts: Parts, why: Declined) -> Response {
    let Some(ui) = state.services().page.current() else { return StatusCode::NOT_FOUND.into_response() };
    ui.decline(to_ui(state, parts, Bytes::new()), why).await.map(Body::from)
}

fn to_ui(state: &AppState, mut parts: Parts, body: Bytes) -> UiRequest<'_> {
    let peer = parts.extensions.get::<Peer>();
    let called = url_builder::called(state.options(), peer, &parts.headers, &parts.uri);
    let is_secure = called.as_deref().is_some_and(|url| url.starts_with("https://"));
    // The host as the visitor knows it, which a proxy may have replaced.
    let host = called.as_deref().and_then(|url| url.split_once("://")?.1.split('/').next());
    if let Some(host) = host.and_then(|host| HeaderValue::from_str(host).ok()) {
        parts.headers.insert(HOST, host);
    }
    let context = parts.extensions.get::<Arc<RequestContext>>();
    let id = context.map(|context| context.id().to_owned()).unwrap_or_default();
    UiRequest { parts, body, is_secure, id, changes: state }
}

/// Changes from the page are recorded and notified like those of the API.
impl Changes for AppState {
    fn repository(
        &self,
        request: &Parts,
        user: Option<&str>,
        name: RepositoryName,
        change: Change<'_>,
    ) -> Repository {
        set_user(request, user);
        match change {
            Change::DeleteTag { tag, digest } => {
                let event = deletion(&name, request).with("tag", Some(tag.as_str()));
                deleting(name, event.with("digest", digest.map(ToString::to_string)), request, self)
            }
            Change::DeleteAll { tags, images } => {
                let event = deletion(&name, request).with("all", Some("true"));
                let event = event.with("tags", Some(tags.to_string()));
                deleting(name, event.with("images", Some(images.to_string())), request, self)
            }
            Change::Restore { tag, digest } => {
                let event = AuditEvent::new("restoration").with("repository", Some(name.as_str()));
                let event = event.with("tag", Some(tag.as_str())).with("digest", Some(digest.to_string()));
                record(event, request, self);
                observed(name, request, self)
            }
        }
    }

    fn collection_requested(&self, request: &Parts, user: Option<&str>) {
        set_user(request, user);
        record(AuditEvent::new("collection requested"), request, self);
    }

    fn refused(&self, request: &Parts, user: &str, wanted: DeniedAccess<'_>) {
        let Some(guard) = &self.services().guard else { return };
        let scope = match wanted {
            DeniedAccess::InRepository(right, name) => access(right, name).to_string(),
            DeniedAccess::Collections => "collections".to_owned(),
        };
        let token = request.extensions.get::<Arc<RequestContext>>().and_then(|context| context.token());
        guard.note_forbidden(&presented(request), user, token, &scope);
    }
}

/// Names the user of a request before its answer does.
fn set_user(request: &Parts, user: Option<&str>) {
    if let (Some(user), Some(context)) = (user, request.extensions.get::<Arc<RequestContext>>()) {
        context.set_user(user.to_owned());
    }
}

/// Leads a browser from `/` to the page. `None` for load balancers, which do not ask for HTML.
pub(super) fn offered(state: &AppState, request: &Request) -> Option<Response> {
    let ui = state.services().page.current()?;
    let accept = request.headers().get(ACCEPT)?.to_str().ok()?;
    let is_browser = request.method() == Method::GET && accept.contains("text/html");
    let to = HeaderValue::from_str(&format!("{}/", ui.base())).ok()?;
    let headers = [
        (LOCATION, to),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (VARY, HeaderValue::from_static("Accept")),
    ];
    is_browser.then(|| (StatusCode::FOUND, headers).into_response())
}
