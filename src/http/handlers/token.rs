//! `/auth/token`: this registry's own token server.
//!
//! `GET` is Distribution's token specification (`docs/content/spec/auth/token.md`), `POST` its OAuth2 one
//! (`oauth.md`). Clients try the other one after 400, 401, 404 and 405, but not after 403.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use serde_json::json;

use super::Reply;
use crate::auth::{Guard, TokenRequest};
use crate::http::extract::{Query, issue};
use crate::http::headers::JSON;
use crate::http::state::AppState;

/// The largest form, in bytes.
const MAX_FORM_BYTES: usize = 32 << 10;

/// The most scopes of a request.
const MAX_SCOPES: usize = 64;

/// Issues a token for the credentials of the request.
pub(in crate::http) async fn get(State(state): State<AppState>, request: Request) -> Reply {
    let (parts, _) = request.into_parts();
    let query = parts.uri.query().map(Query::parse).unwrap_or_default();
    answer(&parts, &state, &query, None).await
}

/// Issues a token for the credentials of a form.
pub(in crate::http) async fn post(State(state): State<AppState>, request: Request<Body>) -> Reply {
    let (parts, body) = request.into_parts();
    let Ok(form) = to_bytes(body, MAX_FORM_BYTES).await else {
        return Ok(refused("invalid_request", "the form is longer than 32 KiB, or broke off"));
    };
    let Ok(form) = std::str::from_utf8(&form) else {
        return Ok(refused("invalid_request", "the form is not UTF-8"));
    };
    let form = Query::parse(form);
    if form.all("grant_type").count() > 1 {
        return Ok(refused("invalid_request", "the form has several `grant_type`"));
    }
    let field = |name| form.first(name).unwrap_or_default().to_owned();
    let login = match form.first("grant_type") {
        Some("password") => (field("username"), field("password")),
        // The secret of an access token, as `docker login` keeps it under `identitytoken`.
        Some("refresh_token") => ("token".to_owned(), field("refresh_token")),
        _ => {
            return Ok(refused(
                "unsupported_grant_type",
                "`grant_type` must be `password` or `refresh_token`",
            ));
        }
    };
    answer(&parts, &state, &form, Some(login)).await
}

async fn answer(parts: &Parts, state: &AppState, query: &Query, login: Option<(String, String)>) -> Reply {
    let Some(guard) = &state.services().guard else { return Ok(StatusCode::NOT_FOUND.into_response()) };
    if let Some(refusal) = other_service(guard, query) {
        return Ok(refusal);
    }
    // Some clients send one scope in each parameter, others all of them in one.
    let scopes: Vec<String> =
        query.all("scope").flat_map(|scopes| scopes.split_ascii_whitespace()).map(str::to_owned).collect();
    if scopes.len() > MAX_SCOPES {
        return Ok(refused("invalid_scope", "a token has 64 scopes at most: ask for several tokens"));
    }
    let request = TokenRequest { scopes, login, client_id: query.first("client_id").map(str::to_owned) };
    let issued = issue(parts, state, guard, &request).await?;
    let body = json!({
        "token": &issued.token,
        "access_token": &issued.token,
        "expires_in": issued.lifetime.as_secs(),
        "scope": issued.scope,
    });
    Ok(([(CONTENT_TYPE, JSON), (CACHE_CONTROL, super::NO_STORE)], body.to_string()).into_response())
}

fn other_service(guard: &Guard, query: &Query) -> Option<Response> {
    let service = query.non_empty("service").filter(|service| *service != guard.service())?;
    let description = format!("this is the token server of `{}`, and not of `{service}`", guard.service());
    Some(refused("invalid_request", &description))
}

/// An error as in RFC 6749, 5.2, which also is in the form of the other errors.
fn refused(error: &str, description: &str) -> Response {
    let errors = json!([{ "code": "UNSUPPORTED", "message": description }]);
    let body = json!({ "error": error, "error_description": description, "errors": errors });
    let headers = [(CONTENT_TYPE, JSON), (CACHE_CONTROL, super::NO_STORE)];
    (StatusCode::BAD_REQUEST, headers, body.to_string()).into_response()
}
