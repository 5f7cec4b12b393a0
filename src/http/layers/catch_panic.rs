//! Turns a panic in a handler into a 500 and keeps the connection open.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use axum::response::{IntoResponse, Response};
use futures::FutureExt;

use crate::http::error::{ApiError, ErrorCode};

/// The handler's response; a 500 if the handler panics.
pub(in crate::http) async fn catch_panic(answer: impl Future<Output = Response>) -> Response {
    // Unwind safety: handlers share only state that is behind locks or atomic.
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|panic| failure(&*panic))
}

fn failure(panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    let cause = Panicked(text.unwrap_or_else(|| "no message".to_owned()));
    ApiError::new(ErrorCode::Unknown).caused_by(cause).into_response()
}

/// The cause logged for a panic.
#[derive(Debug, thiserror::Error)]
#[error("the handler panicked: {0}")]
struct Panicked(String);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error::ErrorContext;

    #[tokio::test]
    async fn a_panic_becomes_a_500_with_its_cause_for_the_log() {
        let response = catch_panic(async { panic!("odd {}", "input") }).await;
        assert_eq!(response.status(), 500);
        let cause = response.extensions().get::<ErrorContext>().unwrap().cause.clone().unwrap();
        assert_eq!(cause.to_string(), "the handler panicked: odd input");
    }
}
