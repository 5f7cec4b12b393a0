//! `Around`: makes a layer of what is done around one request, so that each layer says that and nothing else.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::Response;
use tower::{Layer, Service};

/// What every service here comes to.
pub(in crate::http) type Outcome = Result<Response, Infallible>;

/// A future of an answer.
pub(in crate::http) trait Answering: Future<Output = Outcome> + Send + 'static {}

impl<F: Future<Output = Outcome> + Send + 'static> Answering for F {}

/// What is done around a request.
pub(in crate::http) trait Wrap: Clone {
    /// What comes of a request for which `F` comes from further in. It is for each to say, so that only those pay for a
    /// box that need one.
    type Answer<F: Answering>: Answering;

    /// Hands the request to `inner`, or another request, or none.
    fn wrap<F: Answering>(&self, request: Request, inner: impl FnOnce(Request) -> F) -> Self::Answer<F>;
}

/// The layer that does so around every request.
#[derive(Clone, Debug)]
pub(in crate::http) struct Around<W>(pub(in crate::http) W);

/// [`Around`] around a service.
#[derive(Clone, Debug)]
pub(in crate::http) struct Wrapped<W, S> {
    wrap: W,
    inner: S,
}

impl<W: Clone, S> Layer<S> for Around<W> {
    type Service = Wrapped<W, S>;

    fn layer(&self, inner: S) -> Wrapped<W, S> {
        Wrapped { wrap: self.0.clone(), inner }
    }
}

impl<W, S> Service<Request> for Wrapped<W, S>
where
    W: Wrap,
    S: Service<Request, Response = Response, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = W::Answer<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.wrap.wrap(request, |request| self.inner.call(request))
    }
}
