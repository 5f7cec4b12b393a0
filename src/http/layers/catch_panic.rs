//! `CatchPanic`: a panic in a handler becomes an answer, and the connection lives on.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use futures::future::{CatchUnwind, Map};
use tower::{Layer, Service};

use crate::http::error::{ApiError, ErrorCode};

/// Makes a 500 of a panic.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct CatchPanic;

/// [`CatchPanic`] around a service.
#[derive(Clone, Debug)]
pub(in crate::http) struct CatchingPanic<S>(S);

impl<S> Layer<S> for CatchPanic {
    type Service = CatchingPanic<S>;

    fn layer(&self, inner: S) -> CatchingPanic<S> {
        CatchingPanic(inner)
    }
}

type Outcome = Result<Result<Response, Infallible>, Box<dyn Any + Send>>;

impl<S: Service<Request, Response = Response, Error = Infallible>> Service<Request> for CatchingPanic<S> {
    type Response = Response;
    type Error = Infallible;
    type Future = Map<CatchUnwind<AssertUnwindSafe<S::Future>>, fn(Outcome) -> Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // Nothing of a request outlives its panic: what handlers share is only changed under locks or atomically.
        AssertUnwindSafe(self.0.call(request)).catch_unwind().map(answer)
    }
}

fn answer(outcome: Outcome) -> Result<Response, Infallible> {
    outcome.unwrap_or_else(|panic| {
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
    use tower::ServiceExt;

    use super::*;
    use crate::http::error::Trouble;

    #[tokio::test]
    async fn a_panic_becomes_a_500_with_its_cause_for_the_log() {
        let service = tower::service_fn(|_: Request| async { panic!("rotten {}", "plank") });
        let response = CatchPanic.layer(service).oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), 500);
        let cause = response.extensions().get::<Trouble>().unwrap().cause.clone().unwrap();
        assert_eq!(cause.to_string(), "the handler panicked: rotten plank");
    }
}
