//! `Readers`: limits the content that one connection holds open, where it can send many requests at once.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::response::Response;
use http::request::Parts;

use crate::http::body::permitted;
use crate::serve::{ReaderLimit, ReaderPermit};

/// The limit on content that the request's connection holds open, if it has one.
#[derive(Clone, Debug)]
pub(in crate::http) struct Readers(Option<ReaderLimit>);

/// A permit to hold content open, if the connection has a limit.
#[derive(Debug)]
pub(in crate::http) struct Permit(Option<ReaderPermit>);

impl Readers {
    /// Waits until this request may open a blob.
    pub(in crate::http) async fn blob(&self) -> Permit {
        match &self.0 {
            Some(limit) => Permit(Some(limit.blob().await)),
            None => Permit(None),
        }
    }

    /// Waits until this request may have a manifest or a list in memory.
    pub(in crate::http) async fn document(&self) -> Permit {
        match &self.0 {
            Some(limit) => Permit(Some(limit.document().await)),
            None => Permit(None),
        }
    }
}

impl Permit {
    /// Attaches the permit to the response until the response is sent.
    pub(in crate::http) fn hold(self, response: Response) -> Response {
        match self.0 {
            Some(permit) => response.map(|body| permitted(body, permit)),
            None => response,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Readers {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get().cloned()))
    }
}
