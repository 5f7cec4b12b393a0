//! The events of requests in the audit record.

use std::sync::Arc;

use http::request::Parts;

use super::context::RequestContext;
use super::credentials::presented;
use super::state::AppState;
use crate::auth::AuditEvent;

/// Records an event with the client, user and id of its request. Changes are recorded before they happen: each may be cut short
/// when its client leaves.
pub(super) fn record(event: AuditEvent, parts: &Parts, state: &AppState) {
    let Some(guard) = &state.services().guard else { return };
    let context = parts.extensions.get::<Arc<RequestContext>>();
    let event = event
        .with("client", presented(parts).client_text())
        .with("user", context.and_then(|context| context.user()))
        .with("token", context.and_then(|context| context.token()).map(|id| id.to_string()))
        .with("requestId", context.map(|context| context.id()));
    guard.audit().note(event);
}
