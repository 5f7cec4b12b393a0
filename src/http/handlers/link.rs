//! The `Link` header to the next page of a list (RFC 8288).

use http::HeaderValue;
use url::form_urlencoded::Serializer;

use crate::http::headers::visible;
use crate::http::prefix::Prefix;

/// A link to the page of `path` after `last`, relative to the host. Keeps the request's other parameters.
pub(super) fn next(
    prefix: &Prefix,
    path: &str,
    last: &str,
    n: Option<usize>,
    more: &[(&str, &str)],
) -> HeaderValue {
    let mut query = Serializer::new(String::new());
    query.append_pair("last", last);
    if let Some(n) = n {
        query.append_pair("n", &n.to_string());
    }
    query.extend_pairs(more);
    visible(format!("<{prefix}{path}?{}>; rel=\"next\"", query.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_relative_and_encoded() {
        let link = next(&Prefix::default(), "/v2/_catalog", "a/b&c", Some(2), &[]);
        assert_eq!(link, "</v2/_catalog?last=a%2Fb%26c&n=2>; rel=\"next\"");
        let link =
            next(&"/reg/".parse().unwrap(), "/v2/a/referrers/x", "d", None, &[("artifactType", "a/b+c")]);
        assert_eq!(link, "</reg/v2/a/referrers/x?last=d&artifactType=a%2Fb%2Bc>; rel=\"next\"");
    }
}
