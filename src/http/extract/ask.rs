//! Asks the access controller, and logs and counts its answer.

use std::fmt;
use std::sync::Arc;

use http::request::Parts;

use super::cache_host;
use super::refusal::refusal;
use crate::auth::{Access, Credentials, Denied, Grant, Guard, IssuedToken, TokenRequest, View};
use crate::http::context::RequestContext;
use crate::http::credentials::presented;
use crate::http::error::ApiError;
use crate::http::state::AppState;
use crate::http::url_builder;

/// What a client that wants this may see, or the refusal.
pub(super) async fn authorize(parts: &Parts, state: &AppState, wanted: &[Access]) -> Result<View, ApiError> {
    let grant = ask(parts, state, wanted).await.map_err(|denied| refusal(&denied, wanted))?;
    Ok(grant.view)
}

/// Issues a token for the credentials of the request, or those in `request`.
pub(in crate::http) async fn issue(
    parts: &Parts,
    state: &AppState,
    guard: &Guard,
    request: &TokenRequest,
) -> Result<IssuedToken, ApiError> {
    let urls = Urls { parts, state };
    let answer = guard.issue(&urls.credentials(&|| urls.origin(), &|| urls.called()), request).await;
    if let (Err(denied), Some(metrics)) = (&answer, &state.services().metrics) {
        metrics.refused(denied);
    }
    answer.map_err(|denied| refusal(&denied, &[]))
}

/// The URLs of this registry as the client of a request knows them.
struct Urls<'a> {
    parts: &'a Parts,
    state: &'a AppState,
}

impl Urls<'_> {
    fn origin(&self) -> Option<String> {
        let Parts { extensions, headers, uri, .. } = self.parts;
        url_builder::origin(self.state.options(), extensions.get(), headers, uri)
    }

    fn called(&self) -> Option<String> {
        let Parts { extensions, headers, uri, .. } = self.parts;
        url_builder::called(self.state.options(), extensions.get(), headers, uri)
    }

    fn credentials<'a>(
        &'a self,
        origin: &'a (dyn Fn() -> Option<String> + Sync),
        base: &'a (dyn Fn() -> Option<String> + Sync),
    ) -> Credentials<'a> {
        Credentials { origin: Some(origin), base: Some(base), ..presented(self.parts) }
    }
}

/// The permission of a client that wants this.
pub(super) async fn ask(parts: &Parts, state: &AppState, wanted: &[Access]) -> Result<Grant, Denied> {
    let context = parts.extensions.get::<Arc<RequestContext>>();
    let urls = Urls { parts, state };
    let (origin, called) = (|| urls.origin(), || urls.called());
    let credentials = urls.credentials(&origin, &called);
    let answer = match cache_host::grant_without_login(parts, state, &credentials, wanted).await {
        Some(grant) => Ok(grant),
        None => state.access().authorize(&credentials, wanted).await,
    };
    if let (Err(denied), Some(metrics)) = (&answer, &state.services().metrics) {
        metrics.refused(denied);
    }
    tracing::debug!(
        http.request.id = context.map(|context| context.id()),
        wanted = %ScopeList(wanted),
        has_credentials = credentials.authorization.is_some(),
        "authorization: {}",
        match &answer {
            Ok(grant) => format!("granted to {}", grant.user.as_deref().unwrap_or("anonymous")),
            Err(denied) => format!("refused: {denied}"),
        }
    );
    if let (Err(Denied::Forbidden { user }), Some(context)) = (&answer, context) {
        context.set_user(user.clone());
    }
    let grant = answer?;
    if let Some(context) = context {
        grant.user.iter().for_each(|user| context.set_user(user.clone()));
        grant.token.iter().for_each(|token| context.set_token(*token));
    }
    Ok(grant)
}

/// Displays scopes as a token server spells them.
struct ScopeList<'a>(&'a [Access]);

impl fmt::Display for ScopeList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, access) in self.0.iter().enumerate() {
            write!(f, "{}{access}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}
