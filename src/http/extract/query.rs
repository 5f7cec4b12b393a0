//! `Query`: the parameters of the query string.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use url::form_urlencoded;

/// The decoded query string. Every text is valid; unknown parameters are ignored.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct Query(Vec<(String, String)>);

impl Query {
    pub(in crate::http) fn parse(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The parameter's first value.
    pub(in crate::http) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The parameter's first value, unless it is empty.
    pub(in crate::http) fn non_empty(&self, name: &str) -> Option<&str> {
        self.first(name).filter(|value| !value.is_empty())
    }

    /// All values of the parameter.
    pub(in crate::http) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.uri.query().map(Self::parse).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_and_never_refused() {
        let query = Query::parse("tag=a&tag=b&digest=sha256%3Aff&&=&%ff=%&last=");
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(query.first("digest"), Some("sha256:ff"));
        assert_eq!(query.first("last"), Some(""));
        assert_eq!(query.non_empty("last"), None);
        assert_eq!(query.first("n"), None);
    }
}
