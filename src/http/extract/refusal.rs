//! The response to a denied request.

use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::auth::{Access, Action, Denied, Resource};
use crate::http::error::{ApiError, ErrorCode};

/// The response to a client that was denied what it wanted.
pub(super) fn refusal(denied: &Denied, wanted: &[Access]) -> ApiError {
    match denied {
        Denied::Challenge { challenges, .. } => {
            let error = ApiError::new(ErrorCode::Unauthorized).with_detail(scopes(wanted));
            challenges.iter().fold(error, |error, value| error.with_header(WWW_AUTHENTICATE, value.clone()))
        }
        Denied::Ambiguous => ApiError::new(ErrorCode::Unauthorized)
            .with_status(StatusCode::BAD_REQUEST)
            .with_reason(denied.to_string()),
        // In the message, since docker shows nothing else.
        Denied::Forbidden { user } => ApiError::new(ErrorCode::Denied)
            .with_message(format!("{}: {user} may not {}", ErrorCode::Denied.message(), sentence(wanted)))
            .with_detail(scopes(wanted)),
        Denied::TooManyAttempts { retry_after } | Denied::TooManyAtOnce { retry_after } => {
            ApiError::new(ErrorCode::TooManyRequests)
                .with_reason(denied.to_string())
                .with_header(RETRY_AFTER, HeaderValue::from(retry_after.as_secs().max(1)))
        }
        Denied::Unavailable => ApiError::new(ErrorCode::Unavailable)
            .with_reason(denied.to_string())
            .with_header(RETRY_AFTER, HeaderValue::from_static("5")),
    }
}

/// What was wanted, as the end of a sentence. It says nothing of what exists.
fn sentence(wanted: &[Access]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for Access { resource, action } in wanted {
        let (action, name) = (action.as_str(), resource.name());
        // A push wants both, and its name says it.
        let is_part_of_push = action == "pull"
            && wanted.iter().any(|other| other.resource == *resource && other.action == Action::Push);
        match resource {
            _ if is_part_of_push => {}
            Resource::Repository(_) if action == "pull" => parts.push(format!("pull from {name}")),
            Resource::Repository(_) if action == "push" => parts.push(format!("push to {name}")),
            Resource::Repository(_) => parts.push(format!("{action} from {name}")),
            Resource::Catalog => parts.push("list the repositories".to_owned()),
        }
    }
    parts.join(" and ")
}

/// The wanted scopes, in the JSON form of Distribution's errors.
fn scopes(wanted: &[Access]) -> Value {
    let scope = |access: &Access| {
        json!({
            "Type": access.resource.kind(),
            "Class": "",
            "Name": access.resource.name(),
            "Action": access.action.as_str(),
        })
    };
    wanted.iter().map(scope).collect()
}
