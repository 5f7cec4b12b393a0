//! `Readers`: limits the content that one connection holds open, where it can send many requests at once, and the documents
//! that all of them hold.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::response::Response;
use http::request::Parts;

use crate::http::body::permitted;
use crate::http::context::RequestContext;
use crate::http::error::ApiError;
use crate::http::state::AppState;
use crate::serve::{ReaderLimit, ReaderPermit};

/// The limits on content that the request may hold open.
#[derive(Clone, Debug)]
pub(in crate::http) struct Readers {
    state: AppState,
    client: Option<IpAddr>,
    /// That of the connection, if it has one.
    connection: Option<ReaderLimit>,
}

/// A permit to hold content open, if the connection has a limit.
#[derive(Debug)]
pub(in crate::http) struct Permit(Option<ReaderPermit>);

impl Readers {
    /// Waits until this request may open a blob.
    pub(in crate::http) async fn blob(&self) -> Permit {
        match &self.connection {
            Some(limit) => Permit(Some(limit.blob().await)),
            None => Permit(None),
        }
    }

    /// Waits until this request may have a manifest or a list in memory.
    pub(in crate::http) async fn document(&self) -> Permit {
        match &self.connection {
            Some(limit) => Permit(Some(limit.document().await)),
            None => Permit(None),
        }
    }

    /// Counts a document that goes to the client; waits for a while where clients hold much.
    ///
    /// # Errors
    ///
    /// There is no room for it.
    pub(in crate::http) async fn count(&self, document: Bytes) -> Result<Bytes, ApiError> {
        self.state.documents().count(self.client, document).await
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

impl FromRequestParts<AppState> for Readers {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        let context = parts.extensions.get::<Arc<RequestContext>>();
        let client = context.and_then(|context| context.client()?.network());
        Ok(Self { state: state.clone(), client, connection: parts.extensions.get().cloned() })
    }
}
