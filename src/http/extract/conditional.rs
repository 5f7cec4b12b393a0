//! Conditional requests (RFC 9110, 13), for content whose entity tag is its digest.

use http::HeaderMap;
use http::header::{IF_NONE_MATCH, IF_RANGE};
use sampan_engine::oci::Digest;

use crate::http::headers::etag;

/// Whether `If-None-Match` names this content.
///
/// Accepts lists, `*` and weak tags as in the RFC, and a digest without quotes because Distribution does.
pub(in crate::http) fn if_none_match(headers: &HeaderMap, digest: &Digest) -> bool {
    if !headers.contains_key(IF_NONE_MATCH) {
        return false;
    }
    let (bare, tag) = (digest.to_string(), etag(digest));
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    // A digest has no comma, so splitting at commas cannot break a tag that matches.
    values.flat_map(|value| value.split(',')).map(str::trim).any(|candidate| {
        let candidate = candidate.strip_prefix("W/").unwrap_or(candidate);
        candidate == "*" || candidate == tag || candidate == bare
    })
}

/// Whether a range may be served: `If-Range` is absent or names exactly this content. A date never matches,
/// because responses carry no modification time.
pub(in crate::http) fn if_range_allows(headers: &HeaderMap, digest: &Digest) -> bool {
    headers.get(IF_RANGE).is_none_or(|condition| condition == etag(digest).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: http::HeaderName, value: &str, matches: impl Fn(&HeaderMap, &Digest) -> bool) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header, value.parse().unwrap());
        matches(&headers, &Digest::sha256_of(b""))
    }

    #[test]
    fn the_tag_of_the_content_matches_in_every_spelling() {
        let digest = Digest::sha256_of(b"").to_string();
        for value in [
            "*".to_owned(),
            digest.clone(),
            format!("\"{digest}\""),
            format!("W/\"{digest}\""),
            format!("\"a\", W/\"b\" ,\"{digest}\""),
        ] {
            assert!(check(IF_NONE_MATCH, &value, if_none_match), "{value}");
        }
        for value in ["", "\"\"", "\"sha256:00\"", &format!("\"{digest}0\"")] {
            assert!(!check(IF_NONE_MATCH, value, if_none_match), "{value}");
        }
    }

    #[test]
    fn if_range_compares_strongly() {
        let digest = Digest::sha256_of(b"").to_string();
        assert!(check(IF_RANGE, &format!("\"{digest}\""), if_range_allows));
        assert!(!check(IF_RANGE, &format!("W/\"{digest}\""), if_range_allows));
        assert!(!check(IF_RANGE, "Wed, 21 Oct 2015 07:28:00 GMT", if_range_allows));
        assert!(if_range_allows(&HeaderMap::new(), &Digest::sha256_of(b"")));
    }
}
