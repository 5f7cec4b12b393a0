//! `PageQuery`: the requested page of a list.

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde_json::json;

use super::query::Query;
use crate::http::error::{ApiError, ErrorCode};

/// The parameters `n` and `last` of a list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(in crate::http) struct PageQuery {
    /// The number of entries wanted; `None` lets the list decide.
    pub(in crate::http) n: Option<usize>,
    /// The entry before the page.
    pub(in crate::http) last: Option<String>,
}

impl PageQuery {
    fn parse(query: &Query) -> Result<Self, ApiError> {
        let n = match query.non_empty("n") {
            Some(text) => Some(text.parse().map_err(|_| Self::invalid(text))?),
            None => None,
        };
        Ok(Self { n, last: query.non_empty("last").map(str::to_owned) })
    }

    /// The error for an invalid page size.
    pub(in crate::http) fn invalid(n: &str) -> ApiError {
        ApiError::new(ErrorCode::PaginationNumberInvalid).with_detail(json!({ "n": n }))
    }
}

impl<S: Sync> FromRequestParts<S> for PageQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::parse(&parts.uri.query().map(Query::parse).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_count_and_a_start() {
        let parse = |text| PageQuery::parse(&Query::parse(text)).unwrap();
        assert_eq!(parse(""), PageQuery::default());
        assert_eq!(parse("n=3&last=a%2Fb"), PageQuery { n: Some(3), last: Some("a/b".to_owned()) });
        assert_eq!(parse("n=0&last="), PageQuery { n: Some(0), last: None });
    }

    #[test]
    fn a_count_must_be_a_number() {
        for text in ["n=-1", "n=x", "n=1.5", "n=99999999999999999999999"] {
            let error = PageQuery::parse(&Query::parse(text)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::PaginationNumberInvalid, "{text}");
        }
    }
}
