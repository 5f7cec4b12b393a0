//! `FoldName`: puts the path of a request into the form that the router matches.

use std::future::{Ready, ready};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures::future::Either;
use http::header::LOCATION;
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode, Uri};

use super::around::{Answering, Outcome, Wrap};
use crate::http::error::{ApiError, ErrorCode};
use crate::http::fold_name::{Folded, fold};
use crate::http::handlers::not_found;
use crate::http::prefix::Prefix;
use crate::http::state::AppState;

/// Takes the prefix off, folds the name, and answers itself what no route could.
#[derive(Clone, Debug)]
pub(in crate::http) struct FoldName {
    prefix: Prefix,
}

impl FoldName {
    pub(in crate::http) fn new(state: &AppState) -> Self {
        Self { prefix: state.options().prefix.clone() }
    }

    /// The URI for the router (`None`: as it is), or the answer when there is none.
    fn rewrite(&self, uri: &Uri) -> Result<Option<Uri>, Unroutable> {
        let whole = uri.path();
        if whole == "/" {
            return Ok(None);
        }
        let path = self.prefix.strip(whole).ok_or(Unroutable::NotFound)?;
        match fold(path) {
            Folded::Path(folded) if folded == whole => Ok(None),
            Folded::Path(folded) => with_path(uri, &folded).map(Some).ok_or(Unroutable::NotFound),
            Folded::MovedTo(path) => Err(self.moved(path, uri.query())),
            Folded::NameInvalid(name) => Err(Unroutable::NameInvalid(name.to_owned())),
            Folded::NotFound => Err(Unroutable::NotFound),
        }
    }

    fn moved(&self, path: &str, query: Option<&str>) -> Unroutable {
        let mark = if query.is_some() { "?" } else { "" };
        let location = format!("{}{path}{mark}{}", self.prefix, query.unwrap_or_default());
        HeaderValue::try_from(location).map_or(Unroutable::NotFound, Unroutable::Moved)
    }
}

/// Why a request does not get to the router.
enum Unroutable {
    Moved(HeaderValue),
    NameInvalid(String),
    NotFound,
}

impl IntoResponse for Unroutable {
    fn into_response(self) -> Response {
        match self {
            Self::Moved(location) => (StatusCode::MOVED_PERMANENTLY, [(LOCATION, location)]).into_response(),
            Self::NameInvalid(name) => {
                let detail = format!("invalid repository name {name:?}: a name is never percent-encoded");
                ApiError::new(ErrorCode::NameInvalid).with_reason(detail).into_response()
            }
            Self::NotFound => not_found(),
        }
    }
}

fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let path_and_query = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query.ok()?);
    Uri::from_parts(parts).ok()
}

impl Wrap for FoldName {
    type Answer<F: Answering> = Either<Ready<Outcome>, F>;

    fn wrap<F: Answering>(&self, mut request: Request, inner: impl FnOnce(Request) -> F) -> Self::Answer<F> {
        match self.rewrite(request.uri()) {
            Ok(None) => {}
            Ok(Some(uri)) => *request.uri_mut() = uri,
            Err(unroutable) => return Either::Left(ready(Ok(unroutable.into_response()))),
        }
        Either::Right(inner(request))
    }
}
