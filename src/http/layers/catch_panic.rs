//! `CatchPanic`: a panic in a handler becomes an answer, and the connection lives on.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::response::IntoResponse;
use futures::FutureExt;
use futures::future::{CatchUnwind, Map};

use super::around::{Answering, Outcome, Wrap};
use crate::http::error::{ApiError, ErrorCode};

/// Makes a 500 of a panic.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct CatchPanic;

type Caught = Result<Outcome, Box<dyn Any + Send>>;

impl Wrap for CatchPanic {
    type Answer<F: Answering> = Map<CatchUnwind<AssertUnwindSafe<F>>, fn(Caught) -> Outcome>;

    fn wrap<F: Answering>(&self, request: Request, inner: impl FnOnce(Request) -> F) -> Self::Answer<F> {
        // Nothing of a request outlives its panic: what handlers share is only changed under locks or atomically.
        AssertUnwindSafe(inner(request)).catch_unwind().map(answer)
    }
}

fn answer(caught: Caught) -> Outcome {
    caught.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        let cause = Panicked(text.unwrap_or_else(|| "no message".to_owned()));
        Ok(ApiError::new(ErrorCode::Unknown).caused_by(cause).into_response())
    })
}

/// The cause that the log gets of a panic.
#[derive(Debug, thiserror::Error)]
#[error("the handler panicked: {0}")]
struct Panicked(String);

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::{Layer, ServiceExt};

    use super::super::around::Around;
    use super::*;
    use crate::http::error::Trouble;

    #[tokio::test]
    async fn a_panic_becomes_a_500_with_its_cause_for_the_log() {
        let service = tower::service_fn(|_: Request| async { panic!("rotten {}", "plank") });
        let response = Around(CatchPanic).layer(service).oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), 500);
        let cause = response.extensions().get::<Trouble>().unwrap().cause.clone().unwrap();
        assert_eq!(cause.to_string(), "the handler panicked: rotten plank");
    }
}
