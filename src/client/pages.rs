//! Lists in pages: follows `Link` within bounds, on one server, and never in a circle.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use http::Method;
use http::header::{CONTENT_TYPE, LINK};
use serde::de::DeserializeOwned;
use url::Url;

use crate::auth::Scope;
use crate::connection::{Call, Connection};
use crate::error::{ClientError, Problem};
use sampan_shown_url::ShownUrl;

/// All pages of a list; `None` if the registry answers 404 to the first.
///
/// # Errors
///
/// As every request, and when a page leads to another server, to an earlier page, or beyond the limits.
pub(crate) async fn pages<T: DeserializeOwned>(
    connection: &Connection,
    first: Call,
    scope: &Scope,
    wanted_type: Option<&str>,
) -> Result<Option<Vec<T>>, ClientError> {
    let limits = connection.options.limits;
    let mut pages = Vec::new();
    // Hashes: the server chooses how long its URLs are.
    let (state, mut seen) = (RandomState::new(), HashSet::new());
    let mut bytes_left = limits.list_bytes;
    let mut call = first;
    loop {
        let (answer, body) =
            connection.document(&call, limits.page_bytes.min(bytes_left), "a list, in bytes,").await?;
        let url = answer.url().clone();
        let at = |problem| ClientError::at(url.as_str(), problem);
        match answer.status() {
            200 => {}
            404 if pages.is_empty() => return Ok(None),
            _ => return Err(connection.error(answer).await),
        }
        let media_type =
            answer.header(CONTENT_TYPE).map(|text| text.split(';').next().unwrap_or_default().trim());
        if wanted_type.is_some() && media_type != wanted_type && pages.is_empty() {
            return Ok(None);
        }
        let next = answer.header(LINK).and_then(next_link).map(str::to_owned);
        bytes_left -= body.len() as u64;
        let page = serde_json::from_slice(&body)
            .map_err(|error| at(Problem::Protocol(format!("no list: {error}"))))?;
        pages.push(page);
        seen.insert(state.hash_one(&url));
        let Some(next) = next else { return Ok(Some(pages)) };
        let next = connection.transport.resolve(&url, &next);
        let next =
            next.ok_or_else(|| at(Problem::Protocol("the link to the next page is no URL".to_owned())))?;
        check(&url, &next, seen.contains(&state.hash_one(&next)))?;
        if pages.len() as u64 >= u64::from(limits.pages) {
            return Err(at(Problem::TooLarge { what: "the number of pages", limit: limits.pages.into() }));
        }
        call = Call::at(Method::GET, next, scope.clone());
    }
}

fn check(url: &Url, next: &Url, is_seen: bool) -> Result<(), ClientError> {
    let at = |problem| ClientError::at(url.as_str(), problem);
    if next.origin() != url.origin() {
        let target = ShownUrl::from(next).to_string();
        return Err(at(Problem::Redirect { target, reason: "a list must not continue on another server" }));
    }
    if is_seen {
        return Err(at(Problem::Protocol("the pages of the list form a circle".to_owned())));
    }
    Ok(())
}

/// The target of the link with `rel="next"` (RFC 8288).
fn next_link(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        // A target in quotes or brackets is the only place of a comma within a link.
        let end = after.find(",<").or_else(|| after.find(", <")).unwrap_or(after.len());
        let parameters = after[..end].split(';').filter_map(|parameter| parameter.split_once('='));
        let is_next = parameters.into_iter().any(|(key, value)| {
            let relations = value.trim().trim_matches(['"', ',']);
            key.trim().eq_ignore_ascii_case("rel")
                && relations.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target);
        }
        rest = &after[end..];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_next_link_is_found_among_others() {
        for (header, expected) in [
            (r#"</v2/_catalog?last=a,b&n=2>; rel="next""#, Some("/v2/_catalog?last=a,b&n=2")),
            (r#"<a>;rel=next"#, Some("a")),
            (r#"<a>; rel="prev", <b>; rel="last next""#, Some("b")),
            (r#"<a>; REL="NEXT"; title="x""#, Some("a")),
            (r#"<a>; rel="previous""#, None),
            (r#"<a>; title="next""#, None),
            ("<a>", None),
            ("", None),
            ("<a; rel=next", None),
        ] {
            assert_eq!(next_link(header), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn no_text_upsets_the_parser(header in "\\PC{0,200}") {
            next_link(&header);
        }
    }
}
