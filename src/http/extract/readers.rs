//! `Readers`: the permission to have content open, where one connection can ask for much at once.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::response::Response;
use http::request::Parts;

use crate::http::body::permitted;
use crate::serve::{ReaderLimit, ReaderPermit};

/// What limits how much content the request's connection may have open, if anything does.
#[derive(Clone, Debug)]
pub(in crate::http) struct Readers(Option<ReaderLimit>);

/// The permission to have content open, if one is needed.
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
    /// The answer, which holds the permission until it is sent.
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
