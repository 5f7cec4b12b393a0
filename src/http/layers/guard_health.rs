//! `GuardHealth`: what is answered while the registry is not well, and to those who ask whether it is.
//!
//! A failing check takes the API out of service, with Distribution's answer. `/` and `/livez` stay alive all the same: a
//! process is not to be killed because its store has the hiccups. `/readyz` says whether to send requests here.

use std::future::{Ready, ready};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures::future::Either;
use http::StatusCode;

use super::around::{Answering, Outcome, Wrap};
use crate::health::Board;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::prefix::Prefix;
use crate::http::state::AppState;

/// Answers probes, and everything while a check fails.
#[derive(Clone, Debug)]
pub(in crate::http) struct GuardHealth {
    board: Board,
    prefix: Prefix,
}

impl GuardHealth {
    pub(in crate::http) fn new(state: &AppState) -> Self {
        Self { board: state.options().health.clone(), prefix: state.options().prefix.clone() }
    }

    /// The answer, if it is not the API's to give.
    fn answer(&self, path: &str) -> Option<Response> {
        match self.prefix.strip(path) {
            Some("/livez") => Some("ok\n".into_response()),
            Some("/readyz") => Some(match self.board.unready_to_strangers() {
                None => "ok\n".into_response(),
                Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
            }),
            _ if path == "/" || self.board.is_healthy() => None,
            _ => Some(
                ApiError::new(ErrorCode::Unavailable)
                    .with_detail("health check failed: please see /debug/health")
                    .into_response(),
            ),
        }
    }
}

impl Wrap for GuardHealth {
    type Answer<F: Answering> = Either<Ready<Outcome>, F>;

    fn wrap<F: Answering>(&self, request: Request, inner: impl FnOnce(Request) -> F) -> Self::Answer<F> {
        match self.answer(request.uri().path()) {
            Some(response) => Either::Left(ready(Ok(response))),
            None => Either::Right(inner(request)),
        }
    }
}
